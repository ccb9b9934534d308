#!/usr/bin/env bash
# Whose CPU time does one row take?
#
#     bench/account.sh [--on kmsfs-uring] [--rounds N] [--beside] ROW... [-- PLACE]
#
# ROW: as profile.sh takes them. For each, medians of N rounds (default 5) in microseconds for one operation, or one
# MiB of a stream: `wall`, how long it takes; `caller`, what fio or small.c and the kernel on its behalf use of a CPU;
# `server`, what the threads of the filesystem use, and which of them; `left`, what all CPUs have over: kernel threads
# and idleness. Nothing else watches meanwhile, so it can be held against a rate of peers.sh. Needs root.
#
# With --beside gocryptfs and the lower filesystem alone take turns with kmsfs, and where peers.sh has a figure `to reach`
# there is a second line: how long an operation, or a MiB, may take for that. The third, `floor`, is what would be left if
# the filesystem's own work took no time. For operations on names: its requests, as one costs that asks for nothing, what
# else the caller does on its CPU, and the operation below. For streams, in time of all CPUs: the caller, the same piece
# from or to the lower filesystem, and one copy from memory to memory, which is the kernel's between page cache and request.
# For reading there is a fourth, `holes`: what caller and server take for files in which nothing is, so that nothing is read
# below and no cipher is at work.
. "$(dirname "$0")/lib.sh"

mine=kmsfs-uring rounds=5 rows=() place=/dev/shm beside=()
while [ $# -gt 0 ]; do
    case $1 in
        --on) mine=$2; shift ;;
        --beside) beside=(gocryptfs raw) ;;
        --rounds) rounds=$2; shift ;;
        --) place=$2; shift ;;
        -h | --help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) rows+=("$1") ;;
    esac
    shift
