#!/usr/bin/env bash
# From a fresh clone to a mounted, encrypted directory:  contrib/quickstart.sh [DIRECTORY]
#
# Installs what is missing, builds, makes DIRECTORY/lower (what is stored) and DIRECTORY/files (what you
# use), writes a file and shows what became of it. Leaves it mounted. Running it again changes nothing
# that is there. DIRECTORY is ~/kmsfs-demo unless given.
. "$(dirname "$0")/lib.sh"

case ${1:-} in
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "usage: contrib/quickstart.sh [DIRECTORY]" ;;
esac
demo=$(realpath -m "${1:-$HOME/kmsfs-demo}")

build_tools
fuse_is_there
rust_is_there
say "building (some minutes the first time)"
cargo build --release --locked --bins --quiet || die "the build failed"
kmsfs=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/kmsfs

lower=$demo/lower files=$demo/files keys=$demo/keys
mkdir -p "$lower" "$files" "$keys" && chmod 700 "$keys" || die "cannot make $demo"
if mountpoint -q "$files"; then
    say "$files is mounted already"
else
    say "mounting $lower on $files, with a key service of its own in $keys"
    "$kmsfs" mount "$lower" "$files" -o "keystore=$keys,log=$demo/kmsfs.log" </dev/null || exit
fi

[ -e "$files/hello.txt" ] || echo "Hello. Nobody reads this below." >"$files/hello.txt" || exit
sync "$files/hello.txt"
say "what you see in $files:"
ls -l "$files"
cat "$files/hello.txt"
say "what is stored in $lower:"
ls -lA "$lower"
stored=$(find "$lower" -maxdepth 1 -type f ! -name kmsfs.dir -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
say "the sealed block of a stored file begins"
od -A d -t x1z -j 4096 -N 64 "$stored"
say "how hello.txt is sealed (kmsfs info):"
"$kmsfs" info "$files/hello.txt" || exit
if grep -raq "Nobody reads this" "$lower"; then die "the text was found below: this must not be"; fi

cat <<TXT

It is yours to use: $files
  unmount      $kmsfs umount $files
  mount again  $kmsfs mount $lower $files -o keystore=$keys
  look around  $kmsfs --help
Keep a copy of $keys somewhere else: without it nothing in $lower can be read.
TXT
