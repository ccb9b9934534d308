#!/usr/bin/env bash
# Data keys that may be lost: files get others while they are written to, over kills; a version that is lost opens
# nothing and is re-wrapped away; and of a key that is gone nothing opens with all that is left.
# KMSFS_ROUNDS gives the number of kills.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 fio sqlite3 getfattr setfattr
ROUNDS=${KMSFS_ROUNDS:-8}
HEADERS=$(dirname "$0")/lib/headers.py

start_kmsd && pass "kmsd starts" || fail "kmsd starts"
aws_credentials && pass "an access key" || fail "an access key"
KEY=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
check "create-alias" aws_kms create-alias --alias-name alias/files --target-key-id "$KEY"
kms_opt=(--kms "unix:$KMS_SOCKET")
mount_it() { "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/files,kms_timeout=3,allow_other,log=$WORK/mount.log${KMSFS_TRANSPORT:+,transport=$KMSFS_TRANSPORT}"; }
kill_mount() {
    local pid
    pid=$(pgrep -f "^$KMSFS mount $LOWER $MNT " | head -n 1)
    kill -9 "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    umount -l "$MNT"
}
above() { python3 "$HEADERS" tree "$MNT/tree"; }
versions() { python3 "$HEADERS" versions "$LOWER"; }
# Every ciphertext page below that is of a file's data or entries.
pages() { (cd "$LOWER" && find . -path ./.kmsfs -prune -o -type f ! -name kmsfs.dir ! -name '*.n' -print0 | xargs -0 -n 1 sh -c 'tail -c +4097 "$0"' | python3 -c '
import hashlib, sys
while page := sys.stdin.buffer.read(4096):
    if page.strip(b"\0"): print(hashlib.sha256(page).hexdigest())' | sort -u); }

check "mount" mount_it
mkdir "$MNT/tree"
python3 - "$MNT/tree" <<'PY'
import os, random, sys
rng = random.Random(9)
for i in range(60):
    path = f"{sys.argv[1]}/f{i}"
    open(path, "wb").write(rng.randbytes(rng.choice([0, 1, 100, 4096, 5000, 300000])))
    os.setxattr(path, "user.note", f"note {i}".encode())
    os.chmod(path, 0o640)
    os.utime(path, ns=(10**18 + i, 10**18 + i * 10**9 + 7))
    if i % 10 == 0: os.link(path, f"{sys.argv[1]}/l{i}")
with open(f"{sys.argv[1]}/sparse", "wb") as f:
    for at in (0, 10**7, 3 * 10**8): f.seek(at); f.write(b"island")
PY
above >"$WORK/above"
"$KMSFS" umount "$MNT"
pages >"$WORK/pages"
blocks() { du -s --block-size=1 "$LOWER" | cut -f 1; }
BLOCKS=$(blocks)
check "mount" mount_it

# ---- under load
fio --name=verify --directory="$MNT" --rw=randrw --bs=4k --size=16m --verify=crc32c --verify_state_save=0 --verify_backlog=64 --time_based --runtime=5 >"$WORK/fio.log" 2>&1 &
FIO=$!
( for i in $(seq 150); do echo "CREATE TABLE IF NOT EXISTS t(n, x); INSERT INTO t VALUES($i, hex(randomblob(500)));"; done | sqlite3 "$MNT/db" ) >"$WORK/sql.log" 2>&1 &
SQL=$!
sleep 0.5
for i in 1 2 3; do check "a deep rekey of all there is ($i)" "$KMSFS" --json rekey --deep "$MNT"; done
wait $FIO; same "fio finds what it wrote" 0 $?
wait $SQL; same "sqlite wrote" "0 150 ok" "$? $(sqlite3 "$MNT/db" 'SELECT count(*) FROM t; PRAGMA integrity_check' | paste -sd' ')"
rm -f "$MNT"/verify* "$MNT/db"
above >"$WORK/after" && check "content, attributes, links and times are as they were" cmp "$WORK/above" "$WORK/after"
same "attributes too" "note 7" "$(getfattr --only-values -n user.note "$MNT/tree/f7" 2>/dev/null)"
check "unmount" "$KMSFS" umount "$MNT"
pages >"$WORK/pages-after"
same "no page of data or entries below is what it was" "" "$(comm -12 "$WORK/pages" "$WORK/pages-after")"
check "holes are holes still" test "$(blocks)" -le $((BLOCKS + 262144))
same "no copy is left" "" "$(ls "$LOWER/.kmsfs/rekey")"
check "the volume is undamaged" "$KMSFS" fsck "$LOWER" --data "${kms_opt[@]}"

# ---- kills
check "mount" mount_it
for round in $(seq "$ROUNDS"); do
    "$KMSFS" rekey --deep "$MNT" >/dev/null 2>&1 &
    REKEY=$!
    python3 -c 'import random, time; time.sleep(random.random() * 0.4)'
    kill_mount
    wait $REKEY
    mount_it || { fail "round $round: mount"; break; }
    [ -z "$(ls "$LOWER/.kmsfs/rekey" 2>/dev/null)" ] || { fail "round $round: a copy is left"; break; }
    above >"$WORK/after"
    # The time of the one file that was being worked on may be the kill's.
    if ! python3 - "$WORK/above" "$WORK/after" <<'PY'
import sys
rows = [[line.split() for line in open(path)] for path in sys.argv[1:3]]
assert len(rows[0]) == len(rows[1])
without = lambda row: row[:-3] + row[-2:]
assert all(without(a) == without(b) for a, b in zip(*rows)), "content"
PY
    then fail "round $round: content"; break; fi
done
[ "$round" = "$ROUNDS" ] && pass "$ROUNDS kills in the middle of a deep rekey"
check "and once more to the end" "$KMSFS" rekey --deep "$MNT/tree"
same "attributes are there" "note 7" "$(getfattr --only-values -n user.note "$MNT/tree/f7" 2>/dev/null)"

# ---- who may
USER1=kmsfs-rekey-$$
useradd -M "$USER1" && trap 'userdel "$USER1"; clean_up' EXIT
as_user() { setpriv --reuid "$USER1" --regid "$USER1" --clear-groups "$@"; }
chmod 644 "$MNT/tree/f1"
chmod 755 "$WORK" "$MNT"
same "another user may not" 1 "$(as_user "$KMSFS" rekey --deep "$MNT/tree/f1" >"$WORK/refused" 2>&1; echo $?)"
check "and is told" sh -c "grep -qi \"denied\" '$WORK/refused' || { cat '$WORK/refused'; exit 1; }"
same "--deep must be said" 2 "$("$KMSFS" rekey "$MNT" >/dev/null 2>&1; echo $?)"
same "and not elsewhere than in a mount" 14 "$("$KMSFS" rekey --deep "$LOWER" >/dev/null 2>&1; echo $?)"

# ---- a full disk
SMALL=$WORK/small && mkdir "$SMALL" && mount -t tmpfs -o size=3m tmpfs "$SMALL" && mkdir "$WORK/full"
check "mount on a small disk" "$KMSFS" mount "$SMALL" "$WORK/full" -o "kms=unix:$KMS_SOCKET,key=alias/files"
head -c 1800000 /dev/urandom >"$WORK/big" && cp "$WORK/big" "$WORK/full/big"
same "no room for a second copy" 1 "$("$KMSFS" rekey --deep "$WORK/full" >"$WORK/refused" 2>&1; echo $?)"
check "and is told" grep -q "No space" "$WORK/refused"
check "the file is as it was" cmp "$WORK/big" "$WORK/full/big"
check "unmount" "$KMSFS" umount "$WORK/full"
check "mount" "$KMSFS" mount "$SMALL" "$WORK/full" -o "kms=unix:$KMS_SOCKET"
check "also afterwards" cmp "$WORK/big" "$WORK/full/big"
check "unmount" "$KMSFS" umount "$WORK/full"
umount "$SMALL"

# ---- a version that is lost, and what somebody could read
POLICY=$WORK/policy.json
cat >"$POLICY" <<JSON
{"Version": "2012-10-17", "Statement": [
 {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"},
 {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/$USER1"}, "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"}]}
JSON
sed -i "s/111122223333/$(aws_kms describe-key --key-id "$KEY" --query KeyMetadata.AWSAccountId --output text)/" "$POLICY"
check "a policy for the user" "$KMSFS" key put-policy "$POLICY" "$KEY" "${kms_opt[@]}"
chmod 755 "$MNT/tree" && chmod 644 "$MNT/tree/f2" "$MNT/tree/f3"
SINCE=$(date -u +%Y-%m-%dT%H:%M:%SZ) && sleep 1
check "he reads two files" as_user cat "$MNT/tree/f2" "$MNT/tree/f3"
OLD=$("$KMSFS" --json key usage alias/files "${kms_opt[@]}" | python3 -c 'import json, sys; print(json.load(sys.stdin)["current_version"])')
cp -a "$LOWER" "$WORK/stolen"
LOST=("$KMSFS" key compromise alias/files "${kms_opt[@]}" --audit "$WORK/kmsd-store/audit")
check "the version is marked as lost" "${LOST[@]}" --version "$OLD"
check "the list of what he read" sh -c "'$KMSFS' key compromise alias/files --kms unix:$KMS_SOCKET --audit '$WORK/kmsd-store/audit' --by '$USER1' --since '$SINCE' >'$WORK/list'"
# Beside them those whose keys were asked for ahead, as the trail cannot tell what he did with these.
for f in f2 f3; do check "has $f" grep -q "$(getfattr --only-values -n kmsfs.file-id "$MNT/tree/$f" 2>/dev/null)" "$WORK/list"; done
LISTED=$(wc -l <"$WORK/list")
[ "$LISTED" -lt 40 ] && pass "and not all there are" || fail "and not all there are" "$LISTED"
check "the mount re-wraps" timeout 60 "$KMSFS" --json rewrap status --wait "$MNT"
same "nothing is under it any more" "" "$(versions | tr ' ' '\n' | grep "^$OLD:")"
check "and everything opens" cat "$MNT/tree/f2" "$MNT/tree/f3"
mkdir "$WORK/look"
same "the stolen copy does not mount" 8 "$("$KMSFS" mount "$WORK/stolen" "$WORK/look" -o "ro,kms=unix:$KMS_SOCKET" >/dev/null 2>&1; echo $?)"
before=$(getfattr --only-values -n kmsfs.file-id "$MNT/tree/f2" 2>/dev/null)
check "these get fresh data keys" "$KMSFS" rekey --deep "$MNT" --only "$WORK/list"
same "as many as were listed" "$LISTED 0" "$("$KMSFS" --json rekey --deep "$MNT" --only "$WORK/list" | python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["files"], r["missing"])')"
same "under the id that they had" "$before" "$(getfattr --only-values -n kmsfs.file-id "$MNT/tree/f2" 2>/dev/null)"
check "unmount" "$KMSFS" umount "$MNT"

# ---- a key that is gone: with the mirrors, backups, logs and every other secret, nothing opens
check "schedule the deletion" "$KMSFS" key delete "$KEY" --days 7 --force "${kms_opt[@]}"
same "the volume does not mount while it waits" 8 "$(mount_it >/dev/null 2>&1; echo $?)"
check "cancel-key-deletion" aws_kms cancel-key-deletion --key-id "$KEY"
check "enable-key" aws_kms enable-key --key-id "$KEY"
check "then it does" mount_it
check "unmount" "$KMSFS" umount "$MNT"
check "delete" "$KMSFS" key delete "$KEY" --days 7 --force "${kms_opt[@]}"
check "kmsd ends" stop_kmsd
# What the store has of the key's material, sealed under the root key that stays.
python3 - "$WORK/kmsd-store/kms.db" "$KEY" >"$WORK/material" <<'PY'
import sqlite3, sys
rows = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT row FROM versions WHERE key = ?", (sys.argv[2],))
for (row,) in rows:
    print(row[-64:-32].hex())
PY
left() { python3 - "$WORK" "$WORK/material" <<'PY'
import os, sys
wanted = [bytes.fromhex(line) for line in open(sys.argv[2])]
assert wanted
for path, _, files in os.walk(sys.argv[1]):
    for name in files:
        if name != "material":
            data = open(os.path.join(path, name), "rb").read()
            for part in wanted:
                if part in data: print(os.path.join(path, name))
PY
}
same "the material is in the store" "$WORK/kmsd-store/kms.db" "$(left | sort -u)"
if command -v faketime >/dev/null; then
    pass "faketime is there"
else
    fail "faketime is missing (contrib/test.sh installs it)"
fi
plain_kmsd=$KMSD
printf '#!/bin/sh\nexec env FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f +8d %s "$@"\n' "$plain_kmsd" >"$WORK/kmsd-later" && chmod 755 "$WORK/kmsd-later"
KMSD=$WORK/kmsd-later
check "kmsd eight days later" run_kmsd
KMSD=$plain_kmsd
sleep 1
same "the key is gone" 8 "$("$KMSFS" key describe "$KEY" "${kms_opt[@]}" >/dev/null 2>&1; echo $?)"
same "the volume does not mount" 8 "$(mount_it >/dev/null 2>&1; echo $?)"
stop_faked() { kill "$(pgrep -P "$(cat "$WORK/kmsd.pid")" || cat "$WORK/kmsd.pid")"; sleep 1; }
stop_faked
# The root key opens what the store has: of the key there is nothing left in it, nor in what SQLite leaves behind.
same "its material is nowhere any more" "" "$(left)"
check "kmsd today" run_kmsd
same "nor with today's clock does it mount" 8 "$(mount_it >/dev/null 2>&1; echo $?)"
same "nor does the copy from before" 8 "$("$KMSFS" mount "$WORK/stolen" "$WORK/look" -o "ro,kms=unix:$KMS_SOCKET" >/dev/null 2>&1; echo $?)"
finish
