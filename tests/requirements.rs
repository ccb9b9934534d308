//! Every numbered requirement of FORMAT.md has a test, and every number that a test names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kmsfs::format::{CipherLen, PlainLen, cipher_len};

use crate::vectors;

/// Numbers like `F-12` in a text.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("F-") {
        let digits: String = text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        let alone = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        if alone && !digits.is_empty() {
            found.insert(format!("F-{digits}"));
        }
    }
    found
}

/// The numbers that FORMAT.md gives to its requirements: `**F-1**`.
fn defined() -> BTreeSet<String> {
    let text = include_str!("../src/format/FORMAT.md");
    let mut all = BTreeSet::new();
    for (at, _) in text.match_indices("**F-") {
        let end = text[at + 2..].find("**").unwrap() + at + 2;
        let number = text[at + 2..end].to_owned();
        assert!(all.insert(number.clone()), "{number} is defined twice");
    }
    all
}

/// The tests of a source file: what follows `#[cfg(test)]`, or everything below `tests/`.
fn tests_below(dir: &Path, whole: bool, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let tests = path.file_name().is_some_and(|n| n == "tests");
            if !path.ends_with("fuzz") {
                tests_below(&path, whole || tests, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let tests = path.file_name().is_some_and(|n| n == "tests.rs");
            if whole || tests {
                out.push_str(&text);
            } else if let Some(at) = text.find("#[cfg(test)]") {
                out.push_str(&text[at..]);
            }
        }
    }
}

#[test]
fn every_requirement_of_the_format_has_a_test() {
    let mut named = BTreeSet::new();
    for vector in vectors::all() {
        named.extend(numbers(vector.text("why")));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    tests_below(&root.join("src"), false, &mut tests);
    named.extend(numbers(&tests));
    let defined = defined();
    let untested: Vec<_> = defined.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&defined).collect();
    assert!(defined.len() > 30, "FORMAT.md defines {} requirements", defined.len());
    assert!(untested.is_empty(), "without a test: {untested:?}");
    assert!(unknown.is_empty(), "not in FORMAT.md: {unknown:?}");
}

/// The worked example in section 4 is the vector that it says it is.
#[test]
fn the_example_header_is_its_vector() {
    let text = include_str!("../src/format/FORMAT.md");
    let vector = vectors::all().into_iter().find(|v| v.name == "header-file").unwrap();
    let slot = vector.bytes("slot");
    let from = text.find("000  6b6d7366").expect("the example");
    let mut shown = 0;
    for line in text[from..].lines().take_while(|line| !line.starts_with("```")) {
        let mut words = line.split_whitespace();
        let mut at = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        for word in words.take_while(|w| w.bytes().all(|c| c.is_ascii_hexdigit())) {
            let bytes = vectors::unhex(word);
            assert_eq!(slot[at..at + bytes.len()], bytes, "{line}");
            at += bytes.len();
            shown += bytes.len();
        }
    }
    assert!(shown > 100, "{shown} bytes are shown");
}

/// So are the sizes in section 3.
#[test]
fn the_table_of_sizes_is_right() {
    let text = include_str!("../src/format/FORMAT.md");
    let from = text.find("| plaintext | lower length |").expect("the table");
    let mut shown = 0;
    for line in text[from..].lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for pair in [&cells[1..3], &cells[4..6]] {
            let number = |cell: &str| if cell == "2^62" { 1 << 62 } else { cell.parse().unwrap() };
            let lower = cipher_len(PlainLen(number(pair[0])));
            assert_eq!(lower, Some(CipherLen(number(pair[1]))), "{line}");
            shown += 1;
        }
    }
    assert_eq!(shown, 8);
}
