#!/usr/bin/env bash
# A rotation over the AWS command line is carried through to the last header while files are written, made and
# removed, over kills, pauses and restarts; and nothing but headers changes below.
# KMSFS_FILES and KMSFS_ROUNDS give the full lengths.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 fio sqlite3 rsync getfattr
FILES=${KMSFS_FILES:-3000} ROUNDS=${KMSFS_ROUNDS:-8}
HEADERS=$(dirname "$0")/lib/headers.py

# 365 days, the default period of a scheduled rotation, in under two seconds.
eval "plain_$(declare -f kmsd_config)"
kmsd_config() { plain_kmsd_config "$@"; printf '\n[rotation]\nday_seconds = 0.005\n'; }
start_kmsd && pass "kmsd starts" || fail "kmsd starts"
aws_credentials && pass "an access key" || fail "an access key"
KEY=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
check "create-alias" aws_kms create-alias --alias-name alias/files --target-key-id "$KEY"

mount_it() { "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/files,kms_timeout=3,log=$WORK/mount.log${KMSFS_TRANSPORT:+,transport=$KMSFS_TRANSPORT}"; }
# The command line of older distributions does not know the operation; the protocol is the same.
for cli in "$AWS" aws; do
    if "$cli" kms rotate-key-on-demand --generate-cli-skeleton >/dev/null 2>&1; then ROTATE=$cli; break; fi
