//! What each kind of vector does with the code, and the word for how it ended.
//!
//! `ok` means that everything the vector states was found so; a difference in what it states is a
//! failure of the test, not an outcome. Errors go by the name of their variant.

use kmsfs::crypto::{Label, Suite, derive, mac};
use kmsfs::format::{
    BLOCK, Binding, BlockNo, CipherLen, CipherName, DirKeys, Entry, FileId, FileKeys, Header,
    HeaderKey, Internal, LowerName, NodeNo, PageNo, PlainLen, Seal, VolumeId, VolumeKeys,
    cipher_len, classify, link_tag, newest, parse_descriptor, parse_slot, parse_slots, plain_len,
    xor_mac,
};
use kmsfs::secret::Secret;

use super::{Vector, unhex};

/// Runs a vector; the result is to be compared with its `expect:`.
pub fn run(v: &Vector) -> String {
    match v.text("what") {
        "derive" => equal(derive(&key(v), label(v), &v.bytes("context")).expose(), &v.bytes("out")),
        "mac" => {
            let parts: Vec<Vec<u8>> = v.text("parts").split_whitespace().map(unhex).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            equal(&mac(&key(v), &parts), &v.bytes("out"))
        }
        "header" => header(v),
        "slots" => slots(v),
        "block" => block(v),
        "entry" => entry(v),
        "index" => index(v),
        "root" => root(v),
        "name" => name(v),
        "long-name" => long_name(v),
        "lower" => lower(v),
        "link-tag" => {
            let tag = link_tag(&dir_keys(v), &v.bytes("name"), &FileId(v.array("target")));
            equal(&tag, &v.bytes("tag"))
        }
        "target" => target(v),
        "xattr" => xattr(v),
        "volume" => volume(v),
        "size" => size(v),
        "lower-size" => plain_len(CipherLen(v.number("lower")))
            .map_or("none".to_owned(), |len| panic!("{}: a plaintext size of {len:?}", v.name)),
        other => panic!("{}: unknown kind {other}", v.name),
    }
}

fn header(v: &Vector) -> String {
    let parsed = match parse_slot(&v.bytes("slot")) {
        Ok(parsed) => parsed,
        Err(e) => return kebab(&e),
    };
    let keys = HeaderKey::new(parsed.kind(), &key(v), parsed.suite(), &parsed.id());
    let header = match parsed.verify(&keys) {
        Ok(header) => header,
        Err(e) => return kebab(&e),
    };
    check_header(v, &header);
    assert_eq!(header.encode(&keys).unwrap()[..], v.bytes("slot"), "{}: encoded again", v.name);
    "ok".to_owned()
}

fn check_header(v: &Vector, header: &Header) {
    let flags = u8::from(header.clean)
        | u8::from(header.multi_link) << 1
        | u8::from(header.mtime.is_some()) << 2;
    let mtime = header.mtime.map(|(s, n)| format!("{s} {n}"));
    assert_eq!(header.kind.number(), v.number::<u8>("kind"), "{}", v.name);
    assert_eq!(header.suite.number(), v.number::<u8>("suite"), "{}", v.name);
    assert_eq!(flags, v.number::<u8>("flags"), "{}", v.name);
    assert_eq!(header.generation, v.number::<u64>("generation"), "{}", v.name);
    assert_eq!(header.session, v.number::<u64>("session"), "{}", v.name);
    assert_eq!(header.id, FileId(v.array("id")), "{}", v.name);
    assert_eq!(header.size, v.number::<u64>("size"), "{}", v.name);
    assert_eq!(header.root, v.array("root"), "{}", v.name);
    assert_eq!(header.writes, v.number::<u64>("writes"), "{}", v.name);
    assert_eq!(mtime.as_deref(), v.optional("mtime"), "{}", v.name);
    assert_eq!(header.wrapped.key_id, v.text("key-id"), "{}", v.name);
    assert_eq!(header.wrapped.version, v.number::<u32>("key-version"), "{}", v.name);
    assert_eq!(header.wrapped.blob, v.bytes("blob"), "{}", v.name);
}

fn slots(v: &Vector) -> String {
    for (slot, parsed) in newest(parse_slots(&v.bytes("page"))) {
        let keys = HeaderKey::new(parsed.kind(), &key(v), parsed.suite(), &parsed.id());
        if let Ok(header) = parsed.verify(&keys) {
            assert_eq!(format!("{slot} {}", header.generation), v.text("picked"), "{}", v.name);
            return "ok".to_owned();
        }
    }
    "none".to_owned()
}

