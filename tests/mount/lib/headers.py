#!/usr/bin/env python3
"""What lies below, without the headers: `headers.py digest LOWER` prints a line per lower file with the digest of
all but its header sectors; `headers.py versions LOWER` how many headers are under each version; `headers.py tree MNT`
a line per file above with the digest of its content, its size, mode and time."""
import collections
import hashlib
import os
import struct
import sys


def walk(top):
    for path, dirs, files in os.walk(top):
        dirs.sort()
        for name in sorted(files):
            yield os.path.join(path, name)


def slots(head):
    """Generation and version of each slot that is there."""
    for at in (0, 512):
        if head[at:at + 4] == b"kmsf":
            yield struct.unpack_from("<Q", head, at + 16)[0], struct.unpack_from("<I", head, at + 12)[0]


def lower_files(lower):
    for path in walk(lower):
        if "/.kmsfs/" not in path and not path.endswith(".n") and not os.path.islink(path):
            yield path


def digest(lower):
    for path in lower_files(lower):
        with open(path, "rb") as f:
            data = f.read()
        # Both header sectors; a stopped session's link tags may be put right in them besides.
        rest = data[1024:]
        print(os.path.relpath(path, lower), len(data), hashlib.sha256(rest).hexdigest())


def versions(lower):
    found = collections.Counter()
    seen = set()
    for path in lower_files(lower):
        st = os.stat(path)
        if st.st_ino in seen:
            continue
        seen.add(st.st_ino)
        with open(path, "rb") as f:
            newest = max(slots(f.read(1024)), default=None)
        if newest:
            found[newest[1]] += 1
    with open(os.path.join(lower, ".kmsfs", "volume"), "rb") as f:
        found[struct.unpack_from("<I", f.read(4096), 64)[0]] += 1
    print(" ".join(f"{version}:{count}" for version, count in sorted(found.items())))


def tree(mnt):
    for path in walk(mnt):
        st = os.lstat(path)
        with open(path, "rb") as f:
            content = hashlib.sha256(f.read()).hexdigest()
        print(os.path.relpath(path, mnt), st.st_size, oct(st.st_mode), st.st_mtime_ns, st.st_nlink, content)


if __name__ == "__main__":
    {"digest": digest, "versions": versions, "tree": tree}[sys.argv[1]](sys.argv[2])