done
# The CLI takes long to end after the answer has come; this does not.
rotate_and_return() {
    curl -fsS --aws-sigv4 aws:amz:local-1:kms --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H "X-Amz-Target: TrentService.RotateKeyOnDemand" -H "Content-Type: application/x-amz-json-1.1" \
        -d "{\"KeyId\": \"${1:-$KEY}\"}" "$KMS_URL/" >/dev/null
}
rotate() {
    if [ -n "${ROTATE:-}" ]; then
        "$ROTATE" kms --endpoint-url "$KMS_URL" rotate-key-on-demand --key-id "${1:-$KEY}" >/dev/null
    else
        rotate_and_return "$@"
    fi
}
wait_complete() { timeout "${1:-120}" "$KMSFS" --json rewrap status --wait "$MNT"; }
versions() { python3 "$HEADERS" versions "$LOWER"; }
# One version, and that one.
all_under() { [[ "$(versions)" =~ ^$1:[0-9]+$ ]] || { versions; return 1; }; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
kill_mount() {
    local pid
    pid=$(pgrep -f "^$KMSFS mount $LOWER $MNT " | head -n 1)
    kill -9 "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    umount -l "$MNT"
}

check "mount" mount_it
python3 - "$MNT/tree" "$FILES" <<'PY' && pass "a tree of $FILES files" || fail "a tree of $FILES files"
import os, random, sys
top, count = sys.argv[1], int(sys.argv[2])
rng = random.Random(5)
os.mkdir(top)
dirs = [top]
for i in range(count):
    if i % 40 == 0:
        d = os.path.join(rng.choice(dirs), f"d{i}")
        os.mkdir(d)
        dirs.append(d)
    path = os.path.join(rng.choice(dirs), f"f{i}")
    with open(path, "wb") as f:
        f.write(rng.randbytes(rng.choice([0, 1, 100, 4096, 5000, 40000]) if i % 100 else 400000))
    os.utime(path, ns=(10**18 + i, 10**18 + i * 10**9 + 7))
    if i % 25 == 0:
        for n in range(1 + i % 3):
            os.link(path, os.path.join(rng.choice(dirs), f"l{i}-{n}"))
PY
check "everything is written" sync
check "at first a walk finds all under the first version" wait_complete
"$KMSFS" umount "$MNT"
python3 "$HEADERS" digest "$LOWER" >"$WORK/below"
cp -a "$LOWER" "$WORK/old"
check "mount" mount_it
python3 "$HEADERS" tree "$MNT/tree" >"$WORK/above"

# ---- under load
mkdir "$MNT/load" "$WORK/src"
python3 - "$WORK/src" <<'PY'
import os, sys
for i in range(400):
    os.makedirs(f"{sys.argv[1]}/s{i % 20}", exist_ok=True)
    open(f"{sys.argv[1]}/s{i % 20}/f{i}", "wb").write(os.urandom(3000))
PY
tar -C "$WORK/src" -cf "$WORK/src.tar" .
fio --name=verify --directory="$MNT/load" --rw=randrw --bs=4k --size=24m --verify=crc32c --verify_state_save=0 --verify_backlog=256 --time_based --runtime=6 >"$WORK/fio.log" 2>&1 &
FIO=$!
( for i in 1 2 3; do mkdir "$MNT/load/u$i" && tar -C "$MNT/load/u$i" -xf "$WORK/src.tar" || exit 1; done ) 2>"$WORK/tar.log" &
TAR=$!
( for i in $(seq 200); do echo "CREATE TABLE IF NOT EXISTS t(n, x); INSERT INTO t VALUES($i, hex(randomblob(500)));"; done | sqlite3 "$MNT/load/db" ) >"$WORK/sql.log" 2>&1 &
SQL=$!
sleep 0.5
check "rotate-key-on-demand under load" rotate
sleep 1
check "and again during the walk" rotate
wait $FIO; same "fio finds what it wrote" 0 $?
wait $TAR; same "the untar went well" "0 " "$? $(cat "$WORK/tar.log")"
wait $SQL; same "sqlite wrote" "0 200 ok" "$? $(sqlite3 "$MNT/load/db" 'SELECT count(*) FROM t; PRAGMA integrity_check' | paste -sd' ')"
check "the walk is complete" wait_complete
for i in 1 2 3; do check "what was unpacked is whole ($i)" diff -r "$WORK/src" "$MNT/load/u$i"; done
python3 "$HEADERS" tree "$MNT/tree" >"$WORK/above-after"
check "content, times and links above are as they were" cmp "$WORK/above" "$WORK/above-after"
same "a file says its version" 3 "$(getfattr --only-values -n kmsfs.key-version "$MNT/load/db" 2>/dev/null)"
rm -rf "$MNT/load"
check "unmount" "$KMSFS" umount "$MNT"
check "all headers are under version 3" all_under 3
python3 "$HEADERS" digest "$LOWER" >"$WORK/below-after"
check "below, nothing but header sectors changed" cmp "$WORK/below" "$WORK/below-after"
check "the volume is undamaged" "$KMSFS" fsck "$LOWER" --data --kms "unix:$KMS_SOCKET"

# ---- usage, and the end of a version
kms_opt=(--kms "unix:$KMS_SOCKET")
headers_under() { "$KMSFS" --json key usage "$1" "${kms_opt[@]}" | python3 -c 'import json, sys; print(sum(h["headers"] for h in json.load(sys.stdin)["headers"] if h["version"] == int(sys.argv[1])))' "$2"; }
retire() { "$KMSFS" key retire-version "$1" "$2" "${kms_opt[@]}"; }
same "no header is known under version 1 and 2" "0 0" "$(headers_under alias/files 1) $(headers_under alias/files 2)"
check "counting anew" "$KMSFS" rewrap --register "$LOWER" "${kms_opt[@]}"
same "all of them under version 3" "3:$(headers_under alias/files 3)" "$(versions)"
check "the current version cannot be retired" sh -c "! '$KMSFS' key retire-version alias/files 3 --kms unix:$KMS_SOCKET"
check "version 1 is retired" retire alias/files 1
check "not twice" sh -c "! '$KMSFS' key retire-version alias/files 1 --kms unix:$KMS_SOCKET"
# A header from before the rotations, put in the place of the one of today.
PLANTED=$(cd "$WORK/old" && find . -name kmsfs.dir -prune -o -path ./.kmsfs -prune -o -type f -size +1 -links 1 -print | head -n 1)
cp -a "$LOWER" "$WORK/planted"
dd if="$WORK/old/$PLANTED" of="$WORK/planted/$PLANTED" bs=480 count=1 conv=notrunc status=none
dd if="$WORK/old/$PLANTED" of="$WORK/planted/$PLANTED" bs=1 skip=512 seek=512 count=480 conv=notrunc status=none
same "a planted header of version 1 is found by fsck" 5 "$("$KMSFS" fsck "$WORK/planted" "${kms_opt[@]}" >/dev/null 2>&1; echo $?)"
mkdir "$WORK/look"
check "mount" "$KMSFS" mount "$WORK/planted" "$WORK/look" -o "ro,kms=unix:$KMS_SOCKET"
same "and gives EIO" 1 "$(python3 - "$WORK/look" <<'PY'
import errno, os, sys
bad = 0
for path, _, files in os.walk(sys.argv[1]):
    for name in files:
        try:
            open(os.path.join(path, name), "rb").read()
        except OSError as error:
            assert error.errno == errno.EIO, error
            bad += 1
print(bad)
PY
)"
check "unmount" "$KMSFS" umount "$WORK/look"

