#!/usr/bin/env bash
# The whole of pjdfstest, as root and with its users, with every feature that Linux has.
#
# Nothing is excluded. `link::link_count_max` skips itself: it wants a LINK_MAX from pathconf(3), which the C
# library knows for ext2, UFS and a few more by number only, and for no FUSE filesystem.
. "$(dirname "$0")/lib/lib.sh"
cargo_tool pjdfstest 0.2.2

# Tests become other users, who must get to the mount.
chmod 755 "$WORK" "$MNT"
# The EROFS tests remount it, for which mount(8) looks here.
link=/sbin/mount.fuse.kmsfs
[ -e $link ] || { ln -s "$KMSFS" $link && trap 'rm -f $link; clean_up' EXIT; }
mkdir "$WORK/second" && mount -t tmpfs none "$WORK/second"
cat >"$WORK/pjdfstest.toml" <<'TOML'
[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
allow_remount = true
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
TOML

check "mount with suid and dev" mount_volume "$LOWER" "$MNT" suid,dev
mkdir "$MNT/tests"
pjdfstest() { (cd "$WORK" && timeout 300 "$TOOLS/pjdfstest" -c "$WORK/pjdfstest.toml" -p "$MNT/tests" -s "$WORK/second" "$@"); }

# The suite's own process leaves a removed file open halfway through, and from there on no filesystem, ext4
# neither, can be made read-only. So the tests that remount run in a process of their own.
pjdfstest erofs >"$WORK/erofs" 2>&1
pjdfstest >"$WORK/out" 2>&1
results() { grep -E '^[a-z_0-9:]+ +(ok|FAILED|skipped)$' "$1"; }
while read -r name result; do
    case $result in
        ok) pass "$name" ;;
        FAILED) fail "$name" "$(grep -h -A 3 "^$name " "$WORK/erofs" "$WORK/out" | tail -n 3)" ;;
        skipped) same "only the test for LINK_MAX skips itself" link::link_count_max "$name" ;;
    esac
done < <(results "$WORK/erofs"; results "$WORK/out" | grep -v ::erofs)
same "the summary speaks of as many tests" "$(sed -n 's/^Summary: .*, \([0-9]*\) total$/\1/p' "$WORK/out")" "$((PASSED + FAILED - 1))"
check "there are all of them" [ "$PASSED" -ge 398 ]
check "unmount" unmount_volume
finish
