# What the scripts here share: the filesystems that are measured, and how busy the machine is. Source it.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../contrib/lib.sh"

ALL_FILESYSTEMS="kmsfs-uring,kmsfs-device,kmsfs-fuser,gocryptfs,securefs,raw"
EXAMPLES=/usr/share/doc/libfuse3-dev/examples

# prepare FILESYSTEM...: installs and builds what measuring these takes, switches the ring on; sets $filesystems,
# $scratch and $KMSFS. Everything is put back on exit.
prepare() {
    [ "$(id -u)" = 0 ] || die "this mounts filesystems and drops caches: run it as root"
    build_tools
    fuse_is_there
    packages python3:python3 pgrep:procps
    filesystems=("$@")
    [[ " $* " != *" gocryptfs "* ]] || packages gocryptfs:gocryptfs
    [[ " $* " != *" securefs "* ]] || packages securefs:securefs
    KMSFS=${KMSFS_BIN_DIR:-}/kmsfs
    if [[ " $* " == *" kmsfs-"* && -z ${KMSFS_BIN_DIR:-} ]]; then
        rust_is_there
        cargo build --release --locked --bins --quiet || die "the build failed"
        KMSFS=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/kmsfs
    fi
    scratch=$(mktemp -d) WORK='' switched=''
    trap clean_up EXIT
    trap 'exit 1' INT TERM
    [[ " $* " != *" kmsfs-uring "* ]] || switch_ring_on
    head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$scratch/password"
    cc -O2 -Wall -o "$scratch/small" bench/small.c || die "small.c does not compile"
    if [[ " $* " == *" passthrough "* ]]; then
        packages $EXAMPLES/passthrough_ll.c:libfuse3-dev pkg-config:pkg-config
        # shellcheck disable=SC2046
        cc -O2 -w -o "$scratch/passthrough" -I$EXAMPLES $EXAMPLES/passthrough_ll.c $(pkg-config fuse3 --cflags --libs) ||
            die "libfuse's example does not compile"
    fi
}

switch=/sys/module/fuse/parameters/enable_uring
switch_ring_on() {
    if [ -w $switch ]; then
        switched=$(cat $switch)
        echo 1 >$switch
        [ "$switched" = Y ] || say "$switch: on for this run" >&2
        return
    fi
    say "this kernel has no FUSE over io_uring: that column is left out" >&2
    local kept=() fs
    for fs in "${filesystems[@]}"; do [ "$fs" = kmsfs-uring ] || kept+=("$fs"); done
    filesystems=("${kept[@]}")
}

clean_up() {
    if [ -n "$WORK" ]; then
        take_down 2>/dev/null
        umount -l "$WORK/mnt" 2>/dev/null
        rm -rf "$WORK"
    fi
    rm -rf "$scratch"
    [ -z "$switched" ] || echo "$switched" >$switch
}

# Each filesystem by $FS, in $WORK: `lower` below, `mnt` on top; `raw` is the lower filesystem itself.
set_up() { # an empty volume
    mkdir -p "$WORK/lower" "$WORK/mnt" "$WORK/keys"
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
        passthrough) "$scratch/passthrough" -o "source=$WORK/lower" "$WORK/mnt" ;;
        raw) return ;;
        *) die "no filesystem is called $FS" ;;
    esac || die "$FS does not mount"
    for _ in $(seq 100); do mountpoint -q "$WORK/mnt" && return; sleep 0.05; done
    die "$FS does not mount"
}
take_down() {
    case $FS in
        kmsfs-*) "$KMSFS" umount "$WORK/mnt" ;;
        raw) ;;
        *) umount "$WORK/mnt" && while pgrep -f "$WORK/.* ?$WORK/mnt" >/dev/null; do sleep 0.02; done ;;
    esac
}
cold() { take_down && sync -f "$WORK/lower" && echo 3 >/proc/sys/vm/drop_caches && bring_up; }
# The process that serves the mount.
server() { pgrep -f -- "$WORK/mnt" | head -n 1; }

# One row of a table, for scripts that look at it from nearby. What has to be there before it, then the row itself.
export SIZE=256M QUARTER=64M SMALL=64M SECONDS_EACH=5
known() {
    [[ " create read stat rename unlink untar " == *" $1 "* || -e bench/fio/$1.fio ]] || die "no row is called $1"
}
# A source tree of so many files as $scratch/tree.tar, which has it in the directory tree.
tree_of() {
    python3 tests/mount/lib/make_tree.py "$scratch/tree" "$1" && tar -C "$scratch" -cf "$scratch/tree.tar" tree ||
        die "no tree to unpack"
}
before() {
    case $1 in
        *read) DIR=$WORK/mnt fio --output=/dev/null --create_only=1 "bench/fio/$1.fio" 2>/dev/null ;;&
        read | stat | rename | unlink) mkdir -p "$WORK/mnt/small" && "$scratch/small" create "$WORK/mnt/small" 20000 >/dev/null ;;&
        unlink) "$scratch/small" rename "$WORK/mnt/small" 20000 >/dev/null ;;
        create) mkdir -p "$WORK/mnt/small" ;;
        untar) [ -e "$scratch/tree.tar" ] || tree_of 2000 ;;
    esac
    cold
}
during() {
    case $1 in
        create | read | stat | rename | unlink) "$scratch/small" "$1" "$WORK/mnt/small" 20000 ;;
        untar) tar -C "$WORK/mnt" -xf "$scratch/tree.tar" ;;
        *) DIR=$WORK/mnt fio --output=/dev/null "bench/fio/$1.fio" ;;
    esac
}

# What others do: two seconds of /proc/stat in which this script does nothing.
foreign_load() {
    local before after
    read -r -a before </proc/stat
    sleep 2
    read -r -a after </proc/stat
    # user nice system idle iowait irq softirq steal
    awk -v b="${before[*]:1:8}" -v a="${after[*]:1:8}" -v now="$(cut -d' ' -f1 /proc/loadavg)" 'BEGIN {
        split(b, x, " "); n = split(a, y, " ")
        for (i = 1; i <= n; i++) { d[i] = y[i] - x[i]; all += d[i] }
        if (all < 1) all = 1
        printf "load average %s, %.0f %% idle, %.1f %% stolen\n", now, 100 * (d[4] + d[5]) / all, 100 * d[8] / all }'
}
