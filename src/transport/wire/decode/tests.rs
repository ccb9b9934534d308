//! One request of each operation, its bytes written out field by field as the kernel lays them.

use super::*;

/// Little-endian fields: `64:` and `32:` numbers.
macro_rules! bytes {
    ($($width:literal: $value:expr),* $(,)?) => {{
        let mut b: Vec<u8> = Vec::new();
        $(match $width {
            64 => b.extend(&i128::from($value).to_le_bytes()[..8]),
            32 => b.extend(&i128::from($value).to_le_bytes()[..4]),
            _ => unreachable!(),
        })*
        b
    }};
}

fn of<'a>(opcode: u32, args: &[u8], input: &'a [u8]) -> Result<Op<'a>, Errno> {
    decode(&InHeader { opcode, nodeid: 3, ..InHeader::default() }, args, input)
}

#[track_caller]
fn is(opcode: u32, args: &[u8], input: &[u8], expected: Op<'_>) {
    assert_eq!(of(opcode, args, input), Ok(expected));
    // What a ring delivers has whatever was there before behind the struct.
    let stale = [args, &[0xee; 40]].concat();
    assert!(of(opcode, &stale, input).is_ok());
    for cut in 0..args.len() {
        let result = of(opcode, &args[..cut], input);
        // SETXATTR was shorter once, and nothing in OPENDIR matters.
        let short = opcode == op::SETXATTR && cut >= 8 || opcode == op::OPENDIR;
        assert!(result.is_err() || short, "{opcode} of {cut} bytes");
    }
    for cut in 0..input.len() {
        assert!(of(opcode, args, &input[..cut]).is_err(), "{opcode} with {cut} bytes behind it");
    }
}

#[test]
fn names() {
    is(1, &[], b"name\0", Op::Lookup { name: b"name" });
    is(10, &[], b"name\0", Op::Unlink { name: b"name" });
    is(11, &[], b"name\0", Op::Rmdir { name: b"name" });
    is(24, &[], b"user.a\0", Op::Removexattr { name: b"user.a" });
    is(6, &[], b"name\0../target\0", Op::Symlink { name: b"name", target: b"../target" });
    let to = Ino(9);
    let renamed = Op::Rename { name: b"old", to, new_name: b"new", flags: 0 };
    is(12, &bytes![64: 9], b"old\0new\0", renamed);
    let exchanged = Op::Rename { name: b"old", to, new_name: b"new", flags: 2 };
    is(45, &bytes![64: 9, 32: 2, 32: 0], b"old\0new\0", exchanged);
    is(13, &bytes![64: 7], b"name\0", Op::Link { ino: Ino(7), name: b"name" });
    let node = Op::Mknod { name: b"null", mode: 0o20666, umask: 0o22, rdev: 0x103 };
    is(8, &bytes![32: 0o20666, 32: 0x103, 32: 0o22, 32: 0], b"null\0", node);
    let dir = Op::Mkdir { name: b"dir", mode: 0o755, umask: 0o22 };
    is(9, &bytes![32: 0o755, 32: 0o22], b"dir\0", dir);
    let file = Op::Create { name: b"f", mode: 0o644, umask: 0o22, flags: 0x8042 };
    is(35, &bytes![32: 0x8042, 32: 0o644, 32: 0o22, 32: 0], b"f\0", file);
    let nameless = Op::Tmpfile { mode: 0o600, umask: 0o77, flags: 0x41_0002 };
    is(51, &bytes![32: 0x41_0002, 32: 0o600, 32: 0o77, 32: 0], b"#1\0", nameless);
}

#[test]
fn attributes() {
    is(3, &bytes![32: 0, 32: 0, 64: 5], &[], Op::Getattr { fh: None });
    is(3, &bytes![32: 1, 32: 0, 64: 5], &[], Op::Getattr { fh: Some(Fh(5)) });
    is(52, &bytes![32: 0, 32: 0, 64: 5, 32: 0, 32: 0x800], &[], Op::Statx { fh: None });
    is(52, &bytes![32: 1, 32: 0, 64: 5, 32: 0, 32: 0x800], &[], Op::Statx { fh: Some(Fh(5)) });
    is(34, &bytes![32: 4, 32: 0], &[], Op::Access { mask: 4 });
    is(5, &[], &[], Op::Readlink);
    is(17, &[], &[], Op::Statfs);
    let args = |valid: u32, atime: i64, atimensec: u32| {
        bytes![
            32: valid, 32: 0, 64: 5, 64: 4096, 64: 0, 64: atime, 64: 20, 64: 30,
            32: atimensec, 32: 2, 32: 3, 32: 0o100_640, 32: 0, 32: 1000, 32: 1001, 32: 0,
        ]
    };
    let nothing = SetAttr::default();
    is(4, &args(0, 0, 0), &[], Op::Setattr { fh: None, set: nothing, kill_suidgid: false });
    let epoch = SystemTime::UNIX_EPOCH;
    let all = SetAttr {
        mode: Some(0o640),
        uid: Some(1000),
        gid: Some(1001),
        size: Some(4096),
        atime: Some(SetTime::At(epoch - Duration::new(10, 0) + Duration::from_nanos(1))),
        mtime: Some(SetTime::At(epoch + Duration::new(20, 2))),
        keep_owner: false,
    };
    let expected = Op::Setattr { fh: Some(Fh(5)), set: all, kill_suidgid: true };
    is(4, &args(0x87f, -10, 1), &[], expected);
    let now = SetAttr { atime: Some(SetTime::Now), mtime: Some(SetTime::Now), ..nothing };
    is(4, &args(0x1b0, 0, 0), &[], Op::Setattr { fh: None, set: now, kill_suidgid: false });
    let kept = SetAttr { keep_owner: true, ..nothing };
    is(4, &args(0x400, 0, 0), &[], Op::Setattr { fh: None, set: kept, kill_suidgid: false });
    assert_eq!(of(4, &args(0x10, 0, 1_000_000_000), &[]), Err(Errno::EINVAL));
    assert!(of(4, &args(0x10, i64::MIN, 0), &[]).is_ok(), "the earliest time there is");
}