fn block(v: &Vector) -> String {
    let (keys, number) = (file_keys(v), BlockNo(v.number("block")));
    let seal = Seal { nonce: v.array("nonce"), tag: v.array("tag") };
    let mut data: [u8; BLOCK] = v.array("data");
    if let Err(e) = keys.block().open(number, &seal, &mut data) {
        assert_eq!(data, [0; BLOCK], "{}: nothing comes out of a block that fails", v.name);
        return kebab(&e);
    }
    assert_eq!(data[..], v.bytes("plain"), "{}", v.name);
    assert_eq!(keys.block().seal(number, &mut data, seal.nonce), seal, "{}", v.name);
    assert_eq!(data[..], v.bytes("data"), "{}", v.name);
    "ok".to_owned()
}

fn entry(v: &Vector) -> String {
    let mut page = v.bytes("page");
    let index = v.number("index");
    let entry = Entry::read(&page, index);
    if v.optional("cur").is_none() {
        return if entry.cur.is_hole() || entry.prev.is_hole() { "hole" } else { "not-a-hole" }
            .to_owned();
    }
    assert_eq!([entry.cur.nonce, entry.cur.tag].concat(), v.bytes("cur"), "{}", v.name);
    assert_eq!([entry.prev.nonce, entry.prev.tag].concat(), v.bytes("prev"), "{}", v.name);
    assert_eq!(entry.cur.is_hole(), v.bytes("cur") == [0; 32], "{}", v.name);
    page.fill(0xEE);
    entry.write(&mut page, index);
    assert_eq!(Entry::read(&page, index), entry, "{}", v.name);
    assert!(page[..index * 64].iter().all(|&b| b == 0xEE), "{}", v.name);
    "ok".to_owned()
}

fn index(v: &Vector) -> String {
    let (keys, number, page) = (file_keys(v), v.number("number"), v.bytes("page"));
    let found = match v.text("kind") {
        "entries" => keys.index().entry_page_mac(PageNo(number), &page),
        "node" => keys.index().node_mac(NodeNo(number), &page),
        other => panic!("{}: {other}", v.name),
    };
    equal(&found, &v.bytes("mac"))
}

fn root(v: &Vector) -> String {
    let keys = file_keys(v);
    let mut root = keys.index().entry_page_mac(PageNo(0), &v.bytes("entries"));
    for j in v.text("nodes").split_whitespace() {
        xor_mac(&mut root, &keys.index().node_mac(NodeNo(j.parse().unwrap()), &v.bytes("node")));
    }
    equal(&root, &v.bytes("root"))
}

fn name(v: &Vector) -> String {
    let keys = dir_keys(v);
    let lower = v.text("lower");
    match keys.decrypt_name(if lower == "-" { b"" } else { lower.as_bytes() }) {
        Err(e) => kebab(&e),
        Ok(name) => {
            assert_eq!(name, v.bytes("name"), "{}", v.name);
            let again = keys.encrypt_name(&name).unwrap();
            assert_eq!(again, CipherName::Short(lower.to_owned()), "{}", v.name);
            assert_eq!(classify(lower.as_bytes()), LowerName::Short, "{}", v.name);
            "ok".to_owned()
        }
    }
}

fn long_name(v: &Vector) -> String {
    let (keys, lower, content) = (dir_keys(v), v.text("lower"), v.bytes("content"));
    match keys.decrypt_long(lower.as_bytes(), &content) {
        Err(e) => kebab(&e),
        Ok(name) => {
            assert_eq!(name, v.bytes("name"), "{}", v.name);
            let sidecar = format!("{lower}.n");
            let long = CipherName::Long { name: lower.to_owned(), sidecar, content };
            assert_eq!(keys.encrypt_name(&name).unwrap(), long, "{}", v.name);
            "ok".to_owned()
        }
    }
}

fn lower(v: &Vector) -> String {
    match classify(v.text("lower").as_bytes()) {
        LowerName::Short => "short",
        LowerName::Long => "long",
        LowerName::Sidecar => "sidecar",
        LowerName::Internal(Internal::VolumeDir) => "volume-dir",
        LowerName::Internal(Internal::DirHeader) => "dir-header",
        LowerName::Foreign => "foreign",
    }
    .to_owned()
}

