#!/usr/bin/env bash
# How fast is kmsfs beside gocryptfs and securefs, in one run on one machine?
#
#     bench/peers.sh [--quick] [--rounds N] [--only kmsfs-uring,gocryptfs] [--rows REGEX] [DIRECTORY...]
#
# kmsfs has a column for each transport: kmsfs-uring, kmsfs-device, and kmsfs-fuser if --only names it;
# where the kernel has it, enable_uring is switched on for the run and set back afterwards.
# For each DIRECTORY (default: /dev/shm for a tmpfs, /var/tmp for a disk) they take turns, round by
# round; the table shows medians. Caches are dropped and the filesystem is mounted anew before every
# measurement that reads. Needs root and the packages fio, gocryptfs, securefs; nothing is asserted.
. "$(dirname "$0")/../contrib/lib.sh"

rounds=3 rows=. filesystems=(kmsfs-uring kmsfs-device gocryptfs securefs) places=()
export SIZE=512M QUARTER=128M SMALL=64M SECONDS_EACH=4
FILES=4000
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=1 SIZE=128M QUARTER=32M SMALL=16M SECONDS_EACH=1 ;;
        --rounds) rounds=$2; shift ;;
        --only) IFS=, read -r -a filesystems <<<"$2"; shift ;;
        --rows) rows=$2; shift ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) places+=("$1") ;;
    esac
    shift
done
[ ${#places[@]} -gt 0 ] || places=(/dev/shm /var/tmp)
[ "$(id -u)" = 0 ] || die "this mounts filesystems and drops caches: run it as root"
build_tools
fuse_is_there
packages fio:fio gocryptfs:gocryptfs securefs:securefs python3:python3
if [ -z "${KMSFS_BIN_DIR:-}" ]; then
    rust_is_there
    cargo build --release --locked --bins --quiet || die "the build failed"
fi
KMSFS=${KMSFS_BIN_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release}/kmsfs

switch=/sys/module/fuse/parameters/enable_uring
if [[ " ${filesystems[*]} " == *" kmsfs-uring "* ]]; then
    if [ -w $switch ]; then
        switched=$(cat $switch)
        echo 1 >$switch
        [ "$switched" = Y ] || say "$switch: on for this run" >&2
    else
        say "this kernel has no FUSE over io_uring: that column is left out" >&2
        kept=()
        for FS in "${filesystems[@]}"; do [ "$FS" = kmsfs-uring ] || kept+=("$FS"); done
        filesystems=("${kept[@]}")
    fi
fi

scratch=$(mktemp -d)
results=$scratch/results.tsv
WORK=
clean_up() {
    [ -n "$WORK" ] && { take_down 2>/dev/null; umount -l "$WORK/mnt" 2>/dev/null; rm -rf "$WORK"; }
    rm -rf "$scratch"
    [ -z "${switched:-}" ] || echo "$switched" >$switch
}
trap clean_up EXIT
cc -O2 -Wall -o "$scratch/small" bench/small.c || die "small.c does not compile"
python3 tests/mount/lib/make_tree.py "$scratch/tree" 2400 && tar -C "$scratch" -cf "$scratch/tree.tar" tree
head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$scratch/password"

# ---- the filesystems
set_up() { # an empty volume in $WORK/lower
    case $FS in
        gocryptfs) gocryptfs -init -q -passfile "$scratch/password" "$WORK/lower" ;;
        securefs) securefs create --format 4 --keyfile "$scratch/password" "$WORK/lower" >/dev/null ;;
    esac
}
bring_up() {
    case $FS in
        kmsfs-*) "$KMSFS" mount "$WORK/lower" "$WORK/mnt" \
            -o "keystore=$WORK/keys,log=$WORK/log,transport=${FS#kmsfs-}" >/dev/null ;;
        gocryptfs) gocryptfs -q -nosyslog -passfile "$scratch/password" "$WORK/lower" "$WORK/mnt" ;;
        securefs) securefs mount -b --log "$WORK/log" --keyfile "$scratch/password" "$WORK/lower" "$WORK/mnt" >/dev/null 2>&1 ;;
    esac || die "$FS does not mount"
    for _ in $(seq 100); do mountpoint -q "$WORK/mnt" && return; sleep 0.05; done
    die "$FS does not mount"
}
take_down() {
    case $FS in
        kmsfs-*) "$KMSFS" umount "$WORK/mnt" ;;
        *) umount "$WORK/mnt" && while pgrep -f "$WORK/lower $WORK/mnt" >/dev/null; do sleep 0.02; done ;;
    esac
}
cold() { take_down && sync -f "$WORK/lower" && echo 3 >/proc/sys/vm/drop_caches && bring_up; }

