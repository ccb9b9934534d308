#!/usr/bin/env bash
# Which system calls does kmsfs make for one operation on its mount?
#
#     bench/calls.sh [--transport uring|device|fuser] [DIRECTORY]
#
# Each operation is done on 100 files (readdirplus: one directory of 1,000) while strace counts what the server
# calls. The first table has calls per operation: those on the lower tree, those that carry requests and replies
# (they depend on how many requests are answered in one go), and all others; the second has the calls by name. `cold`: after
# drop_caches and a new mount, so that nothing is remembered. Needs root and strace.
. "$(dirname "$0")/lib.sh"

transport=device place=/dev/shm
while [ $# -gt 0 ]; do
    case $1 in
        --transport) transport=$2; shift ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) place=$1 ;;
    esac
    shift
done
prepare "kmsfs-$transport"
packages strace:strace
FS=kmsfs-$transport
[ "${filesystems[*]}" = "$FS" ] || die "this machine has no $FS"
WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
top=$WORK/mnt
set_up && bring_up
mkdir "$top/small" "$top/wide"

# counted ROW TIMES COMMAND...: what the server calls while the command runs.
counted() {
    local row=$1 times=$2 pid tracer
    shift 2
    pid=$(server)
    [ -n "$pid" ] || die "no server"
    strace -f -q -c -o "$scratch/calls" -p "$pid" 2>/dev/null &
    tracer=$!
    # It has attached when every thread has a tracer.
    for _ in $(seq 200); do
        grep -q '^TracerPid:[[:space:]]*0$' /proc/"$pid"/task/*/status || break
        sleep 0.02
    done
    "$@" >/dev/null || die "$row failed"
    sleep 0.3 # what a close leaves for later
    kill -INT $tracer
    wait $tracer
    awk -v row="$row" -v times="$times" '$4 ~ /^[0-9]+$/ && $NF != "total" { print row "\t" times "\t" $NF "\t" $4 }' \
        "$scratch/calls" >>"$scratch/all"
}
small() { "$scratch/small" "$1" "$top/small" 100; }

counted "create + write 4 KiB + close" 100 small create
counted "stat, remembered" 100 small stat
cold; ls "$top/small/d0" >/dev/null
counted "open + read 4 KiB + close, again" 100 small read
cold; counted "open + read 4 KiB + close, cold" 100 small read
cold; counted "stat, cold" 100 small stat
counted "rename" 100 small rename
counted "unlink" 100 small unlink
"$scratch/small" create "$top/wide" 1000 1000 >/dev/null || die "1,000 files"
cold; counted "readdirplus of 1,000, each name" 1000 ls -l "$top/wide/d0"
counted "idle for half a second" 1 sleep 0.5

echo "$("$KMSFS" --version | head -n 1), transport=$transport, $(stat -f -c %T "$place") below, Linux $(uname -r)"
python3 - "$scratch/all" <<'PY'
import sys
CARRY = {"read", "readv", "writev", "io_uring_enter", "ppoll", "poll", "epoll_wait"}
OTHER = {"futex", "madvise", "mmap", "munmap", "mprotect", "clock_nanosleep", "restart_syscall", "getrandom",
         "sched_yield", "rt_sigprocmask", "clone3", "exit", "set_robust_list", "rseq", "prctl", "sched_getaffinity",
         "sigaltstack", "clone", "mlock", "munlock", "sched_setaffinity", "getpid", "gettid", "brk"}
rows = {}
for line in open(sys.argv[1]):
    row, times, call, count = line.rstrip("\n").split("\t")
    rows.setdefault(row, {})[call] = int(count) / int(times)
def total(calls, kind):
    return sum(n for call, n in calls.items() if kind(call))
print("\n| operation | lower tree | requests, replies | other |\n|---|---:|---:|---:|")
for row, calls in rows.items():
    lower = total(calls, lambda c: c not in CARRY | OTHER)
    print(f"| {row} | {lower:.2f} | {total(calls, CARRY.__contains__):.2f} | {total(calls, OTHER.__contains__):.2f} |")
print("\n| operation | calls |\n|---|---|")
for row, calls in rows.items():
    named = sorted(calls.items(), key=lambda c: -c[1])
    print(f"| {row} | " + ", ".join(f"{call} {n:.2f}" for call, n in named if n >= 0.05) + " |")
PY
