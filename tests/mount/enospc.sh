#!/usr/bin/env bash
# A full disk reaches the writer as ENOSPC, a full quota as EDQUOT, and nothing that was written before is harmed.
. "$(dirname "$0")/lib/lib.sh"
need mkfs.ext4 mkfs.btrfs btrfs pgrep python3

fill() { # errno that a writer with fsync ends with, filling the mount
    python3 - "$1" "$2" <<'PY'
import os, sys
path, total = sys.argv[1], int(sys.argv[2])
code = 0
try:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        for _ in range(total):
            os.write(fd, os.urandom(1 << 20))
        os.fsync(fd)
    finally:
        os.close(fd)
except OSError as error:
    code = error.errno
print(code)
PY
}

for kind in ext4 tmpfs; do
    disk=$WORK/$kind
    mkdir -p "$disk"
    if [ $kind = ext4 ]; then
        truncate -s 64M "$WORK/disk.img" && mkfs.ext4 -q -F -m 0 "$WORK/disk.img"
        check "a small ext4" mount -o loop "$WORK/disk.img" "$disk"
    else
        check "a small tmpfs" mount -t tmpfs -o size=48M tmpfs "$disk"
    fi
    STORE=$WORK/store-$kind lower=$disk/lower
    mkdir -p "$lower" "$STORE"
    check "mount on $kind" mount_volume "$lower"
    for n in $(seq 40); do head -c 50000 /dev/urandom >"$MNT/before$n"; done
    head -c 4000000 /dev/urandom >"$MNT/big"
    echo small >"$MNT/small"
    sync "$MNT/big" "$MNT/small"
    before=$(cd "$MNT" && sha256sum -- *)
    same "$kind: a writer gets ENOSPC" 28 "$(fill "$MNT/full" 200)"
    same "$kind: everything before is unharmed" "$before" "$(cd "$MNT" && sha256sum -- before* big small)"
    same "$kind: so does a second one" 28 "$(fill "$MNT/full2" 200)"
    # Overwriting what is there: it may fail or not, but never damages the file.
    python3 - "$MNT/big" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
old = os.pread(fd, 4096, 40960)
try:
    os.pwrite(fd, old, 40960)
    os.fsync(fd)
except OSError:
    pass
PY
    for n in $(seq 100); do echo x >"$MNT/tiny$n"; done 2>/dev/null
    check "$kind: unlink works on a full disk" rm "$MNT/full" "$MNT/full2"
    rm -f "$MNT"/tiny*
    check "$kind: then there is room again" sh -c "head -c 1000000 /dev/urandom >'$MNT/after'"
    rm -f "$MNT/after"
    check "$kind: unmount" unmount_volume
    check "$kind: remount" mount_volume "$lower"
    same "$kind: after the remount everything is unharmed" "$before" "$(cd "$MNT" && sha256sum -- before* big small)"
    # Full below the mount by somebody else, then a mount and an unmount on no room at all.
    unmount_volume
    head -c 100M /dev/zero >"$disk/somebody" 2>/dev/null
    if mount_volume "$lower" "$MNT" ro 2>"$WORK/err"; then
        same "$kind: read-only on a full disk" "$before" "$(cd "$MNT" && sha256sum -- before* big small)"
        unmount_volume
    else
        fail "$kind: read-only on a full disk" "$(cat "$WORK/err")"
    fi
    rm "$disk/somebody"
    check "$kind: mounts again" mount_volume "$lower"
    same "$kind: still unharmed" "$before" "$(cd "$MNT" && sha256sum -- before* big small)"
    check "$kind: unmount" unmount_volume
    umount "$disk"
done
# A quota below; btrfs has its own, whatever the kernel was built with. What binds the server binds its users, and
# ext4's quotas bind nobody who has CAP_SYS_RESOURCE: so it must not have that.
disk=$WORK/btrfs STORE=$WORK/store-btrfs lower=$WORK/btrfs/limited
mkdir -p "$disk" "$STORE"
truncate -s 200M "$WORK/btrfs.img" && mkfs.btrfs -q "$WORK/btrfs.img"
check "a small btrfs" mount -o loop "$WORK/btrfs.img" "$disk"
check "with a limit" sh -c "btrfs quota enable '$disk' && btrfs subvolume create '$lower' && btrfs qgroup limit 16M '$lower'"
check "mount below the limit" mount_volume "$lower"
pid=$(pgrep -f -x "$KMSFS mount $lower $MNT .*")
same "the server has no right to exceed one" 0 "$(($(awk '/^CapEff/ { print "0x" $2 }' "/proc/$pid/status") >> 24 & 1))"
head -c 2000000 /dev/urandom >"$MNT/before" && sync "$MNT/before"
before=$(sha256sum <"$MNT/before")
same "a writer gets EDQUOT" 122 "$(fill "$MNT/full" 60)"
same "and what was there is unharmed" "$before" "$(sha256sum <"$MNT/before")"
check "unmount from below the limit" unmount_volume
check "mount again, read-only, at the limit" mount_volume "$lower" "$MNT" ro
same "and it is unharmed still" "$before" "$(sha256sum <"$MNT/before")"
check "unmount at the limit" unmount_volume
# Whoever has the right can make room: a volume at its limit mounts, reads, and lets names be removed.
check "mount again, to make room" mount_volume "$lower"
same "it reads" "$before" "$(sha256sum <"$MNT/before")"
same "a new file is EDQUOT still" 122 "$(errno_of 'os.write(os.open(args[0], os.O_CREAT | os.O_WRONLY), b"x" * 100000)' "$MNT/new")"
check "a big file goes" rm "$MNT/full"
# btrfs counts again when it has written down what went.
room() {
    for _ in $(seq 30); do
        sync -f "$lower"
        head -c 1000000 /dev/urandom 2>/dev/null >"$MNT/new" && sync "$MNT/new" && return
        sleep 0.3
    done
    return 1
}
check "and then there is room" room
after=$(sha256sum <"$MNT/new")
check "unmount with room" unmount_volume
check "fsck" "$KMSFS" fsck "$lower" --keystore "$STORE" --data
check "mount with room" mount_volume "$lower"
same "all is there" "$before$after" "$(sha256sum <"$MNT/before")$(sha256sum <"$MNT/new")"
check "unmount" unmount_volume
umount "$disk"
finish