#[test]
fn files() {
    is(14, &bytes![32: 0x8201, 32: 1], &[], Op::Open { flags: 0x8201, kill_suidgid: true });
    let args = bytes![64: 5, 64: 1u64 << 40, 32: 65536, 32: 0, 64: 0, 32: 0x8000, 32: 0];
    is(15, &args, &[], Op::Read { fh: Fh(5), offset: 1 << 40, size: 65536 });
    let write = |flags: u32| bytes![64: 5, 64: 10, 32: 3, 32: flags, 64: 0, 32: 1, 32: 0];
    let op = |from, kill_suidgid| Op::Write { fh: Fh(5), offset: 10, size: 3, from, kill_suidgid };
    is(16, &write(0), b"abc", op(WriteFrom::Program, false));
    is(16, &write(1), b"abc", op(WriteFrom::PageCache, false));
    is(16, &write(4), b"abc", op(WriteFrom::Program, true));
    is(18, &bytes![64: 5, 32: 0, 32: 0, 64: 0], &[], Op::Release { fh: Fh(5) });
    is(25, &bytes![64: 5, 32: 0, 32: 0, 64: 0], &[], Op::Flush { fh: Fh(5) });
    is(20, &bytes![64: 5, 32: 0, 32: 0], &[], Op::Fsync { fh: Fh(5), datasync: false });
    is(20, &bytes![64: 5, 32: 1, 32: 0], &[], Op::Fsync { fh: Fh(5), datasync: true });
    let hole = Op::Fallocate { fh: Fh(5), offset: 1, len: 2, mode: 3 };
    is(43, &bytes![64: 5, 64: 1, 64: 2, 32: 3, 32: 0], &[], hole);
    let data = Op::Lseek { fh: Fh(5), offset: 7, whence: 3 };
    is(46, &bytes![64: 5, 64: 7, 32: 3, 32: 0], &[], data);
    let args = bytes![64: 5, 64: 1, 64: 8, 64: 6, 64: 2, 64: 100, 64: 0];
    let copy = |wide| {
        let to = (Ino(8), Fh(6), 2);
        Op::CopyFileRange { fh: Fh(5), offset: 1, to, len: 100, wide }
    };
    is(47, &args, &[], copy(false));
    is(53, &args, &[], copy(true));
}

#[test]
fn directories() {
    is(27, &bytes![32: 0, 32: 0], &[], Op::Opendir);
    let args = bytes![64: 5, 64: 9, 32: 4096, 32: 0, 64: 0, 32: 0, 32: 0];
    is(28, &args, &[], Op::Readdir { fh: Fh(5), offset: 9, size: 4096, plus: false });
    is(44, &args, &[], Op::Readdir { fh: Fh(5), offset: 9, size: 4096, plus: true });
    is(29, &bytes![64: 5, 32: 0, 32: 0, 64: 0], &[], Op::Releasedir { fh: Fh(5) });
    is(30, &bytes![64: 5, 32: 1, 32: 0], &[], Op::Fsyncdir { fh: Fh(5), datasync: true });
}

#[test]
fn extended_attributes() {
    let long = |kill: u32| bytes![32: 2, 32: 1, 32: kill, 32: 0];
    let op = |kill_sgid| Op::Setxattr { name: b"user.a", value: b"vv", flags: 1, kill_sgid };
    is(21, &long(0), b"user.a\0vv", op(false));
    is(21, &long(1), b"user.a\0vv", op(true));
    assert_eq!(of(21, &bytes![32: 2, 32: 1], b"user.a\0vv"), Ok(op(false)));
    is(22, &bytes![32: 64, 32: 0], b"user.a\0", Op::Getxattr { name: b"user.a", size: 64 });
    is(23, &bytes![32: 64, 32: 0], &[], Op::Listxattr { size: 64 });
}

#[test]
fn what_is_not_offered() {
    for opcode in [0, 7, 19, 31, 32, 33, 37, 39, 40, 48, 49, 50, 54, 4096, u32::MAX] {
        assert_eq!(of(opcode, &[0; 128], &[0; 64]), Err(Errno(libc::ENOSYS)), "{opcode}");
    }
}

#[test]
fn references_come_back() {
    let head = |opcode| InHeader { opcode, nodeid: 3, ..InHeader::default() };
    let one = |ino, count| Forgotten { ino: Ino(ino), count };
    assert_eq!(forgotten(&head(2), &bytes![64: 7], &[]), [one(3, 7)]);
    let three = bytes![64: 4, 64: 1, 64: 5, 64: 2, 64: 6, 64: 3];
    let many = forgotten(&head(42), &bytes![32: 3, 32: 0], &three);
    assert_eq!(many, [one(4, 1), one(5, 2), one(6, 3)]);
    // A count that the bytes do not bear out.
    assert_eq!(forgotten(&head(42), &bytes![32: u32::MAX, 32: 0], &three[..20]), [one(4, 1)]);
    assert_eq!(forgotten(&head(42), &[], &three), []);
    assert_eq!(forgotten(&head(1), &bytes![64: 7], &[]), []);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(opcode in 0u32..60, args: [u8; 32], input: Vec<u8>) {
        let _ = of(opcode, &args, &input);
        let head = InHeader { opcode, ..InHeader::default() };
        let _ = forgotten(&head, &args, &input);
    }
}
