#!/usr/bin/env bash
# All tests:  contrib/test.sh [--soak] [NAME...]
#
# Installs what they need, builds, runs the Rust tests, then every script of tests/mount on real mounts, and
# those of tests/awscli and tests/kmsd on real key services. With names, only these scripts (kill, daily, awscli,
# kmsd-kill ...; `rust` for the Rust tests). --soak runs crash tests and fuzzing at full length.
# KMSFS_TRANSPORT=uring|device|fuser in the environment makes every mount use that one; without it each takes
# what the machine offers, and those that go through every operation run again, in short, over io_uring; with
# --soak all do, at full length. The kernel's enable_uring is switched on where it is needed, and back. The last
# line is the sum; the exit code is 0 only if nothing failed. Nothing is left out silently: what cannot run has
# failed.
. "$(dirname "$0")/lib.sh"

rounds=5 kills=5 fuzz=20 names=()
# What runs over io_uring too, with so many rounds. teardown goes over every transport by itself.
ring=(copies daily disable fsx kill likeext4 paths pjdfstest policy posix small stress suid tamper) ring_rounds=2
for argument in "$@"; do
    case $argument in
        --soak) rounds=50 kills=200 fuzz=600 ring=(all) ;;
        -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "usage: contrib/test.sh [--soak] [NAME...]" ;;
        *) names+=("$argument") ;;
    esac
done
kills=${KMSFS_ROUNDS:-$kills}
export KMSFS_ROUNDS=${KMSFS_ROUNDS:-$rounds}

