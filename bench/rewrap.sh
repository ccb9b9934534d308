#!/usr/bin/env bash
# How fast a rotation is carried through:  bench/rewrap.sh [FILES]
#
# On a tmpfs, with a kmsd beside the mount: headers per second of an unmounted volume and of a mounted one, how much
# memory the mount takes for it, what the 99th percentile of somebody else's 4 KiB reads and writes becomes meanwhile,
# and how long `kmsfs key usage` takes. 100,000 files unless told otherwise; a million takes some ten minutes.
. "$(dirname "$0")/../tests/mount/lib/lib.sh"
need curl fio python3
FILES=${1:-100000}

mount -t tmpfs -o size=90% tmpfs "$WORK" && mkdir -p "$LOWER" "$MNT" "$STORE" || exit 1
trap 'clean_up; umount -l "$WORK" 2>/dev/null; rmdir "$WORK" 2>/dev/null' EXIT
start_kmsd && aws_credentials || exit 1
KEY=$("$KMSFS" --json key create --alias alias/bench --kms "unix:$KMS_SOCKET" | python3 -c 'import json, sys; print(json.load(sys.stdin)["KeyId"])')

rotate() {
    curl -fsS --aws-sigv4 aws:amz:local-1:kms --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H "X-Amz-Target: TrentService.RotateKeyOnDemand" -H "Content-Type: application/x-amz-json-1.1" \
        -d "{\"KeyId\": \"$KEY\"}" "$KMS_URL/" >/dev/null
}
mount_it() { "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/bench,log=$WORK/mount.log"; }
complete() { "$KMSFS" --json rewrap status --wait "$MNT" >/dev/null; }
now() { date +%s.%N; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pgrep -f "^$KMSFS mount $LOWER $MNT " | head -n 1)/status"; }
row() { printf '| %s | %s |\n' "$1" "$2"; }
per_second() { python3 -c "print(f'{$1 / ($3 - $2):,.0f} headers/s')"; }
# The 99th percentile, in microseconds, of four seconds of random reads and writes.
p99() {
    fio --name=load --filename="$MNT/load" --size=64m --rw=randrw --bs=4k --time_based --runtime=4 --output-format=json |
        python3 -c 'import json, sys; j = json.load(sys.stdin)["jobs"][0]; print(max(j[w]["clat_ns"]["percentile"]["99.000000"] for w in ("read", "write")) / 1000)'
}

mount_it || exit 1
python3 - "$MNT" "$FILES" <<'PY'
import os, sys
top, count = sys.argv[1], int(sys.argv[2])
for i in range(count):
    if i % 1000 == 0:
        d = f"{top}/d{i // 1000}"
        os.mkdir(d)
    fd = os.open(f"{d}/f{i}", os.O_CREAT | os.O_WRONLY)
    if i % 10 == 0:
        os.write(fd, b"x" * 100)
    os.close(fd)
PY
complete
"$KMSFS" umount "$MNT"
echo "| $FILES files | |"
echo "| --- | ---: |"

rotate
start=$(now)
"$KMSFS" --json rewrap "$LOWER" --kms "unix:$KMS_SOCKET" >/dev/null || exit 1
row "not mounted, with the walk that proves it" "$(per_second "$FILES" "$start" "$(now)")"

mount_it && complete
before=$(rss)
rotate
start=$(now)
sleep 0.3
complete
row "mounted, nobody else at work, with the walk that proves it" "$(per_second "$FILES" "$start" "$(now)")"
row "memory of the mount, grown by" "$((($(rss) - before) / 1024)) MiB"

p99 >/dev/null
quiet=$(p99)
"$KMSFS" rewrap pause "$MNT"
rotate
"$KMSFS" rewrap resume "$MNT"
busy=$(p99)
row "99th percentile of 4 KiB random I/O, alone" "$quiet us"
row "the same while headers are re-wrapped" "$busy us"
complete

start=$(now)
"$KMSFS" --json key usage alias/bench --kms "unix:$KMS_SOCKET" >"$WORK/usage"
row "kmsfs key usage" "$(python3 -c "print(f'{$(now) - $start:.3f} s')")"
"$KMSFS" umount "$MNT"
