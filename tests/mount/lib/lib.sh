# What the end-to-end tests in shell share. Source it; do not run it.
#
# $WORK is a scratch directory; whatever is mounted or started below it is taken down on exit.
# `check NAME COMMAND...` counts; `finish` prints the line that contrib/test.sh adds up.
# shellcheck shell=bash
set -u -o pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
BIN=${KMSFS_BIN_DIR:-$TOP/target/release}
export KMSFS="$BIN/kmsfs" KMSD="$BIN/kmsd"
PASSED=0 FAILED=0 PIDS=() LOOPS=()

[ "$(id -u)" = 0 ] || { echo "these tests mount filesystems and need root" >&2; exit 1; }
for b in "$KMSFS" "$KMSD"; do
    [ -x "$b" ] || { echo "$b is missing: cargo build --release" >&2; exit 1; }
done
WORK=$(mktemp -d "${KMSFS_TEST_DIR:-/var/tmp}/kmsfs-$(basename "$0" .sh)-XXXXXX")
STORE=$WORK/store LOWER=$WORK/lower MNT=$WORK/mnt
mkdir -p "$STORE" "$LOWER" "$MNT"

# Mount points below $1, deepest first.
mounts_below() { awk -v top="$1/" 'index($5 "/", top) == 1 { print $5 }' /proc/self/mountinfo | tac; }

clean_up() {
    cd /
    local m p
    for m in $(mounts_below "$WORK"); do
        "$KMSFS" umount "$m" >/dev/null 2>&1 || umount "$m" 2>/dev/null || umount -l "$m"
    done
    [ -s "$WORK/kmsd.pid" ] && PIDS+=("$(cat "$WORK/kmsd.pid")")
    for p in "${PIDS[@]}"; do
        kill "$p" 2>/dev/null && wait "$p" 2>/dev/null
    done
    if [ -n "${KMSFS_TEST_KEEP:-}" ]; then echo "kept: $WORK" >&2; else rm -rf "$WORK"; fi
}
trap clean_up EXIT

pass() { PASSED=$((PASSED + 1)); echo "ok      $1"; }
fail() { FAILED=$((FAILED + 1)); echo "FAILED  $1${2:+: $2}"; }

# check NAME COMMAND...: counts whether COMMAND succeeds; shows its output when it does not.
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then pass "$name"; else fail "$name" "$(tail -n 5 <<<"$out")"; fi
}

# same NAME A B: counts whether two texts are equal.
same() {
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "$(diff <(echo "$2") <(echo "$3") | head -n 6)"; fi
}

finish() {
    echo "$PASSED passed, $FAILED failed"
    [ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
    exit
}

# need TOOL...: a missing tool is a failure of the test, not a reason to leave something out.
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { fail "needs $tool (contrib/test.sh installs it)"; finish; }
    done
}

