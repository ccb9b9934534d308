#!/usr/bin/env bash
# Markers are planted wherever a user's secret can be, everything is used with logging turned all the way
# up, and then nothing of them is found below, in the key stores, the logs or the audit trail.
. "$(dirname "$0")/lib/lib.sh"
need aws curl grep python3 setfattr base64
export RUST_LOG=trace

CONTENT=MARKERcontent71fe NAME=MARKERname82ad LINK=MARKERlink93bc VALUE=MARKERvalue04cd ATTR=MARKERattr15de
PASSPHRASE=MARKERpassphrase26ef LONG=$(printf 'MARKERlong%.0s' $(seq 24)) NOTTHERE=MARKERnotthere37fa

use() { # everything that a user does with a name or with content, errors among it
    local m=$1
    mkdir "$m/$NAME-dir"
    echo "$CONTENT" >"$m/$NAME"
    head -c 5000 /dev/zero | tr '\0' x >"$m/$NAME-dir/$LONG"
    for _ in $(seq 4000); do echo "$CONTENT"; done >"$m/$NAME-dir/large"
    ln -s "$LINK/target" "$m/$NAME-link"
    ln -s "$LINK$(printf 'x%.0s' $(seq 3500))" "$m/far"
    setfattr -n "user.$ATTR" -v "$VALUE" "$m/$NAME"
    cat "$m/$NAME" "$m/$NAME-dir/"* >/dev/null
    readlink "$m/$NAME-link" "$m/far" >/dev/null
    getfattr -d "$m/$NAME" >/dev/null
    mv "$m/$NAME-dir/large" "$m/$NAME-moved"
    ln "$m/$NAME-moved" "$m/$NAME-hard"
    rm "$m/$NAME-hard"
    cat "$m/$NOTTHERE" "$m/$NAME/$NOTTHERE"
    mkdir "$m/$NAME-dir"
    rmdir "$m/$NAME-dir"
    "$KMSFS" info "$m/$NAME"
} >/dev/null 2>&1