done
[ ${#rows[@]} -gt 0 ] || die "which row? (--help)"
for row in "${rows[@]}"; do known "$row"; done
[[ ${#beside[@]} = 0 || $mine = kmsfs-* ]] || die "--beside is for kmsfs"
prepare "$mine" "${beside[@]}"
[[ " ${filesystems[*]} " == *" $mine "* ]] || die "this machine has no $mine"
packages fio:fio
export SIZE=1G QUARTER=256M

# once ROW SERVER: runs it; a line of JSON.
once() {
    python3 - "$1" "$2" "$WORK/mnt" "$scratch/small" "$scratch/fio.json" "$FS" "${#beside[@]}" "$scratch/tree.tar" <<'PY'
import collections, json, os, re, resource, subprocess, sys, time

row, server, mnt, small, saved, filesystem, beside, tree = sys.argv[1:9]
FILES = 2000 if row == "untar" else 20000


def threads():
    used = {}
    for task in os.listdir(f"/proc/{server}/task"):
        try:
            name = open(f"/proc/{server}/task/{task}/comm").read().strip()
            used[task] = (re.sub(r"^kmsfs-|-?\d+$", "", name), int(open(f"/proc/{server}/task/{task}/schedstat").read().split()[0]))
        except OSError:
            pass
    return used


def spent():
    """What children have used, and what of it the kernel has on their behalf."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6, usage.ru_stime * 1e6


def job_of(directory):
    """Runs the row's job there: its result, and the rate as peers.sh counts it, the sync at the end among it."""
    subprocess.run(["fio", "--output-format=json", f"--output={saved}", f"bench/fio/{row}.fio"],
                   env={**os.environ, "DIR": directory}, capture_output=True, check=True)
    rate = subprocess.run([sys.executable, "bench/table.py", "fio", saved], capture_output=True, text=True, check=True).stdout
    return json.load(open(saved))["jobs"][0], float(rate)


def used_since(before):
    groups = collections.Counter()
    for task, (name, used) in threads().items() if server else ():
        groups[name] += (used - before.get(task, ("", 0))[1]) / 1000
    return groups


def of_caller(job):
    return (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] * 1000


before = threads() if server else {}
if os.path.exists(f"bench/fio/{row}.fio"):
    job, rate = job_of(mnt)
    stream = "seq" in row
    units = sum(job[s]["io_bytes"] / 2**20 if stream else job[s]["total_ios"] for s in ("read", "write"))
    wall, caller = units / rate * 1e6, of_caller(job)
    kernel = job["sys_cpu"] / 100 * job["job_runtime"] * 1000
else:
    (used, used_kernel), start = spent(), time.monotonic()
    command = ["tar", "-C", mnt, "-xf", tree] if row == "untar" else [small, row, f"{mnt}/small", str(FILES)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = (time.monotonic() - start) * 1e6
    (caller, kernel), units, stream = spent(), FILES, False
    caller, kernel = caller - used, kernel - used_kernel
groups = used_since(before)
total = sum(groups.values())
asked = asking = copy = holes = None


def bytes_of(size):
    return int(size[:-1]) << {"M": 20, "G": 30}[size[-1]]


if stream and "read" in row and beside != "0" and filesystem.startswith("kmsfs"):
    os.mkdir(f"{mnt}/holes")
    for name, size in [("data", "SIZE")] + [(f"data.{n}", "QUARTER") for n in range(4)]:
        with open(f"{mnt}/holes/{name}", "wb") as file:
            file.truncate(bytes_of(os.environ[size]))
    # Pages that a hypervisor has not given yet would cost more than reading.
    with open("/proc/sys/vm/drop_caches", "w") as drop:
        drop.write("1")
    before = threads()
    job, _ = job_of(f"{mnt}/holes")
    holes = (of_caller(job) + sum(used_since(before).values())) / units
if stream and beside != "0":
    # More than caches hold, and touched before.
    PIECES = 128
    source, to = (memoryview(bytearray(b"x") * (PIECES << 20)) for _ in range(2))
    start = time.monotonic()
    for at in range(0, PIECES << 20, 1 << 20):
        to[at:at + (1 << 20)] = source[at:at + (1 << 20)]
    copy = (time.monotonic() - start) * 1e6 / PIECES
if beside != "0" and filesystem.startswith("kmsfs") and row in ("create", "read", "rename", "unlink", "fsync", "untar"):
    os.makedirs(f"{mnt}/small", exist_ok=True)
    already, asks = spent()[0], 20000
    rate = subprocess.run([small, "ask", f"{mnt}/small", str(asks)], check=True, capture_output=True, text=True).stdout
    asked, asking = 1e6 / float(rate), (spent()[0] - already) / asks
print(json.dumps({
    "filesystem": filesystem, "asked": asked, "asking": asking, "copy": copy, "holes": holes, "kernel": kernel / units, "unit": "MiB" if stream else "operation", "wall": wall / units, "caller": caller / units, "server": total / units,
    "left": (wall * os.cpu_count() - caller - total) / units,
    "who": {name: used / units for name, used in groups.items() if used > total / 50}}))
PY
}

printf '%-16s %8s %8s %8s %8s   %s\n' "on $mine" wall caller server left "of the server"
for row in "${rows[@]}"; do
    : >"$scratch/rounds"
    for _ in $(seq "$rounds"); do
        for FS in "$mine" "${beside[@]}"; do
            WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
            set_up && bring_up || die "$FS does not start"
            before "$row"
            once "$row" "$(server)" >>"$scratch/rounds" || die "$row failed"
            take_down
            rm -rf "$WORK"
            WORK=
        done
    done
    python3 - "$row" "$scratch/rounds" "$mine" <<'PY'
import json, os, statistics, sys

sys.path.insert(0, "bench")
from table import TO_REACH

# What peers.sh calls them, and how many requests the caller of each waits for and does not wait for, as requests.sh
# counts them.
NAMES = {
    "seq-write": ("sequential write, 1 MiB", None), "seq-read": ("sequential read, 1 MiB, cold", None),
    "rand-read": ("random read, 4 KiB, cold", None), "rand-write": ("random write, 4 KiB", None),
    "direct-read": ("O_DIRECT random read, QD 16, 2 jobs", None),
    "direct-write": ("O_DIRECT random write, QD 16, 2 jobs", None), "fsync": ("fsync after each 4 KiB", (2, 0)),
    "jobs4-seq-write": ("sequential write, 4 jobs", None), "jobs4-seq-read": ("sequential read, 4 jobs, cold", None),
    "create": ("create + write 4 KiB + close", (5, 1)), "read": ("open + read 4 KiB + close, cold", (2, 1)),
    "rename": ("rename", (4, 0)), "unlink": ("unlink", (3, 0)),
    # Directories and all; counted for the tree that is unpacked.
    "untar": ("untar 2,000 files", (10.36, 1)),
}
row = sys.argv[1]
rounds = [json.loads(line) for line in open(sys.argv[2])]
mine = [r for r in rounds if r["filesystem"] == sys.argv[3]]
theirs = [r["wall"] for r in rounds if r["filesystem"] == "gocryptfs"]
below = [r for r in rounds if r["filesystem"] == "raw"]
middle = lambda of: statistics.median(of(r) for r in mine)
names = sorted({n for r in mine for n in r["who"]}, key=lambda n: -middle(lambda r: r["who"].get(n, 0)))
who = ", ".join(f"{n} {middle(lambda r: r['who'].get(n, 0)):.1f}" for n in names)
print("%-16s %8.1f %8.1f %8.1f %8.1f   %s" % (row, *(middle(lambda r: r[k]) for k in ("wall", "caller", "server", "left")), who))
name, requests = NAMES.get(row, (None, None))
if theirs and name:
    allowed = statistics.median(theirs) / TO_REACH[name]
    print(f"{'':16} {allowed:8.1f} allowed: {TO_REACH[name]} times as fast as gocryptfs ({statistics.median(theirs):.1f})"
          + ("" if requests else f"; of all CPUs {allowed * os.cpu_count():.1f}"))
    if requests:
        waited, silent = requests
        one, own = (middle(lambda r: r[k]) for k in ("asked", "asking"))
        # Below, what the caller does by itself is among `rest` already.
        lower = statistics.median(r["wall"] - (r["caller"] - r["kernel"]) for r in below)
        rest = max(middle(lambda r: r["caller"]) - waited * own, 0)
        print(f"{'':16} {waited * one + silent * (one - own) + rest + lower:8.1f} floor: {waited} requests of {one:.1f}"
              + (f", {silent} that nobody waits for of {one - own:.1f}" if silent else "")
              + f", the caller besides {rest:.1f}, the lower filesystem {lower:.1f}")
    elif "seq" in row:
        caller, copy = (middle(lambda r: r[k]) for k in ("caller", "copy"))
        lower = statistics.median(r["kernel"] for r in below)
        print(f"{'':16} {caller + lower + copy:8.1f} floor, of all CPUs: the caller {caller:.1f}, the lower filesystem {lower:.1f}, "
              f"a copy {copy:.1f}")
        if "read" in row:
            print(f"{'':16} {middle(lambda r: r['holes']):8.1f} holes, of all CPUs: nothing is read below, and no cipher at work")
PY
done
