#!/usr/bin/env bash
# stress-ng's stressors of filesystems: none fails, the mount neither grows nor keeps descriptors or threads, nothing is
# left behind, nothing is taken for tampering, and after an unmount and a remount `kmsfs fsck` finds nothing.
#
# All of them beside each other for a few seconds; one after the other, 60 s each, where KMSFS_ROUNDS is 50 or more.
. "$(dirname "$0")/lib/lib.sh"
need stress-ng python3

# Left out is what has nothing to do with the directory that it is given (binderfs, procfs, eventfd, bind-mount, ioprio)
# and what skips itself on FUSE, which does not pass it on (fiemap, verity).
STRESSORS="access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fanotify fcntl
    file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf
    lockofd mknod open rename symlink sync-file touch utime xattr"

server() { pgrep -f -x "$KMSFS mount $LOWER $MNT .*"; }
held() { # VmRSS in kB, descriptors, threads of the server
    local pid
    pid=$(server) || return
    echo "$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status") $(ls "/proc/$pid/fd" | wc -l) $(ls "/proc/$pid/task" | wc -l)"
}
# What the kernel remembers for nobody is not what the mount keeps.
settled() { sync; echo 2 >/proc/sys/vm/drop_caches; sleep 1; held; }

stress() { # NAME ARGUMENTS...
    local name=$1
    shift
    mkdir -p "$MNT/work"
    check "$name" stress-ng --temp-path "$MNT/work" --verify --oomable "$@"
    same "$name: nothing is left" "" "$(ls -A "$MNT/work")"
}

bounded() { # NAME: against what was held before the first of them
    local rss fds threads
    read -r rss fds threads < <(settled)
    echo "        $1: $rss kB, $fds descriptors, $threads threads; before: $BEFORE"
    check "$1: descriptors are given back" [ "$fds" -le $((FDS + 20)) ]
    check "$1: threads do not pile up" [ "$threads" -le $((THREADS + 32)) ]
    check "$1: memory is bounded" [ "$rss" -le $((RSS + 150000)) ]
}

check "mount" mount_volume "$LOWER" "$MNT" suid,dev
mkdir "$MNT/kept" && cp -r "$TOP/src/volume" "$MNT/kept/"
BEFORE=$(settled)
read -r RSS FDS THREADS <<<"$BEFORE"
if [ "${KMSFS_ROUNDS:-8}" -ge 50 ]; then
    for name in $STRESSORS; do
        stress "$name" --"$name" 2 --timeout "${KMSFS_STRESS_SECONDS:-60}"
    done
else
    all=()
    for name in $STRESSORS; do all+=(--"$name" 1); done
    stress "all of them at once" "${all[@]}" --timeout "${KMSFS_STRESS_SECONDS:-3}"
fi
bounded "after all of it"
same "nothing was taken for tampering" "" "$(grep -a "does not authenticate\|failed authentication" "$WORK/mount.log" | head -n 3)"
check "what was there before is as it was" diff -r "$TOP/src/volume" "$MNT/kept/volume"
check "unmount" unmount_volume
check "mount again" mount_volume
check "it is still as it was" diff -r "$TOP/src/volume" "$MNT/kept/volume"
check "unmount again" unmount_volume
check "fsck finds nothing" "$KMSFS" fsck "$LOWER" --keystore "$STORE" --data
finish