# cargo_tool NAME VERSION: a test program from crates.io, built once per machine; $TOOLS/NAME is it.
cargo_tool() {
    TOOLS=${KMSFS_TOOLS:-/var/tmp/kmsfs-tools}/$1-$2
    [ -x "$TOOLS/$1" ] && return
    local cargo=${CARGO:-$(command -v cargo || echo "$HOME/.cargo/bin/cargo")} built
    built=$(mktemp -d "${KMSFS_TEST_DIR:-/var/tmp}/kmsfs-build-XXXXXX")
    # Not the target directory of this package, nor its lock; and built quickly, for it does little itself.
    if ! (cd / && CARGO_TARGET_DIR=$built/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$cargo" install "$1" --locked --version "$2" --root "$built" --quiet) 2>"$built/log"; then
        fail "$1 $2 from crates.io" "$(tail -n 3 "$built/log")"
        rm -rf "$built"
        finish
    fi
    mkdir -p "$TOOLS" && cp "$built/bin/$1" "$TOOLS/$1"
    rm -rf "$built"
}

# mount_volume [LOWER [MNT [OPTIONS]]] with an embedded key service, in the background, over the
# transport that KMSFS_TRANSPORT names, if it does.
mount_volume() {
    local lower=${1:-$LOWER} mnt=${2:-$MNT} options=${3:-}
    options=${KMSFS_TRANSPORT:+,transport=$KMSFS_TRANSPORT}${options:+,$options}
    "$KMSFS" mount "$lower" "$mnt" -o "keystore=$STORE,log=$WORK/mount.log$options"
}

unmount_volume() { "$KMSFS" umount "${1:-$MNT}" || { holders "${1:-$MNT}"; return 1; }; }

# holders DIRECTORY: who has something below it open, mapped or as working directory, in any mount namespace.
holders() {
    local dir=$1 process what
    for process in /proc/[0-9]*; do
        what=$({ readlink "$process"/{cwd,root,exe} "$process"/fd/*; awk '{ print $6 }' "$process/maps"; } 2>/dev/null |
            grep -F -m 1 -- "$dir") && echo "held by ${process#/proc/} ($(cat "$process/comm")): $what"
        grep -qsF -- " $dir " "$process/mountinfo" && [ "$(readlink "$process/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] &&
            echo "mounted in the namespace of ${process#/proc/} ($(cat "$process/comm")) too"
    done 2>/dev/null
    ps -eo pid,stat,wchan:24,args --sort=pid | awk '$2 ~ /^D/'
}

# errno_of COMMAND-IN-PYTHON: prints 0, or the errno it raises.
errno_of() {
    python3 - "$@" <<'PY'
import os, sys
try:
    exec(sys.argv[1], {"os": os, "args": sys.argv[2:]})
    print(0)
except OSError as error:
    print(error.errno)
PY
}

# errno of opening (and reading) a file: 0 when it works.
open_errno() { errno_of 'open(args[0], "rb").read(1)' "$1"; }

# start_kmsd: a key service of its own on loopback and a Unix socket; sets KMS_SOCKET and KMS_URL.
start_kmsd() {
    KMS_SOCKET=$WORK/kmsd.sock
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    KMS_URL=http://127.0.0.1:$port
    mkdir -p "$WORK/kmsd-store"
    (umask 077 && head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$WORK/kmsd.key")
    kmsd_config "$port" >"$WORK/kmsd.toml"
    run_kmsd
}

# Also after stop_kmsd, and from a subshell: its process id is in a file.
run_kmsd() {
    RUST_LOG=${RUST_LOG:-info} "$KMSD" --config "$WORK/kmsd.toml" >>"$WORK/kmsd.log" 2>&1 &
    echo $! >"$WORK/kmsd.pid"
    for _ in $(seq 200); do
        [ -S "$KMS_SOCKET" ] && curl -fsS "$KMS_URL/healthz" >/dev/null 2>&1 && return 0
        kill -0 "$(cat "$WORK/kmsd.pid")" 2>/dev/null || break
        sleep 0.05
    done
    echo "kmsd did not start: $(tail -n 3 "$WORK/kmsd.log")" >&2
    return 1
}

stop_kmsd() {
    kill "$(cat "$WORK/kmsd.pid")"
    for _ in $(seq 200); do kill -0 "$(cat "$WORK/kmsd.pid")" 2>/dev/null || return 0; sleep 0.05; done
    return 1
}

# What kmsd is told: everything below $WORK, and root may speak for the users of a mount.
kmsd_config() {
    cat <<TOML
services = ["root"]
administrators = ["root"]

[store]
dir = "$WORK/kmsd-store"

[unlock]
key_file = "$WORK/kmsd.key"

[unix]
path = "$KMS_SOCKET"
mode = "0666"

[http]
address = "127.0.0.1:$1"
TOML
}

# An access key for root, in the environment of the AWS command line.
aws_credentials() {
    local made
    made=$("$KMSFS" --json iam create-access-key --user root --kms "unix:$KMS_SOCKET") || return
    AWS_ACCESS_KEY_ID=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["access_key_id"])' "$made") || return
    AWS_SECRET_ACCESS_KEY=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["secret_access_key"])' "$made") || return
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION=local-1 AWS_EC2_METADATA_DISABLED=true
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=
}

# Debian's, where there are two.
AWS=/usr/bin/aws
[ -x $AWS ] || AWS=aws

aws_kms() { "$AWS" kms --endpoint-url "$KMS_URL" "$@"; }
