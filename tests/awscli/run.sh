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

python=
for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import boto3, botocore' 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "no boto3: install Debian's python3-boto3" >&2
    exit 1
fi

aws=/usr/bin/aws
if [ ! -x "$aws" ]; then
    aws=$(command -v aws) || { echo "no AWS CLI: install Debian's awscli" >&2; exit 1; }
fi

exec "$python" -B tests/awscli/checks.py "$bin" "$aws"
