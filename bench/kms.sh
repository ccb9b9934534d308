#!/usr/bin/env bash
# How many requests does kmsd answer, beside moto's server, in one run on one machine?
#
#     bench/kms.sh [--quick] [--no-moto] [--keys N] [DIRECTORY...]
#
# For each DIRECTORY (default: /dev/shm for the code alone, /var/tmp for a disk) a kmsd keeps its store and
# its audit trail there; every request waits until its audit record is durable there. Client and service
# share the machine, over loopback. moto (from PyPI, in a virtual environment of its own) checks no
# signatures, encrypts nothing and records nothing; it is what people test against otherwise.
# Then a kmsd with many keys: memory, and the time of a start. Nothing is asserted. Needs root.
. "$(dirname "$0")/../contrib/lib.sh"

seconds=5 moto=yes keys=100000 places=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick) seconds=1 keys=2000 ;;
        --no-moto) moto=no ;;
        --keys) keys=$2; shift ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) places+=("$1") ;;
    esac
    shift
done
[ ${#places[@]} -gt 0 ] || places=(/dev/shm /var/tmp)
[ "$(id -u)" = 0 ] || die "the private socket serves processes of root here: run it as root"
build_tools
rust_is_there
packages python3:python3 curl:curl
cargo build --release --locked --bins --quiet || die "the build failed"
load=$(cargo build --release --locked --bench load --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*load-[^"]*\)".*/\1/p' | tail -n 1)
[ -x "$load" ] || die "the load was not built"
BIN=${KMSFS_BIN_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release}

scratch=$(mktemp -d) pid='' server='' work=''
clean_up() {
    for process in $pid $server; do kill "$process" 2>/dev/null; wait "$process" 2>/dev/null; done
    rm -rf "$scratch" ${work:+"$work"}
}
trap clean_up EXIT
trap 'exit 1' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }

start_kmsd() { # STORE
    cat >"$scratch/kmsd.toml" <<T
account = "111122223333"
region = "local-1"
services = ["root"]
administrators = ["root"]
[store]
dir = "$1"
[unix]
path = "$scratch/kmsd.sock"
[http]
address = "127.0.0.1:$port"
[limits]
keys = $((keys + 1000))
T
    RUST_LOG=warn "$BIN/kmsd" --config "$scratch/kmsd.toml" &
    pid=$!
    until curl -sf "http://127.0.0.1:$port/healthz" >/dev/null; do
        kill -0 $pid 2>/dev/null || die "kmsd does not start"
        sleep 0.01
    done
}

stop_kmsd() { kill "$pid" && wait "$pid"; pid=''; }

new_access_key() {
    "$BIN/kmsfs" --json iam create-access-key --user root --kms "unix:$scratch/kmsd.sock" >"$scratch/key" ||
        die "no access key"
    AWS_ACCESS_KEY_ID=$(member access_key_id <"$scratch/key")
    AWS_SECRET_ACCESS_KEY=$(member secret_access_key <"$scratch/key")
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION=local-1
}

row() { # LABEL WHERE COMMAND...: one line of the table, from the load's JSON
    local label=$1 where=$2 line
    shift 2
    if ! line=$("$@"); then
        [[ $where == moto* ]] || die "the load failed: $label, $where"
        printf '| %s | %s | failed | | |\n' "$label" "$where"
        return
    fi
    printf '| %s | %s | %s | %s | %s |\n' "$label" "$where" "$(member per_second <<<"$line")" \
        "$(member p50_us <<<"$line")" "$(member p99_us <<<"$line")"
}

port=$(free_port)
echo "| what | where | per second | median, us | p99, us |"
echo "| --- | --- | ---: | ---: | ---: |"
for place in "${places[@]}"; do
    work=$(mktemp -d "$place/kmsfs-bench.XXXXXX")
    start_kmsd "$work"
    new_access_key
    for target in Decrypt GenerateDataKey; do
        row "$target, SigV4, 16 connections" "kmsd, $place" "$load" http "127.0.0.1:$port" $target 16 $seconds
    done
    row "Decrypt, a policy of 32 KB" "kmsd, $place" "$load" http "127.0.0.1:$port" Decrypt 16 $seconds 32000
    row "unwrap, private socket, 512 under way" "kmsd, $place" "$load" unwrap "$scratch/kmsd.sock" 512 $seconds
    row "unwrap, private socket, one at a time" "kmsd, $place" "$load" unwrap "$scratch/kmsd.sock" 1 $seconds
    stop_kmsd
    rm -rf "$work" && work=''
done

if [ $moto = yes ]; then
    python3 -m venv "$scratch/moto" && "$scratch/moto/bin/pip" install --quiet 'moto[server,kms]' >&2 ||
        die "moto could not be had from PyPI (--no-moto leaves it out)"
    moto_port=$(free_port)
    "$scratch/moto/bin/moto_server" -H 127.0.0.1 -p "$moto_port" >"$scratch/moto.log" 2>&1 &
    server=$!
    until curl -s "http://127.0.0.1:$moto_port/" >/dev/null; do
        kill -0 $server 2>/dev/null || die "moto does not start: $(tail -n 3 "$scratch/moto.log")"
        sleep 0.2
    done
    name="moto $("$scratch/moto/bin/pip" list 2>/dev/null | awk '$1 == "moto" { print $2 }')"
    # It knows AWS's own Regions only, and answers 500 in any other.
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
    for target in Decrypt GenerateDataKey; do
        connections=16
        timeout 20 "$load" http "127.0.0.1:$moto_port" $target 16 1 >/dev/null 2>&1 || connections=1
        row "$target, $connections connections" "$name" \
            timeout $((seconds + 20)) "$load" http "127.0.0.1:$moto_port" $target $connections $seconds
    done
    kill $server && wait $server 2>/dev/null
    server=''
fi

# ---- many keys: made in memory, since a disk would be asked to flush for each, then started from a disk
work=$(mktemp -d /dev/shm/kmsfs-bench.XXXXXX)
start_kmsd "$work"
new_access_key
row "CreateKey, one after another" "kmsd, /dev/shm" "$load" fill "127.0.0.1:$port" "$keys"
stop_kmsd
last=${places[-1]}
moved=$(mktemp -d "$last/kmsfs-bench.XXXXXX")
cp -a "$work/." "$moved/" && sync "$moved"/* && rm -rf "$work" && work=$moved
began=$(date +%s%N)
start_kmsd "$work"
ready=$((($(date +%s%N) - began) / 1000000))
row "Decrypt among $keys keys" "kmsd, $last" "$load" http "127.0.0.1:$port" Decrypt 16 $seconds
resident=$(awk '/^VmHWM:/ { printf "%d", $2 / 1024 }' /proc/$pid/status)
echo
echo "| with $keys keys, kmsd, $last | |"
echo "| --- | ---: |"
echo "| answers after its start, ms | $ready |"
echo "| largest resident size, MB | $resident |"
