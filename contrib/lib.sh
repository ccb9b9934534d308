# What the scripts of this directory share. Source it.
# shellcheck shell=bash
set -u -o pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$TOP" || exit 1

say() { printf '==> %s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# as_root COMMAND...: as it is for root, else by sudo, keeping the variables that the tests know.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=PATH,HOME,RUST_LOG,KMSFS_ROUNDS,KMSFS_BIN_DIR,KMSFS_TEST_DIR,KMSFS_TEST_KEEP,KMSFS_TRANSPORT "$@"
    else
        die "this needs root: $*"
    fi
}

# packages TOOL:PACKAGE...: installs the packages of those tools (or files, or C headers) that are missing.
packages() {
    local pair tool missing=()
    for pair in "$@"; do
        tool=${pair%%:*}
        case $tool in
            /*) [ -e "$tool" ] ;;
            *) PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null ;;
        esac || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} = 0 ] && return 0
    command -v apt-get >/dev/null || die "please install: ${missing[*]} (no apt-get here)"
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        install="apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold"
        $install "$@" || { apt-get update -qq && $install "$@"; }' sh "${missing[@]}" \
        >/dev/null </dev/null || die "could not install: ${missing[*]}"
}

# The compiler: Debian stable's own may be too old, so say what to do rather than fail in the middle.
rust_is_there() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    [ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    command -v cargo >/dev/null || die "cargo is missing: install Rust $wanted or newer from https://rustup.rs, then run this again"
    have=$(cargo --version | awk '{ print $2 }')
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
        die "cargo $have is too old, $wanted or newer is needed: https://rustup.rs, or 'rustup update'"
}

# What building takes besides Rust.
build_tools() { packages cc:build-essential cmake:cmake pkg-config:pkg-config; }

fuse_is_there() {
    packages fusermount3:fuse3
    [ -e /dev/fuse ] || as_root modprobe fuse 2>/dev/null
    [ -e /dev/fuse ] || die "there is no /dev/fuse: load the fuse module, or give the container that device"
}
