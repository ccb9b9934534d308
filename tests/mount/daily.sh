#!/usr/bin/env bash
# A day's work inside a mount, then the same tree after an unmount and a remount.
. "$(dirname "$0")/lib/lib.sh"
need git sqlite3 rsync setfattr getfattr setfacl getfacl tar cargo python3

FILES=2400

describe() { python3 "$TOP/tests/mount/lib/seen.py" "$1"; }

holes() { # the map of data and holes of a file, as offsets
    python3 - "$1" <<'PY'
import os, sys
fd, at, out = os.open(sys.argv[1], os.O_RDONLY), 0, []
end = os.fstat(fd).st_size
while at < end:
    try:
        data = os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        break
    at = os.lseek(fd, data, os.SEEK_HOLE)
    out.append((data, at))
print(end, out)
PY
}

read_ahead() { cat "/sys/class/bdi/$(mountpoint -d "$MNT")/read_ahead_kb"; }
check "mount an empty directory" mount_volume
same "the kernel reads ahead, KiB" 4096 "$(read_ahead)"

# ---- a source tree
python3 "$TOP/tests/mount/lib/make_tree.py" "$WORK/plain" $FILES --odd
tar -C "$WORK" --format=posix -cf "$WORK/tree.tar" plain
check "untar $FILES files" tar -C "$MNT" -xf "$WORK/tree.tar"
same "the tree is the same" "$(describe "$WORK/plain")" "$(describe "$MNT/plain")"
check "diff agrees" diff -r --no-dereference "$WORK/plain" "$MNT/plain"

# ---- git
(cd "$WORK/plain" && git init -q . && git config user.email a@example.org && git config user.name a &&
    git config gc.auto 0 && git add -A && git commit -qm one) >/dev/null 2>&1
check "git clone" git -c safe.directory='*' clone -q --no-local "$WORK/plain" "$MNT/clone"
check "git fsck" git -C "$MNT/clone" -c safe.directory='*' fsck --full --strict
check "git clone inside the mount, hard links" git -c safe.directory='*' clone -q --local "$MNT/clone" "$MNT/clone2"
check "git gc" git -C "$MNT/clone2" -c safe.directory='*' gc -q
check "git fsck of the local clone" git -C "$MNT/clone2" -c safe.directory='*' fsck --full
same "git status is clean" "" "$(git -C "$MNT/clone" -c safe.directory='*' status --porcelain)"

# ---- sqlite
for mode in DELETE WAL; do
    check "sqlite3, 100,000 rows, $mode" sqlite3 "$MNT/$mode.db" "
        PRAGMA journal_mode=$mode; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB); BEGIN;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        INSERT INTO t SELECT i, 'row ' || i, randomblob(40) FROM n; COMMIT;
        CREATE INDEX ta ON t(a); UPDATE t SET a = a || '!' WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0; VACUUM;"
    same "integrity_check, $mode" "ok" "$(sqlite3 "$MNT/$mode.db" 'PRAGMA integrity_check')"
    same "rows, $mode" "90910" "$(sqlite3 "$MNT/$mode.db" 'SELECT count(*) FROM t')"
done
check "sqlite3, many small transactions" sqlite3 "$MNT/WAL.db" "$(for i in $(seq 200); do echo "INSERT INTO t(a) VALUES('t$i');"; done)"

# ---- cargo
mkdir -p "$MNT/crate/src"
printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n' >"$MNT/crate/Cargo.toml"
printf 'fn main() { println!("built in a mount"); }\n#[test]\nfn t() { assert_eq!(1 + 1, 2); }\n' >"$MNT/crate/src/main.rs"
check "cargo build" env -u CARGO_TARGET_DIR cargo build -q --offline --manifest-path "$MNT/crate/Cargo.toml"
same "what was built runs" "built in a mount" "$("$MNT/crate/target/debug/small" 2>&1)"
check "cargo test" env -u CARGO_TARGET_DIR cargo test -q --offline --manifest-path "$MNT/crate/Cargo.toml"

# ---- rsync
check "rsync" rsync -a --checksum "$WORK/plain/" "$MNT/rsynced/"
same "rsync again has nothing to do" "" "$(rsync -a --checksum --itemize-changes "$WORK/plain/" "$MNT/rsynced/")"

