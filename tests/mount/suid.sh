#!/usr/bin/env bash
# Content that changes takes set-user-id bits and file capabilities with it, as on the filesystem below: the
# kernel leaves that to the mount. The same is done to a plain directory, and must give the same modes.
. "$(dirname "$0")/lib/lib.sh"
need setcap getcap setpriv
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups"

check "mount" mount_volume "$LOWER" "$MNT" suid
mkdir "$WORK/plain" && chmod 755 "$WORK" && chmod 777 "$WORK/plain" "$MNT"

change() { # HOW FILE
    case $1 in
        append) echo x >>"$2" ;;
        truncate) truncate -s 10 "$2" ;;
        open) : >"$2" ;;
        rename) mv "$2" "$2.new" && mv "$2.new" "$2" ;;
        direct) dd if=/dev/zero of="$2" bs=4096 count=1 oflag=direct conv=notrunc status=none ;;
    esac
}
export -f change

after() { # DIRECTORY MODE WHO HOW: the mode as it is then, and the capabilities
    local file=$1/program
    rm -f "$file" && cp /bin/true "$file" && chmod "$2" "$file" && setcap cap_net_raw+ep "$file" || return
    stat -c %a "$file" >/dev/null # what the kernel remembers must not outlive the change
    if [ "$3" = nobody ]; then $NOBODY bash -c 'change "$@"' - "$4" "$file"; else change "$4" "$file"; fi || return
    echo "$(stat -c %a "$file") $(getcap "$file" | wc -l)"
}

for mode in 4777 6777 2777; do
    for who in root nobody; do
        for how in append truncate open direct rename; do
            same "$who, $how, $mode" "$(after "$WORK/plain" $mode $who $how)" "$(after "$MNT" $mode $who $how)"
        done
    done
    cp /bin/true "$WORK/plain/owned" && chmod $mode "$WORK/plain/owned" && chown 5:5 "$WORK/plain/owned"
    cp /bin/true "$MNT/owned" && chmod $mode "$MNT/owned" && chown 5:5 "$MNT/owned"
    same "chown, $mode" "$(stat -c %a "$WORK/plain/owned")" "$(stat -c %a "$MNT/owned")"
done

# Capabilities given to a file that is still open and has dirty pages, as package managers do it.
python3 - "$MNT/given" <<'PY'
import os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o755)
os.write(fd, b"#!/bin/true\n" * 30000)
os.setxattr(fd, "security.capability", struct.pack("<IIIII", 0x02000000 | 1, 1 << 13, 0, 0, 0))
os.close(fd)
PY
same "given to an open file" "$MNT/given cap_net_raw=ep" "$(getcap "$MNT/given")"
check "unmount" unmount_volume
check "mount again" mount_volume "$LOWER" "$MNT" suid
same "and there after a remount" "$MNT/given cap_net_raw=ep" "$(getcap "$MNT/given")"
check "unmount at the end" unmount_volume
finish
