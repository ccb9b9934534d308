#!/usr/bin/env bash
# Does throughput grow with the number of client threads, or does a lock hold it up?
#
#     bench/scaling.sh [--quick] [--rounds N] [--only kmsfs-uring,gocryptfs] [--locks] [DIRECTORY]
#
# 1, 2, 4, 8 and 16 threads read, write (4 KiB, O_DIRECT), create (4 KiB files) and stat: each thread with a
# file or directory of its own, and all on one. Filesystems take turns; the table shows medians of operations/s,
# and what 16 threads do for each 1 thread. --locks then looks at each kind with 16 threads: how often the server
# waited for, or woke, another thread (futex) for 1,000 operations, by strace (which slows everything down).
# clients.c says what a thread does. Needs root; installs what it needs.
. "$(dirname "$0")/lib.sh"

rounds=3 seconds=2 place=/dev/shm only=kmsfs-uring,kmsfs-device,gocryptfs locks='' threads=(1 2 4 8 16)
kinds=(read read1 write write1 create create1 stat stat1)
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=1 seconds=0.3 ;;
        --rounds) rounds=$2; shift ;;
        --only) only=$2; shift ;;
        --locks) locks=yes ;;
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) place=$1 ;;
    esac
    shift
done
IFS=, read -r -a wanted <<<"$only"
prepare "${wanted[@]}"
cc -O2 -Wall -pthread -o "$scratch/clients" bench/clients.c || die "clients.c does not compile"

start() {
    WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
    set_up && bring_up && "$scratch/clients" setup "$WORK/mnt" 16 1 || die "$FS does not start"
}
stop() { take_down; rm -rf "$WORK"; WORK=; }
clients() { # KIND THREADS SECONDS
    "$scratch/clients" "$1" "$WORK/mnt" "$2" "$3" || die "$FS: $1 with $2 threads"
    [[ $1 != create* ]] || find "$WORK/mnt" -name 'c*.*' -delete
}

for round in $(seq "$rounds"); do
    say "round $round: $(foreign_load)" >&2
    for FS in "${filesystems[@]}"; do
        start
        for kind in "${kinds[@]}"; do
            for n in "${threads[@]}"; do
                rate=$(clients "$kind" "$n" "$seconds") || exit 1
                printf '%s\t%s\t%s\t%s\n' "$kind" "$FS" "$n" "$rate" | tee -a "$scratch/figures" >&2
            done
        done
        stop
    done
done

echo "$("$KMSFS" --version 2>/dev/null | head -n 1), $(stat -f -c %T "$place") below, $(nproc) CPUs, Linux $(uname -r); $rounds rounds"
python3 - "$scratch/figures" <<'PY'
import statistics, sys
NAMES = {"read": "read", "read1": "read, one file", "write": "write", "write1": "write, one file", "create": "create",
         "create1": "create, one directory", "stat": "stat", "stat1": "stat, one directory"}
rates, threads = {}, []
for line in open(sys.argv[1]):
    kind, name, n, rate = line.split()
    rates.setdefault((kind, name), {}).setdefault(int(n), []).append(float(rate))
    if int(n) not in threads:
        threads.append(int(n))
print("\n| operations/s | | " + " | ".join(f"{n} threads" for n in threads) + f" | {threads[-1]} to {threads[0]} |")
print("|---|---|" + "---:|" * (len(threads) + 1))
for (kind, name), found in sorted(rates.items(), key=lambda r: list(NAMES).index(r[0][0])):
    middle = [statistics.median(found[n]) for n in threads]
    print(f"| {NAMES[kind]} | {name} | " + " | ".join(f"{m:,.0f}" for m in middle) + f" | {middle[-1] / middle[0]:.2f} |")
PY

[ -n "$locks" ] || exit 0
packages strace:strace
echo
echo "| 16 threads | | futex calls per 1,000 operations | of them waits |"
echo "|---|---|---:|---:|"
for FS in "${filesystems[@]}"; do
    [[ $FS == kmsfs-* ]] || continue
    start
    for kind in "${kinds[@]}"; do
        pid=$(server)
        strace -A -f -qq -e trace=futex -e signal=none -o "$scratch/futex" -p "$pid" 2>/dev/null &
        tracer=$!
        sleep 0.3
        : >"$scratch/futex"
        rate=$(clients "$kind" 16 1) || exit 1
        kill -INT $tracer
        wait $tracer 2>/dev/null
        # A call that another thread interrupts has two lines; the second says "resumed".
        awk -v kind="$kind" -v fs="$FS" -v done="$rate" '
            /futex\(/ { all++ } /futex\(.*FUTEX_WAIT/ { waits++ }
            END { printf "| %s | %s | %.1f | %.1f |\n", kind, fs, 1000 * all / done, 1000 * waits / done }' "$scratch/futex"
    done
    stop
done
