#!/usr/bin/env bash
# Volumes that an earlier version wrote still read as they did, and damaged copies of them are refused.
. "$(dirname "$0")/lib/lib.sh"
need python3 tar

volumes=("$TOP"/tests/volumes/*.tar.gz)
[ -e "${volumes[0]}" ] || { fail "golden volumes" "there are none"; finish; }
for archive in "${volumes[@]}"; do
    name=$(basename "$archive" .tar.gz)
    here=$WORK/$name
    mkdir -p "$here/mnt"
    tar -C "$here" --xattrs -xzf "$archive" || { fail "$name unpacks"; continue; }
    for mode in ro rw; do
        check "$name mounts, $mode" "$KMSFS" mount "$here/lower" "$here/mnt" -o "keystore=$here/keys,$mode"
        same "$name reads as it did, $mode" "$(python3 "$TOP/tests/mount/lib/describe.py" "$here/mnt")" \
            "$(cat "$TOP/tests/volumes/$name.txt")"
        check "$name unmounts, $mode" "$KMSFS" umount "$here/mnt"
    done
    # A later format is named as such, and nothing below is touched.
    before=$(sha256sum <"$here/lower/.kmsfs/volume")
    cp "$here/lower/.kmsfs/volume" "$here/volume"
    printf '\x02' | dd of="$here/lower/.kmsfs/volume" bs=1 seek=8 conv=notrunc status=none
    "$KMSFS" mount "$here/lower" "$here/mnt" -o "keystore=$here/keys" 2>"$here/said"
    same "$name of a later format is refused" "$?" 4
    cp "$here/volume" "$here/lower/.kmsfs/volume"
    same "$name: its descriptor is as it was" "$(sha256sum <"$here/lower/.kmsfs/volume")" "$before"
done
finish
