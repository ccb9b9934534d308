#!/usr/bin/env bash
# A key is disabled over the AWS command line: new opens fail with ENOKEY, open handles within a second;
# enabled again, everything works without a remount. And kmsd goes away and comes back.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3
ENOKEY=126

start_kmsd && pass "kmsd starts" || fail "kmsd starts"
aws_credentials && pass "an access key" || fail "an access key"

KEY=$(aws_kms create-key --description "for a mount" --query KeyMetadata.KeyId --output text)
check "create-alias" aws_kms create-alias --alias-name alias/files --target-key-id "$KEY"
check "mount with kmsd" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/files,kms_timeout=3,log=$WORK/mount.log"
echo first >"$MNT/first"
echo second >"$MNT/second"
mkdir "$MNT/folder"; echo third >"$MNT/folder/third"
head -c 300000 /dev/urandom >"$MNT/large"
echo fourth >"$MNT/fourth"
sync
same "the file is under that key" "$KEY" "$(getfattr --only-values -n kmsfs.key-id "$MNT/first" 2>/dev/null)"

# A handle that is open all the while, read every 50 ms without the page cache's help.
python3 - "$MNT/large" "$WORK/handle" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
out = open(sys.argv[2], "w", buffering=1)
while True:
    try:
        os.pread(fd, 4096, 8192)
        code = 0
    except OSError as error:
        code = error.errno
    out.write(f"{time.monotonic()} {code}\n")
    time.sleep(0.05)
PY
READER=$!
PIDS+=($READER)
sleep 0.3

now() { python3 -c 'import time; print(time.monotonic())'; }
check "disable-key" aws_kms disable-key --key-id "$KEY"
DISABLED=$(now)
same "open of a file read before" $ENOKEY "$(open_errno "$MNT/first")"
same "open of a file never read" $ENOKEY "$(open_errno "$MNT/second")"
same "open in a subdirectory" $ENOKEY "$(open_errno "$MNT/folder/third")"
same "a new file" $ENOKEY "$(errno_of 'open(args[0], "w")' "$MNT/new")"
same "nothing is left of the new file" "" "$(ls "$MNT" | grep new)"
sleep 1.5
check "the open handle fails within a second" python3 - "$WORK/handle" "$DISABLED" <<'PY'
import sys
rows = [(float(a), int(b)) for a, b in (line.split() for line in open(sys.argv[1]) if line.count(" ") == 1)]
since = float(sys.argv[2])
assert any(t < since and c == 0 for t, c in rows), "it never worked"
late = [(t - since, c) for t, c in rows if t > since + 1]
assert late and all(c in (126, 13) for _, c in late), late[:5]
PY
check "enable-key" aws_kms enable-key --key-id "$KEY"
same "the file opens again" 0 "$(open_errno "$MNT/first")"
same "its content is the same" "first" "$(cat "$MNT/first")"
same "the others too" "second third" "$(echo $(cat "$MNT/second" "$MNT/folder/third"))"
sleep 1.2
same "the open handle reads again" 0 "$(tail -n 1 "$WORK/handle" | cut -d' ' -f2)"
check "new files are made again" sh -c "echo new >'$MNT/new'"

# ---- kmsd away: open files go on, new opens wait; back: they go through
check "kmsd ends" stop_kmsd
AT=$(now)
( sleep 1; run_kmsd ) &
RESTART=$!
same "an open while kmsd is away waits for it" 0 "$(open_errno "$MNT/fourth")"
wait $RESTART
check "and the wait was bounded" python3 -c "import time; assert 0.5 < time.monotonic() - $AT < 8"
same "the open handle went on" 0 "$(tail -n 1 "$WORK/handle" | cut -d' ' -f2)"
kill "$READER"
check "unmount" unmount_volume
check "remount" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,kms_timeout=3,log=$WORK/mount.log"
check "kmsd ends and stays away" stop_kmsd
AT=$(now)
same "an open gives up in the end" $ENOKEY "$(open_errno "$MNT/second")"
check "after its time" python3 -c "import time; assert 2 < time.monotonic() - $AT < 8"
check "kmsd is back" run_kmsd
same "and all is well without a remount" "second" "$(cat "$MNT/second")"
check "unmount" unmount_volume
finish
