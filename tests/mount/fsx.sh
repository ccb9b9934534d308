#!/usr/bin/env bash
# fsx, the file system exerciser: random operations on one file, everything read is compared.
# In both suites, with and without mapped memory, and unaligned, block-aligned and tiny operations.
# KMSFS_FSX_OPS operations for each of the runs; 10 million in all with contrib/test.sh --soak.
. "$(dirname "$0")/lib/lib.sh"
cargo_tool fsx 0.3.2

case ${KMSFS_FSX_OPS:-} in
    "") if [ "${KMSFS_ROUNDS:-8}" -ge 50 ]; then OPS=770000; else OPS=1500; fi ;;
    *) OPS=$KMSFS_FSX_OPS ;;
esac

config() { # FLEN ALIGN MAX MAPPED
    cat <<TOML
flen = $1
[opsize]
align = $2
max = $3
[weights]
close_open = 1
invalidate = $(($4 > 0))
mapread = $4
mapwrite = $4
read = 10
write = 10
truncate = 4
fsync = 1
fdatasync = 1
posix_fallocate = 3
punch_hole = 5
sendfile = 3
posix_fadvise = 1
copy_file_range = 4
TOML
}
config 1000000 1 65536 10 >"$WORK/mapped.toml"
config 1000000 1 65536 0 >"$WORK/unmapped.toml"
config 20000 1 700 5 >"$WORK/tiny.toml"
config 33554432 4096 1048576 5 >"$WORK/blocks.toml"

for suite in aes-256-gcm-siv xchacha20-poly1305; do
    lower=$WORK/lower-$suite
    mkdir "$lower"
    check "$suite: mount" mount_volume "$lower" "$MNT" "suite=$suite"
    for kind in mapped unmapped tiny blocks; do
        ops=$OPS
        [ $kind = blocks ] && ops=$((OPS / 4 + 1))
        for seed in 1 2; do
            check "$suite: $kind, seed $seed, $ops operations" \
                "$TOOLS/fsx" -q -N "$ops" -S "$seed" -f "$WORK/$kind.toml" -P "$WORK" "$MNT/$kind.$seed"
        done
    done
    # The file as it was left, after the kernel and the process have forgotten it.
    before=$(cd "$MNT" && sha256sum -- *)
    check "$suite: unmount" unmount_volume
    check "$suite: mount again" mount_volume "$lower"
    same "$suite: the same after a remount" "$before" "$(cd "$MNT" && sha256sum -- *)"
    check "$suite: unmount again" unmount_volume
done
finish
