#!/usr/bin/env bash
# What does a policy per user cost who opens files?
#
#     bench/policy.sh [--quick] [--rounds N] [DIRECTORY]
#
# Three mounts on DIRECTORY (default /dev/shm): `off`, an embedded service under the managed key, which every
# user may use; `kmsd`, a key that every user may use in a kmsd of its own process; `on`, the same kmsd and a key
# with a policy of 100 statements that lets one user in, who is the one that reads. Files of 4 KiB are
# opened, read and closed: `first` after a mount, when every file's key is asked for; `again`, when decisions and
# keys are remembered and the kernel's caches were dropped; `hot`, when the kernel has the pages and asks for the
# open alone. One process takes a directory of each mount in turn, so that other load on the machine weighs on
# all alike. Prints medians of files/s over all turns, and of two ratios: on / off, and on / kmsd, which is the
# policy alone. Needs root.
. "$(dirname "$0")/../contrib/lib.sh"

rounds=9 files=4000 place=/dev/shm
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=3 ;;
        --rounds) rounds=$2; shift ;;
        -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) place=$1 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || die "this mounts for other users and drops caches: run it as root"
build_tools
fuse_is_there
rust_is_there
packages python3:python3 useradd:passwd runuser:util-linux
cargo build --release --locked --bins --quiet || die "the build failed"
BIN=${KMSFS_BIN_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release}

work=$(mktemp -d "$place/kmsfs-bench-XXXXXX") pid='' user=kmsfs-bench-$$
clean_up() {
    for m in on kmsd off; do "$BIN/kmsfs" umount "$work/mnt-$m" >/dev/null 2>&1; done
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null
    userdel "$user" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
useradd -M -s /bin/sh "$user" || die "no user to measure with"
chmod 755 "$work"
for c in small turns; do cc -O2 -Wall -o "$work/$c" bench/$c.c || die "$c.c does not compile"; done

mkdir -p "$work"/{lower,mnt}-{on,kmsd,off} "$work/kmsd-store" "$work/store"
head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$work/kmsd.key" && chmod 600 "$work/kmsd.key"
cat >"$work/kmsd.toml" <<T
services = ["root"]
administrators = ["root"]
[store]
dir = "$work/kmsd-store"
[unlock]
key_file = "$work/kmsd.key"
[unix]
path = "$work/kmsd.sock"
mode = "0666"
T
RUST_LOG=warn "$BIN/kmsd" --config "$work/kmsd.toml" &
pid=$!
for _ in $(seq 200); do [ -S "$work/kmsd.sock" ] && break; sleep 0.05; done
python3 - "$user" "$work" <<'PY'
import json, sys
account = "111122223333"
arn = lambda name: f"arn:aws:iam::{account}:user/{name}"
use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
one = lambda name: {"Effect": "Allow", "Principal": {"AWS": arn(name)}, "Action": use, "Resource": "*"}
admin = {"Effect": "Allow", "Principal": {"AWS": arn("root")}, "Action": "kms:*", "Resource": "*"}
everybody = {"Effect": "Allow", "Principal": "*", "Action": use, "Resource": "*"}
def write(name, *statements):
    with open(f"{sys.argv[2]}/{name}.json", "w") as file:
        json.dump({"Version": "2012-10-17", "Statement": [admin, *statements]}, file)
write("on", *map(one, map("other{}".format, range(98))), one(sys.argv[1]))
write("kmsd", everybody)
PY
new_key() { # on|kmsd
    "$BIN/kmsfs" --json key create --kms "unix:$work/kmsd.sock" --policy "$work/$1.json" |
        sed -n 's/.*"KeyId": *"\([^"]*\)".*/\1/p' | head -n 1
}
key=$(new_key on) plain=$(new_key kmsd)
[ -n "$key" ] && [ -n "$plain" ] || die "no keys were made"

mounted() { # on|kmsd|off
    case $1 in
        on) set -- on "kms=unix:$work/kmsd.sock,key=$key" ;;
        kmsd) set -- kmsd "kms=unix:$work/kmsd.sock,key=$plain" ;;
        off) set -- off "keystore=$work/store" ;;
    esac
    "$BIN/kmsfs" mount "$work/lower-$1" "$work/mnt-$1" -o "$2,allow_other" >/dev/null || die "mount $1"
}
as_user() { runuser -u "$user" -- "$work/$1" "${@:2}"; }
mounts=(off kmsd on)
for m in "${mounts[@]}"; do
    mounted "$m"
    chmod 777 "$work/mnt-$m"
    runuser -u "$user" -- mkdir "$work/mnt-$m/files"
    as_user small create "$work/mnt-$m/files" "$files" >/dev/null || die "files on $m"
    "$BIN/kmsfs" umount "$work/mnt-$m"
done
for _ in $(seq "$rounds"); do
    for m in "${mounts[@]}"; do mounted "$m"; done
    for row in first again hot; do
        if [ $row != hot ]; then
            # The mounts are told of every inode dropped, and work on that for a while.
            sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.3
        fi
        as_user turns $((files / 200)) "$work"/mnt-{off,kmsd,on}/files | sed "s/^/$row /"
    done
    for m in "${mounts[@]}"; do "$BIN/kmsfs" umount "$work/mnt-$m"; done
done >"$work/figures"
python3 - "$work/figures" <<'PY'
import statistics, sys
figures = {}
for line in open(sys.argv[1]):
    row, *values = line.split()
    figures.setdefault(row, []).append([float(v) for v in values])
print(f"{'open, read, close':20}{'off':>10}{'kmsd':>10}{'on':>10}{'on / off':>10}{'on / kmsd':>11}")
for row, turns in figures.items():
    each = "".join(f"{statistics.median(column):10.0f}" for column in zip(*turns))
    to_off = statistics.median(on / off for off, _, on in turns)
    to_kmsd = statistics.median(on / kmsd for _, kmsd, on in turns)
    print(f"{row:20}{each}{to_off:10.2f}{to_kmsd:11.2f}")
PY
