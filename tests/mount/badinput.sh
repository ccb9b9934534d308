#!/usr/bin/env bash
# Whatever is wrong with the input: one line that names it, the documented exit code, no panic, and
# nothing changed below.
. "$(dirname "$0")/lib/lib.sh"
need python3 setpriv unshare

# Names, types, sizes, modes, times and content of everything below, in one sum.
fingerprint() { (cd "$1" && find . -printf '%p %y %s %m %T@ %C@ %l\n' | sort; find . -type f -exec sha256sum {} + | sort) | sha256sum; }

# refused NAME CODE WORD COMMAND...: ends with CODE, says WORD in one line on stderr, and leaves $LOWER alone.
refused() {
    local name=$1 code=$2 word=$3 got text before after
    shift 3
    before=$(fingerprint "$LOWER")
    timeout 60 "$@" </dev/null >"$WORK/out" 2>"$WORK/err"
    got=$?
    after=$(fingerprint "$LOWER")
    text=$(cat "$WORK/err")
    # shellcheck disable=SC2053
    if [[ $got != $code ]]; then fail "$name" "exit code $got, expected $code: $text"; return; fi
    if [ "$(grep -c . "$WORK/err")" != 1 ]; then fail "$name" "not one line: $text"; return; fi
    if grep -qiE 'panick|backtrace|unwrap|src/' "$WORK/err"; then fail "$name" "$text"; return; fi
    if ! grep -qiE -- "$word" "$WORK/err"; then fail "$name" "does not say '$word': $text"; return; fi
    if [ "$before" != "$after" ]; then fail "$name" "something changed below"; return; fi
    if [ -n "$(mounts_below "$WORK")" ] && [ -z "${MOUNTED:-}" ]; then fail "$name" "something is mounted"; return; fi
    pass "$name: $text"
}

mnt() { "$KMSFS" mount "$LOWER" "$MNT" -o "keystore=$STORE,log=$WORK/mount.log${1:+,$1}"; }
export -f mnt
export LOWER MNT STORE WORK

check "a volume to start from" mount_volume
echo content >"$MNT/file"
# ---- already mounted
MOUNTED=1
mkdir "$WORK/mnt2"
refused "already mounted" 6 'mounted|in use' "$KMSFS" mount "$LOWER" "$WORK/mnt2" -o "keystore=$STORE"
unset MOUNTED
same "the mount goes on" "content" "$(cat "$MNT/file")"
unmount_volume

# ---- unlocking the store
refused "wrong passphrase" 10 'passphrase' bash -c 'mnt passphrase_fd=5 5< <(echo wrong)'
refused "key file is missing" 10 'key file|No such file' bash -c "mnt keyfile=$WORK/nokey"
echo short >"$WORK/shortkey"; chmod 600 "$WORK/shortkey"
refused "key file is no key file" 10 'shortkey' bash -c "mnt keyfile=$WORK/shortkey"
head -c 32 /dev/urandom >"$WORK/otherkey"; chmod 600 "$WORK/otherkey"
refused "key file of another store" 10 'key file|unlock' bash -c "mnt keyfile=$WORK/otherkey"
cp "$WORK/otherkey" "$WORK/openkey"; chmod 644 "$WORK/openkey"
refused "key file that others may read" 10 'others|0600|permission|mode' bash -c "mnt keyfile=$WORK/openkey"
mkdir "$WORK/dirkey"
refused "key file is a directory" 10 'key file|directory' bash -c "mnt keyfile=$WORK/dirkey"

# ---- the key service
refused "kmsd is not running" 9 'kmsd|key service' "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$WORK/nosocket,kms_timeout=1"
python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
while True:
    c, _ = s.accept(); c.close()' "$WORK/refuses" &
PIDS+=($!)
for _ in $(seq 50); do [ -S "$WORK/refuses" ] && break; sleep 0.05; done
refused "kmsd hangs up" 9 'kmsd|key service' "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$WORK/refuses,kms_timeout=1"
check "another store" "$KMSFS" key list --keystore "$WORK/store3"
refused "a store that never wrapped this volume's key" '[378]' 'key' "$KMSFS" mount "$LOWER" "$MNT" -o "keystore=$WORK/store3"