fn target(v: &Vector) -> String {
    let keys = VolumeKeys::new(&key(v), &VolumeId(v.array("volume")));
    let name = v.bytes("name");
    let binding = Binding::Name { dir: FileId(v.array("dir")), name: &name };
    let spilled = v.optional("spilled").filter(|s| *s != "none").map(unhex);
    match keys.open_target(binding, v.text("text").as_bytes(), spilled.as_deref()) {
        Err(e) => kebab(&e),
        Ok((target, found)) => {
            assert_eq!(target, v.bytes("target"), "{}", v.name);
            assert_eq!(found == binding, v.text("bound") == "yes", "{}", v.name);
            assert_eq!(found == Binding::Unbound, v.text("bound") == "no", "{}", v.name);
            "ok".to_owned()
        }
    }
}

fn xattr(v: &Vector) -> String {
    let keys = file_keys(v);
    let lower_name = v.text("lower-name");
    match keys.xattr().open_xattr(lower_name.as_bytes(), &v.bytes("lower-value")) {
        Err(e) => kebab(&e),
        Ok((name, value)) => {
            assert_eq!((&name, &value), (&v.bytes("name"), &v.bytes("value")), "{}", v.name);
            assert_eq!(keys.xattr().lower_name(&name), lower_name, "{}", v.name);
            "ok".to_owned()
        }
    }
}

fn volume(v: &Vector) -> String {
    let parsed = match parse_descriptor(&v.bytes("page")) {
        Ok(parsed) => parsed,
        Err(e) => return kebab(&e),
    };
    let keys = VolumeKeys::new(&key(v), &parsed.id());
    let found = match parsed.verify(&keys) {
        Ok(descriptor) => descriptor,
        Err(e) => return kebab(&e),
    };
    let records: Vec<String> = found
        .unclean
        .iter()
        .map(|r| {
            let kind = r.kind as u8;
            format!("{} {} {kind} {} {} {}", r.first, r.last, r.start, r.end, r.lower_mount)
        })
        .collect();
    assert_eq!(found.id, VolumeId(v.array("id")), "{}", v.name);
    assert_eq!(found.suite, suite(v), "{}", v.name);
    assert_eq!(found.root, FileId(v.array("root")), "{}", v.name);
    assert_eq!(found.generation, v.number::<u64>("generation"), "{}", v.name);
    assert_eq!(found.session, v.number::<u64>("session"), "{}", v.name);
    assert_eq!(found.wrapped.version, v.number::<u32>("key-version"), "{}", v.name);
    assert_eq!(records.join(" / "), v.text("records"), "{}", v.name);
    assert_eq!(found.encode(&keys).unwrap()[..], v.bytes("page"), "{}: encoded again", v.name);
    "ok".to_owned()
}

fn size(v: &Vector) -> String {
    let plain = PlainLen(v.number("plain"));
    let Some(lower) = cipher_len(plain) else { return "none".to_owned() };
    assert_eq!(lower, CipherLen(v.number("lower")), "{}", v.name);
    assert_eq!(plain_len(lower), Some(plain), "{}", v.name);
    "ok".to_owned()
}

fn key(v: &Vector) -> Secret<[u8; 32]> {
    Secret::new(v.array("key"))
}

fn suite(v: &Vector) -> Suite {
    Suite::from_u8(v.number("suite")).unwrap()
}

fn file_keys(v: &Vector) -> FileKeys {
    FileKeys::new(&key(v), suite(v), &FileId(v.array("id")))
}

fn dir_keys(v: &Vector) -> DirKeys {
    DirKeys::new(&key(v), &FileId(v.array("id")))
}

fn label(v: &Vector) -> Label {
    match v.text("label") {
        "header" => Label::Header,
        "block aes-256-gcm-siv" => Label::Block(Suite::Aes256GcmSiv),
        "block xchacha20-poly1305" => Label::Block(Suite::XChaCha20Poly1305),
        "index" => Label::Index,
        "root" => Label::Root,
        "names" => Label::Names,
        "link" => Label::Link,
        "symlink" => Label::Symlink,
        "xattr" => Label::Xattr,
        "xattr name" => Label::XattrName,
        "volume" => Label::Volume,
        other => panic!("{}: unknown label {other}", v.name),
    }
}

fn equal(found: &[u8], stated: &[u8]) -> String {
    if found == stated { "ok" } else { "differs" }.to_owned()
}

/// `TooNew { found: 2 }` becomes `too-new`.
fn kebab(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let variant = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut out = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}