# ---- the embedded key service, unlocked by a passphrase
check "mount" mount_volume
use "$MNT"
check "unmount" unmount_volume
check "a passphrase slot" bash -c "'$KMSFS' slot add --keystore '$STORE' passphrase --new-passphrase-fd 5 5< <(printf %s '$PASSPHRASE')"
mnt_by_passphrase() { "$KMSFS" mount "$LOWER" "$MNT" -o "keystore=$STORE,passphrase_fd=5,log=$WORK/mount.log" 5< <(printf %s "$1"); }
check "mount by passphrase" mnt_by_passphrase "$PASSPHRASE"
same "content" "$CONTENT" "$(cat "$MNT/$NAME")"
# Something below is broken, so that the messages about tampering are there too.
check "unmount" unmount_volume
victim=$(find "$LOWER" -type f -size +40k | head -n 1)
python3 -c "
f = open('$victim', 'r+b'); f.seek(9000); b = f.read(1); f.seek(9000); f.write(bytes([b[0] ^ 1]))"
mnt_by_passphrase "$PASSPHRASE"
same "the broken file is an error" 5 "$(errno_of 'open(args[0], "rb").read()' "$MNT/$NAME-moved")"
cat "$MNT/$NAME-moved" >/dev/null 2>&1
pid=$(python3 -c "
import os, sys
for p in filter(str.isdigit, os.listdir('/proc')):
    try:
        if sys.argv[1].encode() in open(f'/proc/{p}/cmdline', 'rb').read() and os.readlink(f'/proc/{p}/exe') == sys.argv[2]:
            print(p)
    except OSError:
        pass" "$MNT" "$(readlink -f "$KMSFS")")
same "the server is there, once" 1 "$(wc -w <<<"$pid")"
same "argv and environment hold no passphrase" 0 \
    "$(cat "/proc/$pid/cmdline" "/proc/$pid/environ" | grep -ca "$PASSPHRASE")"
same "the server leaves no core" 0 "$(awk '/Max core file size/ { print $5 }' "/proc/$pid/limits")"
check "unmount" unmount_volume
check "a wrong passphrase is refused" sh -c "! '$KMSFS' mount '$LOWER' '$MNT' -o keystore=$STORE,passphrase_fd=5 5<<E
$NOTTHERE
E"

# ---- kmsd: an access key's secret, a data key in the clear, a plaintext
start_kmsd && pass "kmsd starts" || fail "kmsd starts"
aws_credentials && pass "an access key" || fail "an access key"
SECRET=${AWS_SECRET_ACCESS_KEY:-}
KEY=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
DATAKEY=$(aws_kms generate-data-key --key-id "$KEY" --key-spec AES_256 --query Plaintext --output text)
BLOB=$(aws_kms encrypt --key-id "$KEY" --plaintext "$(printf %s "$CONTENT" | base64)" --query CiphertextBlob --output text)
base64 -d <<<"$BLOB" >"$WORK/blob"
same "decrypt" "$CONTENT" "$(aws_kms decrypt --ciphertext-blob "fileb://$WORK/blob" --query Plaintext --output text | base64 -d)"
rm "$WORK/blob"
mkdir "$WORK/lower2" "$WORK/mnt2"
check "mount with kmsd" "$KMSFS" mount "$WORK/lower2" "$WORK/mnt2" -o "kms=unix:$KMS_SOCKET,key=$KEY,log=$WORK/mount2.log"
use "$WORK/mnt2"
check "unmount" unmount_volume "$WORK/mnt2"
check "kmsd ends" stop_kmsd

# ---- and now look
python3 - >"$WORK/patterns" "$DATAKEY" "$SECRET" "$CONTENT" "$PASSPHRASE" "$NAME" <<'PY'
import base64, sys
key, others = base64.b64decode(sys.argv[1]), [a.encode() for a in sys.argv[2:]]
for secret in [key] + others:
    print(secret.hex()); print(base64.b64encode(secret).decode()[:-4]); print(base64.urlsafe_b64encode(secret).decode().rstrip("=")[:-2])
    print(", ".join(map(str, secret[:12])))  # a byte array in a debug print
for other in others:
    print(other.decode())
PY
for what in "$LOWER" "$WORK/lower2" "$STORE" "$WORK/kmsd-store"; do
    check "there is something in $(basename "$what") to look at" sh -c "find '$what' -type f -size +0 | grep -q ."
done
for log in mount.log mount2.log kmsd.log; do check "there is something in $log" test -s "$WORK/$log"; done
check "there is an audit trail" sh -c "find '$STORE' '$WORK/kmsd-store' -path '*audit*' -type f -size +0 | grep -q ."
places=("$LOWER" "$WORK/lower2" "$STORE" "$WORK/kmsd-store" "$WORK/mount.log" "$WORK/mount2.log" "$WORK/kmsd.log")
for marker in CONTENT NAME LINK VALUE ATTR PASSPHRASE NOTTHERE SECRET LONG; do
    same "$marker is nowhere" "" "$(grep -ralF -e "${!marker}" "${places[@]}")"
done
same "no marker in any encoding" "" "$(grep -ralF -f "$WORK/patterns" "${places[@]}")"
same "no marker in a file name" "" "$(find "${places[@]}" | grep -F MARKER | sed "s#$WORK##" | head -n 3)"
same "no marker in a link target or attribute below" "" \
    "$(find "${places[@]}" -type l -printf '%l\n' | grep -a MARKER; getfattr -R -d -e text -m - "$LOWER" "$WORK/lower2" 2>/dev/null | grep -a MARKER)"
python3 - "$DATAKEY" "${places[@]}" >"$WORK/found" <<'PY'
import base64, os, sys
key = base64.b64decode(sys.argv[1])
assert len(key) == 32
for top in sys.argv[2:]:
    for folder, _, names in os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])]:
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and key in open(path, "rb").read():
                print(path)
PY
same "the data key is nowhere" "" "$(cat "$WORK/found")"
finish
