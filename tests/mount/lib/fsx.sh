# What fsx is told: one file of weights for each kind of run, in $WORK. Source it after lib.sh.
# shellcheck shell=bash

fsx_config() { # FLEN ALIGN MAX MAPPED RESERVED
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
posix_fallocate = $5
punch_hole = 5
sendfile = 3
posix_fadvise = 1
copy_file_range = 4
TOML
}

fsx_configs() { # RESERVED
    fsx_config 1000000 1 65536 10 "$1" >"$WORK/mapped.toml"
    fsx_config 1000000 1 65536 0 "$1" >"$WORK/unmapped.toml"
    fsx_config 20000 1 700 5 "$1" >"$WORK/tiny.toml"
    fsx_config 33554432 4096 1048576 5 "$1" >"$WORK/blocks.toml"
}
