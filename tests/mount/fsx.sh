#!/usr/bin/env bash
# fsx, the file system exerciser: random operations on one file, everything read is compared.
# In both suites, with and without mapped memory, with O_DIRECT, and unaligned, block-aligned and tiny operations.
# KMSFS_FSX_OPS operations for each of the runs; 10 million in all with contrib/test.sh --soak, and few where the
# same has been gone through already, over another transport.
. "$(dirname "$0")/lib/lib.sh"
. "$(dirname "$0")/lib/fsx.sh"
cargo_tool fsx 0.3.2

case ${KMSFS_FSX_OPS:-} in
    "")
        OPS=1500
        [ "${KMSFS_ROUNDS:-8}" -gt 2 ] || OPS=400
        [ "${KMSFS_ROUNDS:-8}" -lt 50 ] || OPS=680000
        ;;
    *) OPS=$KMSFS_FSX_OPS ;;
esac

# fsx asks for a range of no bytes now and then, which posix_fallocate(3) refuses everywhere, and it gives up: so only
# short runs have that, of seeds that do not come to it, and a long one has many of them besides.
reserve=$((OPS > 2000 ? 0 : 3))
fsx_configs $reserve
fsx_config 1000000 1 65536 10 3 >"$WORK/reserved.toml"

# fsx does not open with O_DIRECT by itself.
cat >"$WORK/direct.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

int open64(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    const char *top = getenv("DIRECT_BELOW");
    mode_t mode = 0666;
    if (top && !strncmp(path, top, strlen(top)))
        flags |= O_DIRECT;
    return next(path, flags, mode);
}
C
check "O_DIRECT for fsx" cc -shared -fPIC -o "$WORK/direct.so" "$WORK/direct.c" -ldl
cp "$WORK/unmapped.toml" "$WORK/direct.toml"

for suite in aes-256-gcm-siv xchacha20-poly1305; do
    lower=$WORK/lower-$suite
    mkdir "$lower"
    check "$suite: mount" mount_volume "$lower" "$MNT" "suite=$suite"
    for kind in mapped unmapped tiny blocks direct; do
        ops=$OPS preload=
        [ $kind = direct ] && preload=$WORK/direct.so ops=$((OPS / 2))
        [ $kind = blocks ] && ops=$((OPS / 4 + 1))
        for seed in ${KMSFS_FSX_SEEDS:-1 2}; do
            check "$suite: $kind, seed $seed, $ops operations" \
                env LD_PRELOAD="$preload" DIRECT_BELOW="$MNT" "$TOOLS/fsx" -q -N "$ops" -S "$seed" -f "$WORK/$kind.toml" -P "$WORK" "$MNT/$kind.$seed"
        done
    done
    for seed in $([ "$reserve" != 0 ] || seq 101 111); do
        check "$suite: reserved, seed $seed, 1500 operations" \
            "$TOOLS/fsx" -q -N 1500 -S "$seed" -f "$WORK/reserved.toml" -P "$WORK" "$MNT/reserved.$seed"
    done
    # The file as it was left, after the kernel and the process have forgotten it.
    before=$(cd "$MNT" && sha256sum -- *)
    check "$suite: unmount" unmount_volume
    check "$suite: mount again" mount_volume "$lower"
    same "$suite: the same after a remount" "$before" "$(cd "$MNT" && sha256sum -- *)"
    check "$suite: unmount again" unmount_volume
done
finish