# wanted NAME: named on the command line, or nothing was.
wanted() { [ ${#names[@]} = 0 ] || [[ " ${names[*]} " == *" $1 "* ]]; }

build_tools
fuse_is_there
rust_is_there
packages git:git sqlite3:sqlite3 rsync:rsync setfacl:acl setfattr:attr bc:bc dpkg-deb:dpkg python3:python3 /usr/bin/aws:awscli \
    /usr/lib/python3/dist-packages/boto3:python3-boto3 /usr/share/doc/python3-venv:python3-venv curl:curl openssl:openssl mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs man:man-db \
    systemd-analyze:systemd mount:mount unshare:util-linux setcap:libcap2-bin faketime:faketime fio:fio pgrep:procps stress-ng:stress-ng strace:strace
# Debian's package would make a cluster and start it; the tests make their own.
[ -e /etc/postgresql-common/createcluster.conf ] ||
    as_root sh -c 'mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf'
packages /usr/share/doc/postgresql:postgresql

total_passed=0 total_failed=0 broken=()
# Every line that says what failed, for the end: CI shows little more than that.
failures=$(mktemp)
count() { # NAME LOGFILE EXIT-CODE
    local line passed failed
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$2" | tail -n 1)
    passed=${line%% passed*} failed=${line##*, }
    failed=${failed%% failed}
    # A script that ended badly without saying so has failed as a whole.
    if [ -z "$line" ]; then passed=0 failed=1; elif [ "$3" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
    if [ "$failed" != 0 ]; then
        broken+=("$1")
        { grep -aE '^(FAILED|not ok|panicked|thread .* panicked| +FAIL)|Traceback' "$2" || tail -n 15 "$2"; } |
            head -n 40 | sed "s/^/$1: /" >>"$failures"
    fi
    say "$1: $passed passed, $failed failed, $SECONDS s"
}

log=$(mktemp) && trap 'rm -f "$log" "$failures"' EXIT

if wanted rust; then
    SECONDS=0
    if command -v cargo-nextest >/dev/null; then
        cargo nextest run --release --locked --no-fail-fast --status-level fail --final-status-level fail 2>&1 | tee "$log"
        code=${PIPESTATUS[0]}
        # "Summary [ 1.2s] 300 tests run: 299 passed (1 slow), 1 failed, 0 skipped"
        summary=$(grep -E 'tests? run:' "$log" | tail -n 1)
        passed=$(grep -oE '[0-9]+ passed' <<<"$summary") failed=$(grep -oE '[0-9]+ failed' <<<"$summary")
        [ -n "$summary" ] && echo "${passed:-0 passed}, ${failed:-0 failed}" >>"$log"
        count "Rust tests" "$log" "$code"
        SECONDS=0
        cargo test --release --locked --doc --quiet 2>&1 | tee "$log"
        code=${PIPESTATUS[0]} name="documentation examples"
    else
        cargo test --release --locked --no-fail-fast --quiet 2>&1 | tee "$log"
        code=${PIPESTATUS[0]} name="Rust tests"
    fi
    awk '/^test result:/ { p += $4; f += $6 } END { if (NR) print p + 0 " passed, " f + 0 " failed" }' "$log" >>"$log.sum"
    cat "$log.sum" >>"$log" && rm -f "$log.sum"
    count "$name" "$log" "$code"
fi

say "building"
cargo build --release --locked --bins --quiet || die "the build failed"
KMSFS_BIN_DIR=${KMSFS_BIN_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release}
export KMSFS_BIN_DIR

run_script() { # SCRIPT LABEL ROUNDS TRANSPORT ARGUMENTS...
    local script=$1 label=$2 rounds=$3 transport=$4
    shift 4
    say "$script${transport:+ over $transport}"
    SECONDS=0
    as_root env KMSFS_BIN_DIR="$KMSFS_BIN_DIR" KMSFS_ROUNDS="$rounds" KMSFS_TRANSPORT="$transport" \
        timeout -k 30 $((rounds < 50 ? 600 + rounds * 30 : 36000)) "$script" "$@" </dev/null 2>&1 | tee "$log"
    count "$label" "$log" "${PIPESTATUS[0]}"
}

# The kernel's switch for FUSE over io_uring; put back on exit.
switch=/sys/module/fuse/parameters/enable_uring
switch_on() {
    local before
    [ -e $switch ] || return
    before=$(cat $switch)
    trap 'echo "'"$before"'" | as_root tee $switch >/dev/null; rm -f "$log" "$failures"' EXIT
    echo 1 | as_root tee $switch >/dev/null
    say "$switch: was $before, on for the following"
}

[ "${KMSFS_TRANSPORT:-}" != uring ] || switch_on || die "this kernel has no FUSE over io_uring"
for script in tests/mount/*.sh tests/mount/*.py tests/awscli/run.sh; do
    name=$(basename "$script") name=${name%.*}
    arguments=()
    [ "$name" = run ] && name=awscli arguments=("$KMSFS_BIN_DIR")
    wanted "$name" || continue
    run_script "$script" "$name" "$KMSFS_ROUNDS" "${KMSFS_TRANSPORT:-}" "${arguments[@]}"
done

! wanted kmsd-kill || run_script tests/kmsd/kill.py kmsd-kill "$kills" ""
! wanted kmsd-fuzz || run_script tests/kmsd/fuzz.py kmsd-fuzz "$((fuzz / 10))" "" --fuzz-seconds "$fuzz"

if [ "${ring[*]}" = all ]; then
    ring=() ring_rounds=$KMSFS_ROUNDS
    for script in tests/mount/*.sh tests/mount/*.py; do
        name=$(basename "$script")
        [ "$name" = teardown.py ] || ring+=("${name%.*}")
    done
fi

# ---- once more over io_uring, where the kernel has it
if [ -n "${KMSFS_TRANSPORT:-}" ]; then
    say "every mount was over $KMSFS_TRANSPORT"
elif ! switch_on; then
    say "this kernel has no FUSE over io_uring: the scripts ran over /dev/fuse alone"
else
    for name in "${ring[@]}"; do
        wanted "$name" || continue
        run_script tests/mount/"$name".* "$name over io_uring" "$ring_rounds" uring
    done
fi

[ ${#broken[@]} = 0 ] || { say "failed: ${broken[*]}"; cat "$failures"; }
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" = 0 ] && [ "$total_passed" -gt 0 ]
