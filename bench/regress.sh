#!/usr/bin/env bash
# Is one revision slower than another?
#
#     bench/regress.sh [--rounds N] [--rows REGEX] [--on kmsfs-device] [--place DIRECTORY] A B
#
# A and B are revisions, which are built apart (nothing of the working tree is touched), or directories with
# programs that are built already. Both are measured by this checkout's peers.sh, in turns, round by round (5),
# with short jobs; the last column is how many times as fast B is as A, by medians, and the one before it how far A's
# own rounds lie apart: a difference below that says nothing. REGEX chooses rows of peers.sh. Needs root.
. "$(dirname "$0")/lib.sh"

rounds=5 rows=. on=kmsfs-device place=/dev/shm revisions=()
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift ;;
        --rows) rows=$2; shift ;;
        --on) on=$2; shift ;;
        --place) place=$2; shift ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) revisions+=("$1") ;;
    esac
    shift
done
unset KMSFS_BIN_DIR
[ ${#revisions[@]} = 2 ] || die "two revisions, please (--help)"
[ "$(id -u)" = 0 ] || die "this mounts filesystems and drops caches: run it as root"
build_tools
rust_is_there
packages git:git python3:python3

own=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
temporary=$(mktemp -d -p /var/tmp kmsfs-regress-XXXXXX)
clean_up() {
    local side
    for side in A B; do git worktree remove --force "$temporary/$side" 2>/dev/null; done
    git worktree prune
    # A compiler that was interrupted may still put something there.
    rm -rf "$temporary" 2>/dev/null || { sleep 2; rm -rf "$temporary"; }
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# built A|B REVISION: the directory of its programs.
built() {
    if [ -x "$2/kmsfs" ]; then
        realpath "$2"
        return
    fi
    git worktree add --quiet --detach "$temporary/$1" "$2" || die "no revision $2"
    # What other crates became is the same for both: it is taken from this checkout, or from the first.
    local from=$temporary/target-A/release part
    [ -d "$from" ] || from=$own/release
    mkdir -p "$temporary/target-$1/release"
    for part in build deps .fingerprint; do
        [ ! -d "$from/$part" ] || cp -a "$from/$part" "$temporary/target-$1/release/"
    done
    say "building $2" >&2
    (cd "$temporary/$1" && CARGO_TARGET_DIR=$temporary/target-$1 cargo build --release --locked --bins --quiet) >&2 ||
        die "$2 does not build"
    echo "$temporary/target-$1/release"
}
one=$(built A "${revisions[0]}") || exit 1
two=$(built B "${revisions[1]}") || exit 1

for round in $(seq "$rounds"); do
    order=(A B)
    [ $((round % 2)) = 1 ] || order=(B A)
    for side in "${order[@]}"; do
        programs=$one
        [ $side = A ] || programs=$two
        say "round $round, $side" >&2
        KMSFS_BIN_DIR=$programs KMSFS_RESULTS=$temporary/$side.tsv \
            bench/peers.sh --quick --only "$on" --rows "$rows" "$place" >/dev/null 2>"$temporary/err" ||
            die "peers.sh: $(tail -n 5 "$temporary/err")"
    done
done
echo "A: ${revisions[0]}, B: ${revisions[1]}; $on on $(stat -f -c %T "$place"), $rounds rounds"
python3 bench/table.py "$temporary/A.tsv" "$temporary/B.tsv"
