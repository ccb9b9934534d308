//! What the command line says to bad input: one line with cause and remedy, the published exit
//! code, and nothing changed below. No mount is made here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A place with a lower directory, a mount point and a key store of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for dir in ["low", "mnt"] {
            fs::create_dir(place.at(dir)).unwrap();
        }
        place
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kmsfs"))
            .args(args)
            .current_dir(self.0.path())
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs, and expects one line on standard error, none on standard output, and this code.
    fn refused(&self, args: &[&str], code: i32, says: &str) {
        let before = tree(&self.0.path().join("low"));
        let out = self.run(args);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(out.stdout.is_empty(), "{args:?}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.starts_with("kmsfs: ") && said.contains(says), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(tree(&self.0.path().join("low")), before, "{args:?} changed something");
    }

    fn init(&self) {
        let out = self.run(&["init", "low", "--keystore", "keys"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

/// Every file below with its content.
fn tree(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push((path.display().to_string(), Vec::new()));
            found.extend(tree(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_lower_directory_that_is_none() {
    let p = Place::new();
    p.refused(&["mount", "nosuch", "mnt"], 1, "nosuch: No such file");
    fs::write(p.at("low/mine"), "x").unwrap();
    p.refused(&["mount", "low", "mnt"], 3, "is not a kmsfs volume");
    p.refused(&["init", "low", "--keystore", "keys"], 3, "is not empty");
    p.refused(&["mount", "low/mine", "mnt"], 1, "Not a directory");
}

#[test]
fn overlapping_directories() {
    let p = Place::new();
    fs::create_dir(p.at("low/in")).unwrap();
    p.refused(&["mount", "low", "low"], 13, "same directory");
    p.refused(&["mount", "low", "low/in"], 13, "mount point is inside");
    p.refused(&["mount", "low/in", "low"], 13, "lower directory is inside");
    std::os::unix::fs::symlink(p.at("low/in"), p.at("link")).unwrap();
    p.refused(&["mount", "low", "link"], 13, "mount point is inside");
}

#[test]
fn options() {
    let p = Place::new();
    p.refused(&["mount", "low", "mnt", "-o", "ro,nosuch"], 2, "'nosuch'");
    p.refused(&["mount", "low", "mnt", "-o", "suite=rot13"], 2, "'rot13'");
    p.refused(&["mount", "low", "mnt", "-o", "kms=unix:/s,keystore=/d"], 2, "no store here");
    fs::write(p.at("m.toml"), "lower = 'low'\nmuontpoint = 'mnt'\n").unwrap();
    p.refused(&["mount", "--config", "m.toml"], 2, "m.toml: line 2: ");
    p.refused(&["mount", "--config", "none.toml"], 1, "none.toml");
    p.refused(&["umount", "mnt"], 14, "is not a kmsfs mount");
    p.refused(&["info", "m.toml"], 3, "no kmsfs header");
}

#[test]
fn key_services_that_are_not_there() {
    let p = Place::new();
    let socket = format!("unix:{}", p.at("nobody"));
    p.init();
    p.refused(&["key", "list", "--keystore", "keys", "--key-file", "none"], 10, "key file");
    let options = format!("kms={socket},kms_timeout=0");
    // Opening the service comes after the checks that need no key, and after the forks.
    let out = p.run(&["mount", "low", "mnt", "-f", "-o", &options]);
    let said = String::from_utf8_lossy(&out.stderr);
    let last = said.lines().last().unwrap_or_default();
    let no_fuse = out.status.code() == Some(11) && last.contains("/dev/fuse");
    assert!(no_fuse || out.status.code() == Some(9), "{said}");
}

#[test]
fn secrets_that_do_not_open() {
    let p = Place::new();
    p.init();
    p.refused(&["init", "low", "--keystore", "keys"], 3, "is a kmsfs volume already");
    let add = |fd: &str| {
        Command::new("sh")
            .args(["-c", fd, "sh", env!("CARGO_BIN_EXE_kmsfs")])
            .current_dir(p.0.path())
            .output()
            .unwrap()
    };
    fs::write(p.at("pass"), "correct horse\n").unwrap();
    fs::write(p.at("wrong"), "incorrect horse\n").unwrap();
    let out = add("\"$1\" slot add --keystore keys passphrase --new-passphrase-fd 3 3<pass");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let before = fs::read(p.at("keys/kms.db")).unwrap();
    let out = add("\"$1\" --json slot list --keystore keys --passphrase-fd 3 3<wrong");
    let said: serde_json::Value = serde_json::from_slice(&out.stderr).unwrap();
    assert_eq!((said["error"].as_str(), said["exit"].as_i64()), (Some("locked"), Some(10)));
    assert_eq!(fs::read(p.at("keys/kms.db")).unwrap(), before);
    let out = add("\"$1\" --json slot list --keystore keys --passphrase-fd 3 3<pass");
    let slots: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(slots["slots"].as_array().map(Vec::len), Some(2));
}

/// What keys are called, who may use them beside the policy, and their labels.
#[test]
fn names_grants_and_labels_of_keys() {
    let place = Place::new();
    let ask = |words: &[&str]| {
        let args: Vec<&str> =
            ["--json"].iter().chain(words).chain(&["--keystore", "keys"]).copied().collect();
        let out = place.run(&args);
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap_or(serde_json::Value::Null)
    };
    let made = ask(&["key", "create"]);
    let key = made["KeyId"].as_str().unwrap();
    ask(&["alias", "create", "alias/b", key]);
    ask(&["alias", "create", "alias/a", key]);
    let named = ask(&["alias", "list"]);
    let names: Vec<_> = named["aliases"].as_array().unwrap().iter().map(|n| &n["alias"]).collect();
    assert_eq!(names, ["alias/a", "alias/b"]);
    let other = ask(&["key", "create"])["KeyId"].as_str().unwrap().to_owned();
    ask(&["alias", "update", "alias/b", &other]);
    assert_eq!(ask(&["alias", "list"])["aliases"][1]["key_id"], other.as_str());
    ask(&["alias", "delete", "alias/b"]);

    let user = "arn:aws:iam::111122223333:user/guest";
    let granted = ask(&[
        "grant",
        "create",
        "alias/a",
        "--to",
        user,
        "--allow",
        "Decrypt,DescribeKey",
        "--for",
        "2h",
        "--context",
        "project=x",
    ]);
    let listed = ask(&["grant", "list", "alias/a"]);
    let grant = &listed["grants"][0];
    assert_eq!((&grant["grant_id"], &grant["ends"]), (&granted["grant_id"], &granted["ends"]));
    assert!(granted["ends"].as_str().unwrap().ends_with('Z'));
    assert_eq!(grant["operations"], serde_json::json!(["Decrypt", "DescribeKey"]));
    assert_eq!(grant["context"], serde_json::json!({"project": "x"}));
    let shown = place.run(&["grant", "list", "alias/a", "--keystore", "keys"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("GRANT ID") && shown.contains("project=x"), "{shown}");
    ask(&["grant", "revoke", "alias/a", granted["grant_id"].as_str().unwrap()]);
    assert_eq!(ask(&["grant", "list", "alias/a"])["grants"], serde_json::json!([]));

    ask(&["tag", "set", "alias/a", "team=storage", "cost=7=8"]);
    assert_eq!(
        ask(&["tag", "list", "alias/a"])["tags"],
        serde_json::json!({"cost": "7=8", "team": "storage"})
    );
    ask(&["tag", "remove", "alias/a", "cost"]);
    assert_eq!(ask(&["tag", "list", "alias/a"])["tags"], serde_json::json!({"team": "storage"}));

    place.refused(
        &["grant", "create", "alias/a", "--to", user, "--allow", "Fly", "--keystore", "keys"],
        1,
        "Fly",
    );
}
