#!/bin/bash
# kmsd as AWS clients see it: Debian's AWS CLI and boto3 against a real process.
# Usage: tests/awscli/run.sh [DIRECTORY OF THE BINARIES]
# Prints a line per check and `N passed, N failed`; exits non-zero unless all passed.
set -eu
cd "$(dirname "$0")/../.."

bin=${1:-}
if [ -z "$bin" ]; then
    for dir in target/release target/debug; do
        if [ -x "$dir/kmsd" ] && [ -x "$dir/kmsfs" ]; then bin=$dir; break; fi
    done
fi
if [ -z "$bin" ]; then
    echo "no binaries: run 'cargo build --release' first, or name their directory" >&2
    exit 1
fi

# boto3 and an AWS CLI of today, with the newest model of KMS, beside Debian's; and other people's cryptography.
venv=${KMSFS_VENV:-$(pwd)/target/awscli-venv}
# Its programs have its path in them: one that was moved along with the tree is made anew.
if ! "$venv/bin/python" -c 'import boto3, awscli, cryptography, Crypto' 2>/dev/null ||
    ! "$venv/bin/aws" --version >/dev/null 2>&1; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check boto3 awscli cryptography pycryptodome
fi
python=$venv/bin/python
export KMSFS_NEWEST_AWS=$venv/bin/aws

aws=/usr/bin/aws
if [ ! -x "$aws" ]; then
    aws=$(command -v aws) || { echo "no AWS CLI: install Debian's awscli" >&2; exit 1; }
fi

exec "$python" -B tests/awscli/checks.py "$bin" "$aws"
