#!/usr/bin/env bash
# How fast is kmsfs beside gocryptfs, securefs, a FUSE filesystem that does not encrypt, and no FUSE at all?
#
#     bench/peers.sh [--quick] [--rounds N] [--only kmsfs-uring,gocryptfs] [--rows REGEX] [DIRECTORY...]
#
# kmsfs has a column for each transport; passthrough is libfuse's example passthrough_ll over /dev/fuse, raw the
# lower filesystem itself. For each DIRECTORY (default: /dev/shm for a tmpfs, /var/tmp for a disk) they take
# turns, round by round (3, with --quick 1), each round beginning with another one; the table shows medians, and
# on a tmpfs the ratios to gocryptfs beside the figures to reach. How busy others keep the machine is noted before
# each round. README.md here says what each row does. Where the kernel has it, enable_uring is switched on for the
# run and set back. Needs root; installs what it needs; nothing is asserted.
. "$(dirname "$0")/lib.sh"

rounds=3 rows=. places=() only=$ALL_FILESYSTEMS,passthrough
export SIZE=512M QUARTER=128M SMALL=64M SECONDS_EACH=4
FILES=4000 TREE=2000
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=1 SIZE=128M QUARTER=32M SMALL=16M SECONDS_EACH=1 ;;
        --rounds) rounds=$2; shift ;;
        --only) only=$2; shift ;;
        --rows) rows=$2; shift ;;
        -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) places+=("$1") ;;
    esac
    shift
done
[ ${#places[@]} -gt 0 ] || places=(/dev/shm /var/tmp)
IFS=, read -r -a wanted <<<"$only"
prepare "${wanted[@]}"
packages fio:fio
results=$scratch/results.tsv
tree_of $TREE

# ---- one measurement
record() { # ROW UNIT VALUE
    printf '%s\t%s\t%s\t%s\t%s\n' "$PLACE" "$1" "$2" "$FS" "$3" >>"$results"
    printf '%-30s %-42s %-13s %10s %s\n' "$PLACE" "$1" "$FS" "$3" "$2" >&2
}
# any_of ROW...: one of them is wanted.
any_of() {
    local row
    for row in "$@"; do [[ $row =~ $rows ]] && return; done
    return 1
}
fio_row() { # ROW UNIT JOB [ROW...]; what it writes is what the other rows read
    any_of "$1" "${@:4}" || return 0
    if ! DIR=$TOP_DIR fio --output-format=json --output="$scratch/fio.json" "bench/fio/$3.fio" >/dev/null 2>"$scratch/err"; then
        # A peer that cannot do it at all (O_DIRECT on some lower filesystems) has no number in that row.
        [[ $FS == kmsfs-* ]] && die "fio $3 failed on $FS: $(tail -n 3 "$scratch/err")"
        say "$FS cannot: $1: $(head -n 1 "$scratch/err")" >&2
        return 0
    fi
    ! any_of "$1" || record "$1" "$2" "$(python3 bench/table.py fio "$scratch/fio.json")"
}
small_row() { # ROW PHASE
    local rate
    rate=$("$scratch/small" "$2" "$TOP_DIR/small" "$FILES") || die "$1 failed on $FS"
    ! any_of "$1" || record "$1" "files/s" "$rate"
}
timed() { # ROW COMMAND...
    local row=$1 start=$EPOCHREALTIME end
    shift
    "$@" >/dev/null || die "$row failed on $FS"
    end=$EPOCHREALTIME
    ! any_of "$row" || record "$row" s "$(awk "BEGIN { print $end - $start }")"
}

measure() {
    set_up && bring_up || die "$FS does not start"
    TOP_DIR=$WORK/mnt
    fio_row "sequential write, 1 MiB" MiB/s seq-write "sequential read, 1 MiB, cold" "random read, 4 KiB, cold" \
        "random write, 4 KiB" "O_DIRECT random read, QD 16, 2 jobs" "O_DIRECT random write, QD 16, 2 jobs"
    cold; fio_row "sequential read, 1 MiB, cold" MiB/s seq-read
    cold; fio_row "random read, 4 KiB, cold" ops/s rand-read
    fio_row "random write, 4 KiB" ops/s rand-write
    fio_row "sequential write, 4 jobs" MiB/s jobs4-seq-write "sequential read, 4 jobs, cold" \
        "random read, 4 jobs, cold" "random write, 4 jobs"
    cold; fio_row "sequential read, 4 jobs, cold" MiB/s jobs4-seq-read
    cold; fio_row "random read, 4 jobs, cold" ops/s jobs4-rand-read
    fio_row "random write, 4 jobs" ops/s jobs4-rand-write
    cold; fio_row "O_DIRECT random read, QD 16, 2 jobs" ops/s direct-read
    fio_row "O_DIRECT random write, QD 16, 2 jobs" ops/s direct-write
    fio_row "fsync after each 4 KiB" ops/s fsync
    rm -f "$TOP_DIR"/data*
    if any_of "create + write 4 KiB + close" "stat, cold" "open + read 4 KiB + close, cold" rename unlink "ls -l of 4,000, cold"; then
        mkdir "$TOP_DIR/small"
        small_row "create + write 4 KiB + close" create
        if any_of "ls -l of 4,000, cold"; then
            mkdir "$TOP_DIR/flat"
            "$scratch/small" create "$TOP_DIR/flat" 4000 4000 >/dev/null || die "4,000 files on $FS"
            cold; timed "ls -l of 4,000, cold" ls -l "$TOP_DIR/flat/d0"
            rm -rf "$TOP_DIR/flat"
        fi
        cold; small_row "stat, cold" stat
        cold; small_row "open + read 4 KiB + close, cold" read
        small_row "rename" rename
        small_row "unlink" unlink
    fi
    if any_of "untar 2,000 files" "grep -r, cold" "rm -rf"; then
        timed "untar 2,000 files" tar -C "$TOP_DIR" -xf "$scratch/tree.tar"
        cold; timed "grep -r, cold" grep -rc word7 "$TOP_DIR/tree"
        timed "rm -rf" rm -rf "$TOP_DIR/tree"
    fi
    take_down
    rm -rf "$WORK"
    WORK=
}

for round in $(seq "$rounds"); do
    for place in "${places[@]}"; do
        PLACE="$place ($(stat -f -c %T "$place"))"
        load=$(foreign_load)
        say "round $round, $PLACE: $load" >&2
        echo "Before round $round on $place: $load." >>"$scratch/load"
        for n in "${!filesystems[@]}"; do
            FS=${filesystems[(n + round - 1) % ${#filesystems[@]}]}
            WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
            measure
        done
    done
done

version() { [[ " ${filesystems[*]} " != *" $1"* ]] || dpkg-query -W -f "$1 \${Version}, " "${2:-$1}"; }
cat <<TXT
$("$KMSFS" --version 2>/dev/null | head -n 1), $(version gocryptfs)$(version securefs)$(version passthrough libfuse3-dev)kernel $(uname -r),
$(nproc) CPUs, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo); $rounds rounds, files of $SIZE, medians.
$(cat "$scratch/load")
TXT
python3 bench/table.py "$results"
# For regress.sh, which adds several runs up.
[ -z "${KMSFS_RESULTS:-}" ] || cat "$results" >>"$KMSFS_RESULTS"
