#!/usr/bin/env bash
# The same work over every kind of lower filesystem, and what `kmsfs doctor` says of it.
. "$(dirname "$0")/lib/lib.sh"
need mkfs.ext4 mkfs.xfs mkfs.btrfs python3 rsync setfattr

disk() { # KIND: a lower filesystem of that kind at $WORK/KIND
    local kind=$1 at=$WORK/$1 image=$WORK/$1.img
    mkdir -p "$at"
    case $kind in
        ext4) truncate -s 256M "$image" && mkfs.ext4 -q -F "$image" && mount -o loop "$image" "$at" ;;
        xfs) truncate -s 400M "$image" && mkfs.xfs -q "$image" && mount -o loop "$image" "$at" ;;
        btrfs) truncate -s 256M "$image" && mkfs.btrfs -q "$image" && mount -o loop "$image" "$at" ;;
        tmpfs) mount -t tmpfs -o size=256M tmpfs "$at" ;;
        overlayfs)
            mkdir -p "$WORK/under" && mount -t tmpfs -o size=256M tmpfs "$WORK/under" &&
                mkdir "$WORK/under/"{one,two,work} &&
                mount -t overlay overlay -o "lowerdir=$WORK/under/one,upperdir=$WORK/under/two,workdir=$WORK/under/work" "$at"
            ;;
        fuse) mkdir -p "$WORK/deepest" && mount_volume "$WORK/deepest" "$at" suid ;;
    esac
}

# Everything once: names, links, holes, attributes, renames, a file that is open when it goes.
work_in() {
    python3 - "$1" <<'PY'
import os, sys
os.chdir(sys.argv[1])
data = os.urandom(3_000_000)
for n in range(50):
    os.makedirs(f"d{n % 5}", exist_ok=True)
    with open(f"d{n % 5}/f{n}", "wb") as file:
        file.write(data[:n * 5000])
    os.utime(f"d{n % 5}/f{n}", ns=(1_500_000_000_123_456_000 + n, 1_600_000_000_123_456_000 + n * 1000))
with open("big", "wb") as file:
    file.write(data)
    os.fsync(file.fileno())
    os.posix_fallocate(file.fileno(), 0, 5_000_000)
with open("sparse", "wb") as file:
    file.truncate(48 << 20)
    file.seek(40 << 20)
    file.write(b"data")
    file.flush()
    assert os.lseek(file.fileno(), 0, os.SEEK_DATA) <= 40 << 20
os.symlink("t" * 4000, "long link")
os.symlink("d0/f0", "link")
os.link("big", "second")
os.mkfifo("fifo")
open("n" * 255, "wb").close()
os.chmod("big", 0o2640)
os.chown("big", 7, 8)
os.setxattr("big", "user.name", b"value" * 20)
os.rename("d0/f5", "d1/moved")
os.replace("d0/f10", "d1/moved")
fd = os.open("d0/f15", os.O_RDWR)
os.unlink("d0/f15")
os.pwrite(fd, b"gone", 9)
assert os.pread(fd, 4, 9) == b"gone"
os.close(fd)
fd = os.open("big", os.O_RDWR)
os.pwrite(fd, b"over" * 3000, 123_456)
os.ftruncate(fd, 2_900_001)
os.fdatasync(fd)
os.close(fd)
PY
}
describe() { (cd "$1" && python3 "$TOP/tests/mount/lib/describe.py" .) | sort; }

for kind in ext4 xfs btrfs tmpfs overlayfs fuse; do
    check "$kind: is made" disk $kind
    lower=$WORK/$kind/lower STORE=$WORK/store-$kind
    [ $kind = fuse ] || mkdir -p "$STORE"
    mkdir "$lower"
    "$KMSFS" doctor "$lower" >"$WORK/doctor" 2>&1
    same "$kind: the doctor finds it fit" 0 $?
    name=$kind
    [ $kind = fuse ] || check "$kind: and knows it" grep -qE "^filesystem +$name$" "$WORK/doctor"
    said() { sed -n "s/^$1  *//p" "$WORK/doctor" | cut -d: -f 1; }
    for what in "case-sensitive" "user attributes" "trusted attributes" "ACLs" "hard links" "symbolic links" "device nodes" \
        "O_TMPFILE" "holes" "punch hole" "rename noreplace" "birth times"; do
        same "$kind: the doctor says of $what" yes "$(said "$what")"
    done
    handles=no && case $kind in ext4 | xfs | btrfs) handles=yes ;; esac
    same "$kind: the doctor says of handles" $handles "$(said "file handles")"
    whiteouts=yes && [ $kind = overlayfs ] && whiteouts=no
    same "$kind: the doctor says of whiteouts" $whiteouts "$(said "rename whiteout")"
    check "$kind: and what each lack means" sh -c "! grep -E ': *\$' '$WORK/doctor'"
    same "$kind: the doctor leaves nothing behind" "" "$(ls -A "$lower")"
    mkdir -p "$STORE"
    check "$kind: mount" mount_volume "$lower" "$MNT" suid
    [ $kind = fuse ] || check "$kind: the mount's log says what is below" \
        grep -q "the lower filesystem filesystem=\"$name\" lacks=\"" "$WORK/mount.log"
    check "$kind: everything once" work_in "$MNT"
    echo found >"$MNT/handle"
    found=ESTALE && [ $handles = yes ] && found=found
    same "$kind: a handle of what the kernel has forgotten" $found "$(python3 "$TOP/tests/mount/lib/handles.py" "$MNT/handle")"
    before=$(describe "$MNT")
    check "$kind: unmount" unmount_volume
    check "$kind: fsck" "$KMSFS" fsck "$lower" --keystore "$STORE" --data
    check "$kind: mount again" mount_volume "$lower" "$MNT" suid
    same "$kind: all of it is as it was" "$before" "$(describe "$MNT")"
    check "$kind: it goes" sh -c "rm -rf '$MNT'/* && [ -z \"\$(ls -A '$MNT')\" ]"
    check "$kind: unmount again" unmount_volume
    unmount_volume "$WORK/$kind" 2>/dev/null || umount "$WORK/$kind"
done
finish