# ---- the lower directory
mkdir "$WORK/plain"; echo x >"$WORK/plain/file"
refused "not a volume" 3 'volume' "$KMSFS" mount "$WORK/plain" "$MNT" -o "keystore=$STORE"
same "a directory that is no volume is left alone" "file" "$(ls -A "$WORK/plain")"
refused "init of a directory that is not empty" 3 'empty' "$KMSFS" init "$WORK/plain" --keystore "$STORE"
refused "init of a volume" 3 'volume' "$KMSFS" init "$LOWER" --keystore "$STORE"
refused "no such directory" '[13]' 'No such|not exist|not found|missing' "$KMSFS" mount "$WORK/nowhere" "$MNT" -o "keystore=$STORE"
refused "the lower directory is a file" '[13]' 'directory' "$KMSFS" mount "$WORK/plain/file" "$MNT" -o "keystore=$STORE"
refused "no such mount point" 1 'No such|not exist|mount point' "$KMSFS" mount "$LOWER" "$WORK/nowhere" -o "keystore=$STORE"

cp -a "$LOWER" "$WORK/good"
damage() { # NAME CODE WORD PYTHON: a copy of the volume whose descriptor was changed
    rm -rf "$LOWER"; cp -a "$WORK/good" "$LOWER"
    python3 -c "
p = '$LOWER/.kmsfs/volume'
d = bytearray(open(p, 'rb').read())
$4
open(p, 'wb').write(d)"
    refused "$1" "$2" "$3" bash -c mnt
}
damage "descriptor damaged" 5 'damaged|tamper|authentic' 'd[len(d) - 1] ^= 1'
damage "descriptor names another key" '[58]' 'key' 'd[100] ^= 1'
damage "descriptor emptied" 5 'volume descriptor' 'd = b""'
damage "descriptor cut" 5 'volume descriptor' 'd = d[:2000]'
damage "descriptor zeroed" 5 'volume descriptor' 'd = bytes(len(d))'
NEWER=$(python3 - "$WORK/good/.kmsfs/volume" <<'PY'
import sys
d = open(sys.argv[1], "rb").read()
# The version is the 16-bit number behind the magic: the first 1 after it.
print(next(i for i in range(4, 32) if d[i] == 1 and d[i + 1] == 0))
PY
)
damage "written by a newer format" 4 'newer' "d[$NEWER] = 99"
rm -rf "$LOWER"; cp -a "$WORK/good" "$LOWER"

# ---- mount point and lower directory in each other
mkdir -p "$LOWER-empty/inside" "$WORK/outer/lower"
refused "mount point is the lower directory" 13 'same|inside|overlap' "$KMSFS" mount "$LOWER" "$LOWER" -o "keystore=$STORE"
refused "lower inside the mount point" 13 'inside|overlap' "$KMSFS" mount "$LOWER" "$WORK" -o "keystore=$STORE"
refused "mount point inside lower" 13 'inside|overlap' "$KMSFS" mount "$WORK" "$MNT" -o "keystore=$STORE"
ln -s "$LOWER" "$WORK/alias"
refused "the same by a symlink" 13 'same|inside|overlap' "$KMSFS" mount "$LOWER" "$WORK/alias" -o "keystore=$STORE"

# ---- the system
refused "no /dev/fuse" 11 '/dev/fuse|fuse' unshare -m bash -c 'mount -t tmpfs none /dev && mnt'
chmod 755 "$WORK"
refused "no permission on the lower directory" 11 'permi|denied' \
    setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$WORK" "$KMSFS" mount "$LOWER/.kmsfs" "$MNT" -o "keystore=$WORK/userstore"
refused "unknown option" 2 'nosuchoption' bash -c 'mnt nosuchoption'
refused "bad value" 2 'crash' bash -c 'mnt crash=never'
refused "unmount of what is no mount" 14 'not' "$KMSFS" umount "$WORK/plain"
refused "info about no file" '[13]' 'No such|not exist' "$KMSFS" info "$WORK/nowhere"

# ---- and after all that it still mounts
check "the volume still mounts" mount_volume
same "and still reads" "content" "$(cat "$MNT/file")"
check "unmount" unmount_volume

# ---- machine-readable errors
"$KMSFS" --json mount "$WORK/plain" "$MNT" -o "keystore=$STORE" >"$WORK/out" 2>&1
check "errors come as JSON when asked for" python3 -c "import json; json.load(open('$WORK/out'))"

# ---- kmsd's own
start() { timeout 20 "$KMSD" --config "$1"; }
export -f start; export KMSD
refused "kmsd without a configuration" 2 'nosuch|No such' bash -c "start $WORK/nosuch.toml"
echo 'nonsense = 1' >"$WORK/bad.toml"
refused "kmsd with an unknown key" 2 'nonsense' bash -c "start $WORK/bad.toml"
finish
