//! Imports run one way, and files stay short. The table is the one that `src/lib.rs` describes;
//! cargo cannot enforce it inside one package, so this does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What everybody may use, and which use nothing of ours but each other.
const BASE: &[&str] = &["secret", "codec", "clock", "sync"];

/// Module, and the paths below `crate::` that it may use besides itself and [`BASE`].
const TABLE: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("codec", &[]),
    ("clock", &[]),
    ("sync", &[]),
    ("crypto", &[]),
    ("lower", &[]),
    ("format", &["crypto"]),
    ("volume", &["format", "crypto", "lower"]),
    ("kms", &["crypto"]),
    ("transport", &["volume"]),
    // Opening an embedded store unlocks it, and its rows carry tags.
    ("store", &["kms", "custody", "crypto"]),
    ("custody", &["kms", "crypto"]),
    ("server", &["kms"]),
    // The seam's own values are the format's: ids and wrapped keys. Frames and messages have one
    // definition, at the server, and the embedded service is its dispatcher without a socket.
    (
        "client",
        &[
            "kms",
            "volume::keys",
            "format",
            "server::frames",
            "server::messages",
            "server::dispatch",
        ],
    ),
    ("rewrap", &["format", "lower", "volume::keys", "volume::reseal"]),
    ("fsck", &["format", "lower", "volume::keys"]),
    ("manual", &[]),
];

/// These may use anything: they put the parts together.
const TOP: &[&str] = &["cli", "bin", "lib"];

/// Lines of a file without its tests: never more.
const LONGEST: usize = 800;

/// Lines of the middle file without its tests.
const MEDIAN: usize = 200;

/// One file of `src`.
struct Source {
    path: PathBuf,
    /// First component below `src`, without `.rs`.
    module: String,
    /// Without the test module and comments.
    code: String,
    lines: usize,
}

#[test]
fn imports_run_down_the_table() {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        if TOP.contains(&source.module.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(source.module.as_str()) else {
            wrong.push(format!("{}: the table has no row for it", source.path.display()));
            continue;
        };
        for used in crate_paths(&source.code) {
            if !may_use(&source.module, allowed, &used) {
                wrong.push(format!("{}: crate::{used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that run up:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let sources = sources();
    let long: Vec<_> = sources
        .iter()
        .filter(|s| s.lines > LONGEST)
        .map(|s| format!("{}: {} lines", s.path.display(), s.lines))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines:\n{}", long.join("\n"));
    let mut lengths: Vec<_> = sources.iter().map(|s| s.lines).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN, "the median file has {median} lines, more than {MEDIAN}");
}

#[test]
fn unsafe_code_lives_in_sys_files() {
    for source in sources() {
        let named = source.path.file_name().is_some_and(|n| n == "sys.rs");
        let opts_out =
            source.code.contains("expect(unsafe_code") || source.code.contains("allow(unsafe_code");
        assert!(named || !opts_out, "{}: unsafe code outside a sys.rs", source.path.display());
    }
}

#[test]
fn the_reader_of_imports_can_read() {
    let code = "use crate::a::b;\nuse crate::{c::{d, e as f}, g};\nlet x = crate::h::i(mycrate::no);\n\
                use crate::j::{self, k::*};\npub(crate) fn l() {}";
    let expected = ["a::b", "c::d", "c::e", "g", "h::i", "j", "j::k"];
    assert_eq!(crate_paths(code), expected);
    assert!(may_use("client", &["volume::keys"], "volume::keys::DataKeys"));
    assert!(!may_use("client", &["volume::keys"], "volume::keystone"));
    assert!(!may_use("client", &["volume::keys"], "volume"));
    assert!(may_use("crypto", &[], "secret::Secret") && may_use("crypto", &[], "crypto::kdf"));
    assert!(!may_use("crypto", &[], "format::block"));
    assert_eq!(without_comments("a // crate::x\n/// crate::y\nb \"//\" c"), "a \n\nb \"//\" c\n");
}

fn may_use(module: &str, allowed: &[&str], used: &str) -> bool {
    let first = used.split("::").next().unwrap_or(used);
    first == module
        || BASE.contains(&first)
        || allowed.iter().any(|a| used == *a || used.starts_with(&format!("{a}::")))
}

/// Every path below `crate::` that the code names, use-trees expanded.
fn crate_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            expand(&code[at + "crate::".len()..], "", &mut found);
        }
    }
    found
}

/// Reads one tree at the start of `text`, adds its paths, and returns what it left over.
fn expand<'a>(text: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let mut text = text.trim_start();
    let mut path = prefix.to_owned();
    loop {
        if let Some(inner) = text.strip_prefix('{') {
            text = inner.trim_start();
            while !text.starts_with('}') && !text.is_empty() {
                text = expand(text, &path, found);
                // An `as` name, then a comma.
                let end = text.find([',', '}']).unwrap_or(text.len());
                text = text[end..].trim_start_matches(',').trim_start();
            }
            return text.strip_prefix('}').unwrap_or(text);
        }
        let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at(length);
        if !name.is_empty() && name != "self" {
            path = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
        }
        match rest.strip_prefix("::") {
            Some(more) if !name.is_empty() => text = more,
            _ => {
                found.push(path);
                return rest;
            }
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| {
            let mut quoted = false;
            let cut = line.char_indices().find_map(|(i, c)| {
                quoted ^= c == '"';
                (!quoted && line[i..].starts_with("//")).then_some(i)
            });
            format!("{}\n", &line[..cut.unwrap_or(line.len())])
        })
        .collect()
}

/// All of `src` but files that are tests altogether.
fn sources() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&top, &mut files);
    assert!(files.len() > 20, "only {} files found below {}", files.len(), top.display());
    files
        .into_iter()
        .filter(|f| !is_test_file(f))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is readable text");
            let below = path.strip_prefix(&top).expect("it was found there").to_owned();
            let first = below.components().next().expect("it has a name");
            let module = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
            let body = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(&text);
            Source {
                lines: body.lines().count(),
                code: without_comments(body),
                path: below,
                module,
            }
        })
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests")
        || path.file_stem().is_some_and(|s| s == "tests" || s.to_string_lossy().ends_with("_tests"))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