# ---- attributes of all kinds
mkdir -p "$MNT/kinds/acl"
(
    cd "$MNT/kinds" || exit
    echo content >file && ln file second && ln file third && ln -s file link && mkfifo fifo && mknod null c 1 3
    chmod 4751 second
    setfattr -n user.comment -v "a value" file
    setfattr -n user.empty file
    setfacl -m u:1234:rwx,g:4321:r,m::rx file
    setfacl -d -m u:1234:rw acl
    touch acl/inherits
    chown 1234:4321 acl
    touch -d '2001-02-03 04:05:06.123456789' -m file
    touch -h -d '1999-01-01 00:00:00.5' link
    touch -d '2010-10-10 10:10:10.101010101' acl
    python3 - <<'PY'
import os
fd = os.open("sparse", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"start", 0)
os.pwrite(fd, b"middle", 40 << 20)
os.ftruncate(fd, 100 << 20)
PY
)
same "a set default ACL is inherited" "user:1234:rw-" "$(getfacl -cp "$MNT/kinds/acl/inherits" | grep 1234 | cut -c1-13)"
# The umask counts unless a default ACL decides: of a directory as it was made, after it got one, below that, after it lost it.
masked() (
    mkdir "$1" && cd "$1" && umask 077 || exit
    mkdir new && mkdir new/plain && touch new/plain/file && touch new/before
    setfacl -d -m u:1234:rw,m::rw new && touch new/after && mkdir new/below && touch new/below/file && mkdir new/below/deep && touch new/below/deep/file
    setfacl -k new && touch new/without && mkdir new/bare && touch new/bare/file
    find . -mindepth 2 | sort | xargs stat -c '%n %a' && find . -mindepth 2 | sort | xargs getfacl -p
)
same "umask and default ACLs, as on the lower filesystem" "$(masked "$WORK/masked")" "$(masked "$MNT/masked")"
rm -rf "$MNT/masked"
ACL=$(getfacl -cp "$MNT/kinds/file")
HOLES=$(holes "$MNT/kinds/sparse")
USED=$(stat -c %b "$MNT/kinds/sparse")
check "a sparse file takes no room" test "$USED" -lt 2000
check "cp keeps holes" cp --sparse=always "$MNT/kinds/sparse" "$MNT/kinds/sparse2"
check "the copy takes no room" test "$(stat -c %b "$MNT/kinds/sparse2")" -lt 2000
sync
BEFORE=$(describe "$MNT")
same "a device node is one" "character special file 1:3" "$(stat -c '%F %t:%T' "$MNT/kinds/null")"

# ---- and after a remount
check "unmount" unmount_volume
same "nothing is mounted" "" "$(mounts_below "$WORK")"
check "remount" mount_volume "$LOWER" "$MNT" readahead=512
same "the kernel reads ahead as much as asked for, KiB" 512 "$(read_ahead)"
same "after the remount everything is the same" "$BEFORE" "$(describe "$MNT")"
same "ACLs are the same" "$ACL" "$(getfacl -cp "$MNT/kinds/file")"
same "holes are the same" "$HOLES" "$(holes "$MNT/kinds/sparse")"
same "the hard links are one file" "3" "$(stat -c %h "$MNT/kinds/file")"
same "the mtime has its nanoseconds" "2001-02-03 04:05:06.123456789" "$(TZ=UTC stat -c %y "$MNT/kinds/file" | cut -c1-29)"
check "git fsck after the remount" git -C "$MNT/clone" -c safe.directory='*' fsck --full
same "integrity_check after the remount" "ok" "$(sqlite3 "$MNT/WAL.db" 'PRAGMA integrity_check')"
same "rsync after the remount has nothing to do" "" "$(rsync -a --checksum --itemize-changes "$WORK/plain/" "$MNT/rsynced/")"

# ---- the lower tree moves like any other: a copy of it is the same volume
check "rm -rf" rm -rf "$MNT/clone2" "$MNT/crate"
BEFORE=$(describe "$MNT")
check "unmount" unmount_volume
check "copy the lower tree" cp -a "$LOWER" "$WORK/copied"
check "mount the copy" mount_volume "$WORK/copied"
same "the copy shows the same" "$BEFORE" "$(describe "$MNT")"
check "unmount the copy" unmount_volume
finish
