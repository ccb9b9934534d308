#!/usr/bin/env bash
# kmsfs fsck: clean after a clean unmount and after a kill, every damage found, exit codes that scripts can use.
. "$(dirname "$0")/lib/lib.sh"
need python3

fsck() { "$KMSFS" fsck "$LOWER" --keystore "$STORE" "$@"; }
# ended CODE ARGUMENTS...: fsck ends with this code.
ended() {
    local code=$1
    shift
    fsck "$@" >"$WORK/out" 2>&1
    same "fsck ends with $code${*:+ }$*" "$code" $?
}
member() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$WORK/json" "$1"; }

check "mount" mount_volume
mkdir -p "$MNT/a/b"
for n in $(seq 30); do head -c $((n * 9000)) /dev/urandom >"$MNT/a/b/file$n"; done
ln -s target "$MNT/a/link" && ln "$MNT/a/b/file1" "$MNT/second" && mkfifo "$MNT/fifo"
truncate -s 6G "$MNT/a/sparse" && printf end | dd of="$MNT/a/sparse" bs=1 seek=6000000000 conv=notrunc status=none
ended 6
check "a mounted volume is left alone" grep -q mounted "$WORK/out"
check "unmount" unmount_volume
ended 0 --data
fsck --data --json >"$WORK/json" 2>"$WORK/err"
same "JSON: files" 32 "$(member files)"
same "JSON: directories" 3 "$(member directories)"
same "JSON: nothing is found" "[]" "$(member findings)"
check "an unmounted volume stays as it was" mount_volume
head -c 3000000 /dev/urandom >"$MNT/written" && sync "$MNT/written"
python3 - "$MNT/open" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for n in range(1000):
    os.pwrite(fd, os.urandom(50000), n * 40000)
    os.fsync(fd)
time.sleep(60)
PY
writer=$!
sleep 1
server=$(python3 - "$LOWER" "$MNT" <<'PY'
import os, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        line = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
    except OSError:
        continue
    if b"mount" in line and os.fsencode(sys.argv[1]) in line and os.fsencode(sys.argv[2]) in line:
        print(pid)
PY
)
check "there is one server to kill" [ "$(wc -w <<<"$server")" = 1 ]
kill -9 "$server"
kill -9 "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
umount -l "$MNT"
ended 0 --data
check "a killed session's leavings are told apart" grep -q unfinished "$WORK/out"
check "mount after it" mount_volume
cat "$MNT/open" "$MNT/written" >/dev/null && echo >>"$MNT/open"
check "unmount" unmount_volume
ended 0 --data

# What happens within two seconds of a killed session's end may still be its doing.
sleep 4
# One change at a time, taken back each time.
damaged() { # WHAT FILE COMMAND...
    local what=$1 file=$2
    shift 2
    cp -a --sparse=always "$file" "$WORK/good"
    "$@"
    fsck --data >"$WORK/out" 2>"$WORK/err"
    same "$what is found" 5 $?
    check "$what is named" grep -qF -e "$(basename "$file")" "$WORK/out"
    rm -f "$file" && cp -a --sparse=always "$WORK/good" "$file"
}
flip() { python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 1]))' "$1" "$2"; }
file=$(find "$LOWER" -type f -size +250k -size -400k -links 1 ! -path '*/.kmsfs/*' ! -name kmsfs.dir | sort | head -n 1)
check "there is a file to damage" [ -n "$file" ]
damaged "a flipped header" "$file" flip "$file" 40
damaged "a flipped entry" "$file" flip "$file" 1030
damaged "a flipped entry page" "$file" flip "$file" $((50 * 4096 + 8))
damaged "a flipped block" "$file" flip "$file" 4200
damaged "a cut file" "$file" truncate -s 40960 "$file"
damaged "a zeroed file" "$file" dd if=/dev/zero of="$file" bs=4096 count=1 conv=notrunc status=none
ended 0 --data
other=$(dirname "$file")/$(basename "$file" | tr 'A-Za-z' 'N-ZA-Mn-za-m')
mv "$file" "$other"
ended 5
mv "$other" "$file"
echo text >"$LOWER/foreign"
ended 5
rm "$LOWER/foreign"
ended 0 --data
"$KMSFS" fsck "$WORK" --keystore "$STORE" >/dev/null 2>&1
same "no volume" 3 $?
finish