# ---- one measurement
record() { # ROW UNIT VALUE
    printf '%s\t%s\t%s\t%s\t%s\n' "$PLACE" "$1" "$2" "$FS" "$3" >>"$results"
    printf '%-40s %-22s %-10s %10s %s\n' "$PLACE" "$1" "$FS" "$3" "$2" >&2
}
fio_row() { # ROW UNIT JOB
    [[ $1 =~ $rows ]] || return 0
    if ! DIR=$WORK/mnt fio --output-format=json --output="$scratch/fio.json" "bench/fio/$3.fio" >/dev/null 2>"$scratch/err"; then
        # A peer that cannot do it at all (O_DIRECT on some lower filesystems) has no number in that row.
        [[ $FS == kmsfs-* ]] && die "fio $3 failed on $FS: $(tail -n 3 "$scratch/err")"
        say "$FS cannot: $1: $(head -n 1 "$scratch/err")" >&2
        return 0
    fi
    record "$1" "$2" "$(python3 bench/table.py fio "$scratch/fio.json")"
}
small_row() { # ROW PHASE
    record "$1" "files/s" "$("$scratch/small" "$2" "$WORK/mnt/small" "$FILES")"
}
timed() { # ROW COMMAND...
    local row=$1 start=$EPOCHREALTIME end
    shift
    "$@" >/dev/null || die "$row failed on $FS"
    end=$EPOCHREALTIME
    record "$row" s "$(awk "BEGIN { print $end - $start }")"
}

measure() {
    mkdir -p "$WORK/lower" "$WORK/mnt" "$WORK/keys"
    set_up && bring_up || die "$FS does not start"
    fio_row "sequential write, 1 MiB" MiB/s seq-write
    [ -e "$WORK/mnt/data" ] || fallocate -l "$SIZE" "$WORK/mnt/data" 2>/dev/null || truncate -s "$SIZE" "$WORK/mnt/data"
    cold; fio_row "sequential read, 1 MiB" MiB/s seq-read
    fio_row "random write, 4 KiB" ops/s rand-write
    cold; fio_row "random read, 4 KiB" ops/s rand-read
    fio_row "random write, 4 jobs" ops/s jobs4-write
    cold; fio_row "random read, 4 jobs" ops/s jobs4-read
    fio_row "random write, direct, QD 16" ops/s direct-write
    cold; fio_row "random read, direct, QD 16" ops/s direct-read
    fio_row "write and fsync, 4 KiB" ops/s fsync
    rm -f "$WORK"/mnt/data*
    if [[ "small files" =~ $rows ]]; then
        mkdir "$WORK/mnt/small"
        small_row "create" create
        cold; small_row "stat, cold" stat
        cold; small_row "open and read, cold" read
        cold; small_row "rename" rename
        cold; small_row "unlink" unlink
    fi
    if [[ "tree" =~ $rows ]]; then
        timed "untar, 2,400 files" tar -C "$WORK/mnt" -xf "$scratch/tree.tar"
        cold; timed "grep -r, cold" grep -rc word7 "$WORK/mnt/tree"
        cold; timed "rm -rf" rm -rf "$WORK/mnt/tree"
    fi
    take_down
    rm -rf "$WORK"
}

for round in $(seq "$rounds"); do
    for place in "${places[@]}"; do
        for FS in "${filesystems[@]}"; do
            [ -n "$FS" ] || continue
            PLACE="$place ($(stat -f -c %T "$place"))"
            WORK=$(mktemp -d -p "$place" kmsfs-bench-XXXXXX)
            say "round $round, $PLACE, $FS" >&2
            measure
            WORK=
        done
    done
done

cat <<TXT
kmsfs $("$KMSFS" --version | awk '{ print $NF }'), $(gocryptfs --version | cut -d';' -f1), securefs $(dpkg-query -W -f '${Version}' securefs 2>/dev/null) (lite format); kernel $(uname -r),
$(nproc) CPUs, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo); $rounds rounds, files of $SIZE, medians.
TXT
python3 bench/table.py "$results"
