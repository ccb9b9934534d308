#!/usr/bin/env bash
# What does a policy per user cost who opens files?
#
#     bench/policy.sh [--quick] [--rounds N] [DIRECTORY]
#
# Two mounts on DIRECTORY (default /dev/shm), measured in turns: `off`, an embedded service under the managed
# key, which every user may use; `on`, a kmsd in a process of its own and a key with a policy of 100 statements
# that lets one user in, who is the one that reads. Files of 2,000 bytes are opened, read and closed, with the
# kernel's caches dropped before each pass: `first` after a mount, when every file's key is asked for, and
# `again`, when decisions and keys are remembered. Prints files/s, medians, and on / off. Needs root.
. "$(dirname "$0")/../contrib/lib.sh"

rounds=5 files=4000 place=/dev/shm
while [ $# -gt 0 ]; do
    case $1 in
        --quick) files=1000 rounds=3 ;;
        --rounds) rounds=$2; shift ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
    for m in on off; do "$BIN/kmsfs" umount "$work/mnt-$m" >/dev/null 2>&1; done
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null
    userdel "$user" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
useradd -M -s /bin/sh "$user" || die "no user to measure with"
chmod 755 "$work"
cc -O2 -Wall -o "$work/small" bench/small.c || die "small.c does not compile"

mkdir -p "$work"/{lower,mnt}-{on,off} "$work/kmsd-store" "$work/store"
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
python3 - "$user" >"$work/policy.json" <<'PY'
import json, sys
account = "111122223333"
arn = lambda name: f"arn:aws:iam::{account}:user/{name}"
use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
one = lambda name: {"Effect": "Allow", "Principal": {"AWS": arn(name)}, "Action": use, "Resource": "*"}
admin = {"Effect": "Allow", "Principal": {"AWS": arn("root")}, "Action": "kms:*", "Resource": "*"}
print(json.dumps({"Version": "2012-10-17", "Statement": [admin, *map(one, map("other{}".format, range(98))), one(sys.argv[1])]}))
PY
key=$("$BIN/kmsfs" --json key create --policy "$work/policy.json" --kms "unix:$work/kmsd.sock" |
    sed -n 's/.*"KeyId": *"\([^"]*\)".*/\1/p' | head -n 1)
[ -n "$key" ] || die "no key was made"

mounted() { # on|off
    case $1 in
        on) "$BIN/kmsfs" mount "$work/lower-on" "$work/mnt-on" -o "kms=unix:$work/kmsd.sock,key=$key,allow_other" ;;
        off) "$BIN/kmsfs" mount "$work/lower-off" "$work/mnt-off" -o "keystore=$work/store,allow_other" ;;
    esac >/dev/null || die "mount $1"
}
as_user() { runuser -u "$user" -- "$work/small" "$@"; }
cold() { sync; echo 3 >/proc/sys/vm/drop_caches; }

for m in on off; do
    mounted $m
    chmod 777 "$work/mnt-$m"
    runuser -u "$user" -- mkdir "$work/mnt-$m/files"
    as_user create "$work/mnt-$m/files" "$files" >/dev/null || die "files on $m"
    "$BIN/kmsfs" umount "$work/mnt-$m"
done
for round in $(seq "$rounds"); do
    for m in $([ $((round % 2)) = 1 ] && echo "on off" || echo "off on"); do
        mounted "$m"
        cold; echo "first $m $(as_user read "$work/mnt-$m/files" "$files")"
        cold; echo "again $m $(as_user read "$work/mnt-$m/files" "$files")"
        "$BIN/kmsfs" umount "$work/mnt-$m"
    done
done >"$work/figures"
python3 - "$work/figures" <<'PY'
import statistics, sys
figures = {}
for line in open(sys.argv[1]):
    row, mount, value = line.split()
    figures.setdefault((row, mount), []).append(float(value))
print(f"{'open, read, close':20}{'off':>12}{'on':>12}{'on / off':>10}")
for row in ("first", "again"):
    off, on = (statistics.median(figures[row, mount]) for mount in ("off", "on"))
    print(f"{row:20}{off:12.0f}{on:12.0f}{on / off:10.2f}")
PY