# ---- a volume that nobody has mounted stands in the way of its key's old version
OTHER=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
check "create-alias" aws_kms create-alias --alias-name alias/other --target-key-id "$OTHER"
mkdir "$WORK/hidden" "$WORK/away"
check "init" "$KMSFS" init "$WORK/hidden" --key alias/other "${kms_opt[@]}"
check "mount" "$KMSFS" mount "$WORK/hidden" "$WORK/away" -o "kms=unix:$KMS_SOCKET"
echo one >"$WORK/away/file"
check "unmount" "$KMSFS" umount "$WORK/away"
check "rotate its key" rotate "$OTHER"
same "retiring is refused" 6 "$(retire alias/other 1 >"$WORK/refused" 2>&1; echo $?)"
check "and names it" grep -q "$WORK/hidden" "$WORK/refused"
check "rewrap" "$KMSFS" rewrap "$WORK/hidden" "${kms_opt[@]}"
cp -a "$WORK/hidden" "$WORK/backup"
check "now it is granted" retire alias/other 1
check "mount" "$KMSFS" mount "$WORK/hidden" "$WORK/away" -o "kms=unix:$KMS_SOCKET"
same "and the file is there" one "$(cat "$WORK/away/file")"
check "unmount" "$KMSFS" umount "$WORK/away"
check "a backup is registered" "$KMSFS" rewrap --register "$WORK/backup" "${kms_opt[@]}"
check "rotate" rotate "$OTHER"
check "rewrap" "$KMSFS" rewrap "$WORK/hidden" "${kms_opt[@]}"
same "the backup stands in the way" 6 "$(retire alias/other 2 >"$WORK/refused" 2>&1; echo $?)"
check "and is named" grep -q "$WORK/backup" "$WORK/refused"
check "it is forgotten" "$KMSFS" key forget-volume "$WORK/backup" "${kms_opt[@]}"
check "then not" retire alias/other 2

# ---- backups
check "rsync without --checksum" rsync -aHX --delete "$LOWER/" "$WORK/old/"
check "copied every re-wrapped header" diff -r --exclude=.kmsfs "$LOWER" "$WORK/old"
mkdir "$WORK/restored"
check "the copy mounts" "$KMSFS" mount "$WORK/old" "$WORK/restored" -o "kms=unix:$KMS_SOCKET"
python3 "$HEADERS" tree "$WORK/restored/tree" >"$WORK/above-restored"
check "and shows the same" cmp "$WORK/above" "$WORK/above-restored"
check "unmount" "$KMSFS" umount "$WORK/restored"

# ---- not mounted
check "another rotation" rotate
check "rewrap of the unmounted volume" "$KMSFS" --json rewrap "$LOWER" --kms "unix:$KMS_SOCKET"
check "all headers are under version 4" all_under 4
check "mount" mount_it
same "a mounted volume is for its mount to re-wrap" 6 "$("$KMSFS" rewrap "$LOWER" --kms "unix:$KMS_SOCKET" >/dev/null 2>&1; echo $?)"

# ---- a pause lasts over a restart
check "wait" wait_complete
check "pause" "$KMSFS" rewrap pause "$MNT"
check "rotation" rotate
sleep 1
check "unmount" "$KMSFS" umount "$MNT"
check "nothing was re-wrapped" all_under 4
check "mount" mount_it
sleep 1
same "still paused" True "$("$KMSFS" --json rewrap status "$MNT" | field paused)"
check "limit" "$KMSFS" rewrap limit 200/s "$MNT"
check "resume" "$KMSFS" rewrap resume "$MNT"
sleep 2
same "it is under way, and slowly" "True True" "$("$KMSFS" --json rewrap status "$MNT" | python3 -c 'import json, sys; s = json.load(sys.stdin); print(not s["complete"], 0 < s["rewrapped"] < 1200)')"
check "no limit" "$KMSFS" rewrap limit 0 "$MNT"
check "complete" wait_complete

# ---- kmsd goes away and comes back
check "rotation" rotate
check "kmsd ends" stop_kmsd
sleep 1
check "kmsd is back" run_kmsd
check "complete" wait_complete

