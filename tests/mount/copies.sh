#!/usr/bin/env bash
# Programs that copy trees, on a mount: with hard links, ACLs, attributes of all name spaces, capabilities, holes, times
# and devices, nothing is lost on the way in, on the way out, or by a remount.
. "$(dirname "$0")/lib/lib.sh"
need rsync tar dpkg-deb setfattr getfattr setfacl getfacl setcap getcap bc python3

describe() { python3 "$TOP/tests/mount/lib/seen.py" "$1"; }

check "mount" mount_volume "$LOWER" "$MNT" suid,dev
# ---- rsync, tar and cp, into the mount and out of it
mkdir -p "$WORK/kept/sub" "$WORK/back"
(
    cd "$WORK/kept" || exit
    echo content >file && ln file sub/second && ln -s ../file sub/link && mkfifo -m 640 sub/fifo && mknod -m 600 null c 1 3
    printf '#!/bin/sh\necho ran\n' >program && chmod 4751 program && cp program sub/capable && setcap cap_net_raw=ep sub/capable
    setfattr -n user.comment -v "a value" file && setfattr -n trusted.mark -v "root's" file && setfattr -n user.empty sub
    setfacl -m u:1234:rwx,g:4321:r,m::rx file && setfacl -d -m u:1234:rw sub && setfacl -m g:4321:rwx sub
    chown 1234:4321 sub file && chmod 2775 sub
    python3 -c '
import os
for name, pieces, size in (("sparse", ((0, b"start"), (40 << 20, b"m" * 9000)), 100 << 20), ("sub/empty", (), 77 << 20), ("end", ((5 << 20, b"e"),), 0)):
    with open(name, "wb") as file:
        for at, data in pieces:
            os.pwrite(file.fileno(), data, at)
        if size:
            file.truncate(size)'
    touch -h -d '1999-01-01 00:00:00.5' sub/link && touch -d '2001-02-03 04:05:06.123456789' file sparse sub
)
few() { [ "$(find "$1" -type f -printf '%b\n' | paste -sd+ | bc)" -lt 2000 ] || find "$1" -type f -printf '%b %p\n'; }
acls() { (cd "$1" && find . -print0 | sort -z | xargs -0 sh -c 'getfacl -nP "$@"; getfattr -hd -m - "$@"' sh 2>/dev/null); }
# rsync leaves the times of devices and FIFOs alone.
described() { describe "$1" | sed -E "s/^(\[[^,]*, '0o[12]0[0-7]+', [0-9]+, [0-9]+, )[0-9]+/\1-/"; }
alike() { # NAME A B: nothing that any of the tools can see differs
    same "$1: all that stat, ACLs and attributes tell" "$(described "$2")" "$(described "$3")"
    same "$1: getfacl and getfattr agree" "$(acls "$2")" "$(acls "$3")"
    same "$1: rsync has nothing to do" "" "$(rsync -aHAXSni --checksum --delete "$2/" "$3/")"
    check "$1: holes take no room" few "$3"
}
for way in "$MNT" "$WORK/back"; do
    from=$([ "$way" = "$MNT" ] && echo "$WORK/kept" || echo "$MNT/rsync-all") to=$([ "$way" = "$MNT" ] && echo in || echo out)
    check "rsync -aHAXS $to" rsync -aHAXS "$from/" "$way/rsync-all/"
    alike "rsync $to" "$WORK/kept" "$way/rsync-all"
    mkdir "$way/tar"
    from=$([ "$way" = "$MNT" ] && echo "$WORK/kept" || echo "$MNT/tar")
    check "tar --xattrs --acls $to" sh -c "tar -C '$from' --xattrs --xattrs-include='*' --acls -S -cf - . | tar -C '$way/tar' --xattrs --xattrs-include='*' --acls -xpf -"
    alike "tar $to" "$WORK/kept" "$way/tar"
    from=$([ "$way" = "$MNT" ] && echo "$WORK/kept" || echo "$MNT/cp")
    check "cp --reflink=auto --sparse=always $to" cp -a --reflink=auto --sparse=always "$from" "$way/cp"
    alike "cp $to" "$WORK/kept" "$way/cp"
done
same "a capability came along" "$WORK/kept/sub/capable cap_net_raw=ep" "$(getcap "$MNT/rsync-all/sub/capable" | sed "s,$MNT/rsync-all,$WORK/kept,")"

# ---- a Debian package: made of a tree in the mount, unpacked into the mount
mkdir -p "$MNT/package/DEBIAN" "$MNT/package/usr/share" && cp -r "$TOP/src/format" "$MNT/package/usr/share/tree"
chmod 755 "$MNT/package" "$MNT/package/DEBIAN" "$MNT/package/usr"
ln -s ../tree "$MNT/package/usr/share/link" && ln "$MNT/package/usr/share/tree/mod.rs" "$MNT/package/usr/share/hard" && cp "$WORK/kept/program" "$MNT/package/usr/program"
printf 'Package: tree\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a tree\n' >"$MNT/package/DEBIAN/control"
check "dpkg-deb -b" dpkg-deb -Znone -b "$MNT/package" "$MNT/tree.deb"
check "dpkg-deb -x" dpkg-deb -x "$MNT/tree.deb" "$MNT/unpacked"
check "dpkg-deb -x elsewhere" dpkg-deb -x "$MNT/tree.deb" "$WORK/unpacked"
same "the package is the same unpacked" "$(describe "$WORK/unpacked")" "$(describe "$MNT/unpacked")"

# ---- and all of it after a remount
check "unmount" unmount_volume
check "fsck" "$KMSFS" fsck "$LOWER" --keystore "$STORE" --data
check "mount again" mount_volume "$LOWER" "$MNT" suid,dev
for copy in rsync-all tar cp; do alike "$copy, after a remount" "$WORK/kept" "$MNT/$copy"; done
same "the package too" "$(describe "$WORK/unpacked")" "$(describe "$MNT/unpacked")"
check "unmount again" unmount_volume
finish
