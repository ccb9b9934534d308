#!/usr/bin/env bash
# fsx while the keys change under it: rotation after rotation, each carried through to the file that is being written,
# and fresh data keys for that file again and again.
# KMSFS_FSX_OPS operations for each of the runs; half a million and more in all with contrib/test.sh --soak.
. "$(dirname "$0")/lib/lib.sh"
. "$(dirname "$0")/lib/fsx.sh"
need aws python3 getfattr
cargo_tool fsx 0.3.2
fsx_configs 0
OPS=${KMSFS_FSX_OPS:-$([ "${KMSFS_ROUNDS:-8}" -ge 50 ] && echo 120000 || echo 700)}

# 365 days, the default period of a scheduled rotation, in under two seconds.
eval "plain_$(declare -f kmsd_config)"
kmsd_config() { plain_kmsd_config "$@"; printf '\n[rotation]\nday_seconds = 0.005\n'; }
start_kmsd && pass "kmsd starts" || fail "kmsd starts"
aws_credentials && pass "an access key" || fail "an access key"
KEY=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
check "create-alias" aws_kms create-alias --alias-name alias/files --target-key-id "$KEY"
check "enable-key-rotation" aws_kms enable-key-rotation --key-id "$KEY"
kms_opt=(--kms "unix:$KMS_SOCKET")

# Each writes how often it has done so to a file, and says on its output what went wrong.
rotations() {
    local n=0
    while [ ! -e "$WORK/enough" ]; do
        timeout 60 "$KMSFS" rewrap status --wait "$MNT" >"$WORK/status" || { echo "the walk did not end"; break; }
        n=$(getfattr --only-values -n kmsfs.key-version "$MNT/kept" 2>/dev/null) && echo $((n - FIRST)) >"$WORK/rotations"
        sleep 0.2
    done
}
rekeys() {
    local n=0
    while [ ! -e "$WORK/enough" ]; do
        "$KMSFS" rekey --deep "$MNT" >/dev/null 2>"$WORK/rekey.err" ||
            grep -q "No such file" "$WORK/rekey.err" || { cat "$WORK/rekey.err"; break; }
        n=$((n + 1)) && echo $n >"$WORK/rekeys"
        sleep 0.05
    done
}

for suite in aes-256-gcm-siv xchacha20-poly1305; do
    lower=$WORK/lower-$suite
    mkdir "$lower"
    check "$suite: mount" "$KMSFS" mount "$lower" "$MNT" \
        -o "kms=unix:$KMS_SOCKET,key=alias/files,suite=$suite,log=$WORK/mount.log${KMSFS_TRANSPORT:+,transport=$KMSFS_TRANSPORT}"
    echo kept >"$MNT/kept" && sync "$MNT/kept"
    FIRST=$(getfattr --only-values -n kmsfs.key-version "$MNT/kept" 2>/dev/null)
    rm -f "$WORK/enough" && echo 0 >"$WORK/rotations" && echo 0 >"$WORK/rekeys"
    rotations >"$WORK/rotations.log" 2>&1 & first=$!
    rekeys >"$WORK/rekeys.log" 2>&1 & second=$!
    for kind in mapped unmapped tiny; do
        for seed in ${KMSFS_FSX_SEEDS:-1}; do
            check "$suite: $kind, seed $seed, $OPS operations" \
                "$TOOLS/fsx" -q -N "$OPS" -S "$seed" -f "$WORK/$kind.toml" -P "$WORK" "$MNT/$kind.$seed"
        done
    done
    # A short run on a fast machine is over before the key has been rotated once.
    for more in $(seq 30); do
        [ "$(cat "$WORK/rotations")" = 0 ] || break
        check "$suite: until there is a rotation, $more" \
            "$TOOLS/fsx" -q -N "$OPS" -S $((1000 + more)) -f "$WORK/mapped.toml" -P "$WORK" "$MNT/mapped.more$more"
    done
    touch "$WORK/enough"
    wait $first $second
    same "$suite: nothing went wrong in changing keys" "" "$(cat "$WORK/rotations.log" "$WORK/rekeys.log")"
    echo "        $(cat "$WORK/rotations") versions of the key later, $(cat "$WORK/rekeys") times fresh data keys"
    check "$suite: there were rotations" [ "$(cat "$WORK/rotations")" -gt 0 ]
    check "$suite: and fresh data keys" [ "$(cat "$WORK/rekeys")" -gt 0 ]
    before=$(cd "$MNT" && sha256sum -- *)
    check "$suite: unmount" unmount_volume
    check "$suite: fsck" "$KMSFS" fsck "$lower" --data "${kms_opt[@]}"
    check "$suite: mount again" "$KMSFS" mount "$lower" "$MNT" -o "kms=unix:$KMS_SOCKET"
    same "$suite: the same after a remount" "$before" "$(cd "$MNT" && sha256sum -- *)"
    check "$suite: unmount again" unmount_volume
done
finish