# ---- kills, with a schedule that has the key rotate all the time
check "enable-key-rotation" aws_kms enable-key-rotation --key-id "$KEY"
"$KMSFS" rewrap limit 1500/s "$MNT"
for round in $(seq "$ROUNDS"); do
    sleep "0.$((RANDOM % 400 + 100))"
    kill_mount && mount_it || { fail "round $round: mount"; break; }
    python3 "$HEADERS" tree "$MNT/tree" >"$WORK/above-after"
    # The time of the one header that was being written may be the kill's.
    if ! python3 - "$WORK/above" "$WORK/above-after" "$round" <<'PY'
import sys
rows = [[line.split() for line in open(path)] for path in sys.argv[1:3]]
assert len(rows[0]) == len(rows[1])
without = lambda row: row[:-3] + row[-2:]
assert all(without(a) == without(b) for a, b in zip(*rows)), "content"
PY
    then fail "round $round: content"; break; fi
done
[ "$round" = "$ROUNDS" ] && pass "$ROUNDS kills in the middle of re-wrapping"
check "disable-key-rotation" aws_kms disable-key-rotation --key-id "$KEY"
VERSION=$("$KMSFS" --json key usage alias/files "${kms_opt[@]}" | field current_version)
[ "$VERSION" -gt 6 ] && pass "the key rotated by its schedule" || fail "the key rotated by its schedule" "version $VERSION"
"$KMSFS" rewrap limit 0 "$MNT"
check "complete after all" wait_complete
check "unmount" "$KMSFS" umount "$MNT"
check "all headers are under version $VERSION" all_under $VERSION
check "the volume is undamaged" "$KMSFS" fsck "$LOWER" --data --kms "unix:$KMS_SOCKET"

# ---- whoever waits straight after a rotation waits for that one
check "mount" mount_it
counted() { python3 -c 'import json, sys; print(*sorted({c["version"] for c in json.load(sys.stdin)["counts"]}))' <"$WORK/status"; }
for v in $(seq $((VERSION + 1)) $((VERSION + 10))); do
    rotate_and_return && wait_complete >"$WORK/status" && [ "$(counted)" = "$v" ] && all_under "$v" >"$WORK/left" || break
done
same "ten rotations, each waited for at once" "$((VERSION + 10)) $v " "$v $(counted) $(cat "$WORK/left")"
check "unmount" "$KMSFS" umount "$MNT"

# ---- another key, by headers alone; files of a mount that was killed would be put in order as well
check "mount" mount_it
cp -a "$MNT/tree/d0" "$MNT/settled"
check "unmount" "$KMSFS" umount "$MNT"
python3 "$HEADERS" digest "$LOWER" >"$WORK/below"
check "mount" mount_it
check "a tree goes under another key" "$KMSFS" reencrypt "$MNT/settled" --to alias/other
same "every file of it says so" "$OTHER" "$(find "$MNT/settled" -type f -exec getfattr --only-values -n kmsfs.key-id {} \; -exec echo \; 2>/dev/null | sort -u)"
echo new >"$MNT/settled/made-later"
same "and what is made in it later" "$OTHER" "$(getfattr --only-values -n kmsfs.key-id "$MNT/settled/made-later" 2>/dev/null)"
rm "$MNT/settled/made-later"
python3 "$HEADERS" tree "$MNT/tree" | awk '{ $4 = ""; print }' >"$WORK/above-after"
check "its content is as it was" diff -r "$MNT/tree/d0" "$MNT/settled"
check "content above is as it was" cmp <(awk '{ $4 = ""; print }' "$WORK/above") "$WORK/above-after"
same "a key with files under it is not deleted lightly" 6 "$("$KMSFS" key delete alias/other "${kms_opt[@]}" >"$WORK/refused" 2>&1; echo $?)"
check "it names the volume" grep -q "$LOWER" "$WORK/refused"
check "unmount" "$KMSFS" umount "$MNT"
python3 "$HEADERS" digest "$LOWER" >"$WORK/below-after"
check "below, nothing but header sectors changed" cmp "$WORK/below" "$WORK/below-after"
check "with --force it is" "$KMSFS" key delete alias/other --days 7 --force "${kms_opt[@]}"
same "and is pending deletion" PendingDeletion "$(aws_kms describe-key --key-id "$OTHER" --query KeyMetadata.KeyState --output text)"
finish
