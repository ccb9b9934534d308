//! Test vectors of the on-disk format: one file per case, `tests/vectors/*.txt`.
//!
//! Each file says what must happen (`expect:`), which requirement of FORMAT.md says so (`why:`),
//! and the bytes. `from:` takes over the fields of another vector, so that a wrong one shows the
//! difference alone. A line that begins with two spaces goes on with the field before it.
//! `make.py` made them, from the text of FORMAT.md; they are not changed any more.

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The fields of one vector, those of its `from:` included.
pub struct Vector {
    pub name: String,
    fields: BTreeMap<String, String>,
}

impl Vector {
    fn load(name: &str) -> Vector {
        let text = fs::read_to_string(dir().join(format!("{name}.txt"))).unwrap();
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in text.lines() {
            if let Some(more) = line.strip_prefix("  ") {
                own.get_mut(&last).expect("a continued field").push_str(more);
            } else {
                let (key, value) = line.split_once(':').expect("field: value");
                last = key.to_owned();
                let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                assert!(own.insert(last.clone(), value).is_none(), "{name}: {key} twice");
            }
        }
        let mut fields = own.get("from").map(|base| Vector::load(base).fields).unwrap_or_default();
        fields.extend(own);
        Vector { name: name.to_owned(), fields }
    }

    pub fn text(&self, key: &str) -> &str {
        self.fields.get(key).unwrap_or_else(|| panic!("{}: no field {key}", self.name))
    }

    /// A field that some vectors of the kind do not have.
    pub fn optional(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.text(key).parse().unwrap()
    }

    pub fn bytes(&self, key: &str) -> Vec<u8> {
        unhex(self.text(key))
    }

    pub fn array<const N: usize>(&self, key: &str) -> [u8; N] {
        self.bytes(key).try_into().unwrap()
    }
}

/// Hexadecimal digits; `-` is nothing.
pub fn unhex(digits: &str) -> Vec<u8> {
    if digits == "-" {
        return Vec::new();
    }
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii());
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Every vector there is.
pub fn all() -> Vec<Vector> {
    let mut names: Vec<String> = fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.iter().map(|name| Vector::load(name)).collect()
}

#[test]
fn every_vector_does_what_it_says() {
    let mut wrong = Vec::new();
    for vector in all() {
        let (found, expected) = (cases::run(&vector), vector.text("expect"));
        if found != expected {
            wrong.push(format!("{}: expected {expected}, found {found}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} vectors fail", wrong.join("\n"), wrong.len());
}

#[test]
fn more_vectors_are_wrong_than_right() {
    let vectors = all();
    let right = vectors.iter().filter(|v| v.text("expect") == "ok").count();
    assert!(right >= 50 && vectors.len() - right > right, "{right} of {} are right", vectors.len());
}
