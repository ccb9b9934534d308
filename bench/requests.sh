#!/usr/bin/env bash
# What does the kernel ask a FUSE filesystem for one operation, and how long does the caller wait for it?
#
#     bench/requests.sh [--only kmsfs-uring,gocryptfs,...] [DIRECTORY]
#
# Each operation is done on 1,000 files while the kernel's tracepoints fuse:fuse_request_send and
# fuse:fuse_request_end are on. The first table has requests per operation that the caller waits for, and the
# microseconds that he waits for them in all; the second has each kind of request, how many per operation and the
# median microseconds of one. What is left of an operation's time is the caller's own: system calls, page cache,
# name cache. A request costs two switches between tasks whatever the filesystem does about it, so the number of
# requests times the quickest one is what no filesystem of this kind can go below. Needs root and tracefs.
. "$(dirname "$0")/lib.sh"

place=/dev/shm only=kmsfs-uring,kmsfs-device,gocryptfs,securefs,passthrough
while [ $# -gt 0 ]; do
    case $1 in
        --only) only=$2; shift ;;
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) place=$1 ;;
    esac
    shift
done
IFS=, read -r -a wanted <<<"$only"
prepare "${wanted[@]}"
FILES=1000
tracing=/sys/kernel/tracing
[ -e $tracing/events ] || mount -t tracefs none $tracing || die "there is no tracefs"
[ -e $tracing/events/fuse/fuse_request_send ] || die "this kernel has no tracepoints for FUSE (they came with 6.11)"
# An instance of our own: what others trace stays as it is.
trace=$tracing/instances/kmsfs-bench-$$
mkdir "$trace" || die "no instance of the tracer"
end_trace() { echo 0 >"$trace/tracing_on"; rmdir "$trace"; clean_up; }
trap end_trace EXIT
echo 16384 >"$trace/buffer_size_kb"

traced() { # OPERATION COMMAND...
    local operation=$1 major minor
    shift
    read -r major minor < <(stat -c '%Hd %Ld' "$WORK/mnt")
    : >"$trace/trace"
    echo 1 >"$trace/events/fuse/enable"
    "$@" >/dev/null || die "$operation failed on $FS"
    echo 0 >"$trace/events/fuse/enable"
    echo "== $FS $operation $((major << 20 | minor))" >>"$scratch/trace"
    grep -E 'fuse_request_(send|end):' "$trace/trace" >>"$scratch/trace"
}
tree_of $FILES
for FS in "${filesystems[@]}"; do
    WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
    set_up && bring_up
    mkdir "$WORK/mnt/small"
    traced create "$scratch/small" create "$WORK/mnt/small" $FILES
    cold
    traced read "$scratch/small" read "$WORK/mnt/small" $FILES
    traced rename "$scratch/small" rename "$WORK/mnt/small" $FILES
    traced unlink "$scratch/small" unlink "$WORK/mnt/small" $FILES
    traced fsync dd if=/dev/zero "of=$WORK/mnt/synced" bs=4k count=$FILES oflag=sync status=none
    traced untar tar -C "$WORK/mnt" -xf "$scratch/tree.tar"
    cold
    traced grep grep -rc word7 "$WORK/mnt/tree"
    take_down
    rm -rf "$WORK"
    WORK=
done
echo "$(uname -r), $(nproc) CPUs, $(stat -f -c %T "$place") below"
python3 - "$scratch/trace" $FILES <<'PY'
import re, statistics, sys
NAMES = {"create": "create + write 4 KiB + close", "read": "open + read 4 KiB + close, cold", "rename": "rename",
         "unlink": "unlink", "fsync": "write 4 KiB, synced", "untar": "tar -x, each file", "grep": "grep -r, cold, each file"}
NOBODY_WAITS = {"RELEASE", "RELEASEDIR", "FORGET", "BATCH_FORGET", "INTERRUPT"}
files, found, filesystems = int(sys.argv[2]), {}, []
for line in open(sys.argv[1]):
    if line.startswith("=="):
        _, fs, operation, connection = line.split()
        if fs not in filesystems:
            filesystems.append(fs)
        kinds, sent = found.setdefault((operation, fs), {}), {}
        continue
    what = re.search(r"(\d+\.\d+): fuse_request_(send|end): connection (\d+) req (\d+)(?:.*\(FUSE_(\w+)\))?", line)
    if not what or what[3] != connection:
        continue
    if what[2] == "send":
        sent[what[4]] = (float(what[1]), what[5])
    elif what[4] in sent:
        start, kind = sent.pop(what[4])
        kinds.setdefault(kind, []).append((float(what[1]) - start) * 1e6)
print("\n| operation |", " | ".join(filesystems), "|\n|---|" + "---:|" * len(filesystems))
for operation, name in NAMES.items():
    cells = []
    for fs in filesystems:
        waited = [times for kind, times in found[operation, fs].items() if kind not in NOBODY_WAITS]
        count = sum(map(len, waited)) / files
        cells.append(f"{count:.2f}, {sum(map(sum, waited)) / files:.0f} us")
    print(f"| {name} |", " | ".join(cells), "|")
print("\n| operation | filesystem | requests per operation, and median us of one |\n|---|---|---|")
for operation, name in NAMES.items():
    for fs in filesystems:
        kinds = sorted(found[operation, fs].items(), key=lambda kind: -len(kind[1]))
        text = ", ".join(f"{kind} {len(times) / files:.2f} ({statistics.median(times):.1f})"
                         for kind, times in kinds if len(times) >= files / 50)
        print(f"| {name} | {fs} | {text} |")
PY
