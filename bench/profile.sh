#!/usr/bin/env bash
# Where does the time of one row go?
#
#     bench/profile.sh [--on kmsfs-uring] [--out DIRECTORY] [--all-cpus] ROW... [-- PLACE]
#
# ROW: a job of bench/fio without its ending (seq-write, rand-read, direct-read ...), or create, read, stat,
# rename, unlink (what bench/small.c does), or untar. For each: ROW.svg, a flame graph of the server (of the whole machine
# with --all-cpus); ROW.folded, its stacks with their counts, one a line; ROW.txt, functions by their own time.
# They go to DIRECTORY (default: target/profile) and are not kept with the sources. The place is /dev/shm unless
# given. Needs root and a kernel that lets perf count; installs perf, and inferno for the drawing.
. "$(dirname "$0")/lib.sh"

FS=kmsfs-device out=target/profile all='' rows=() place=/dev/shm
while [ $# -gt 0 ]; do
    case $1 in
        --on) FS=$2; shift ;;
        --out) out=$2; shift ;;
        --all-cpus) all=yes ;;
        --) place=$2; shift ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) rows+=("$1") ;;
    esac
    shift
done
[ ${#rows[@]} -gt 0 ] || die "which row? (--help)"
prepare "$FS"
[ "${filesystems[*]}" = "$FS" ] || die "this machine has no $FS"
packages perf:linux-perf fio:fio
rust_is_there
export PATH=$PATH:$HOME/.cargo/bin
command -v inferno-flamegraph >/dev/null || {
    say "building inferno"
    cargo install inferno --locked --version 0.12.8 --quiet || die "inferno cannot be had"
}
mkdir -p "$out" || die "$out"

for row in "${rows[@]}"; do
    known "$row"
    WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
    set_up && bring_up || die "$FS does not start"
    before "$row"
    if [ -n "$all" ]; then whom=(-a); else whom=(-p "$(server)"); fi
    # The binaries keep no frame pointers: stacks are found by their tables, from 8 KiB of each stack.
    perf record -q -F 199 --call-graph dwarf,8192 -o "$scratch/perf.data" "${whom[@]}" >/dev/null 2>"$scratch/perf.err" &
    perf=$!
    sleep 0.5
    kill -0 $perf 2>/dev/null || die "perf: $(tail -n 3 "$scratch/perf.err")"
    during "$row" >/dev/null || die "$row failed"
    kill -INT $perf
    wait $perf
    perf script --no-inline -i "$scratch/perf.data" 2>/dev/null | inferno-collapse-perf 2>/dev/null >"$out/$row.folded"
    [ -s "$out/$row.folded" ] || die "perf saw nothing"
    inferno-flamegraph --title "$row on $FS" "$out/$row.folded" >"$out/$row.svg" || die "no flame graph"
    perf report --no-inline --no-children -g none --percent-limit 0.3 --stdio -i "$scratch/perf.data" 2>/dev/null |
        grep -v '^$' >"$out/$row.txt"
    take_down
    rm -rf "$WORK"
    WORK=
    say "$out/$row.svg; most in:"
    grep -v '^#' "$out/$row.txt" | head -n 8
done
