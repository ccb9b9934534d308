#!/usr/bin/env python3
"""What is in a small file comes with the answer to open(2): nobody waits for a read of it. And what comes so is never older
than what somebody else has just written, cut or put in its place."""

import mmap
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import Mount, Scratch, Tally, random_bytes  # noqa: E402

SECONDS = 60 if int(os.environ.get("KMSFS_ROUNDS", 8)) >= 50 else 5
FILES = {"one byte": 1, "not whole": 1000, "one block": 4096, "a byte more": 4097, "large": 300_000}


def read_while_stopped(mount, fd, length):
    """What pread gives within a second in which the server does not answer; None: it waits for it."""
    got = []
    reader = threading.Thread(target=lambda: got.append(os.pread(fd, length, 0)))
    os.kill(mount.process.pid, signal.SIGSTOP)
    try:
        reader.start()
        reader.join(1)
        early = got[0] if got else None
    finally:
        os.kill(mount.process.pid, signal.SIGCONT)
    reader.join(60)
    return early, got


def comes_with_open(tally, mount):
    content = {name: random_bytes(length, length) for name, length in FILES.items()}
    for name, data in content.items():
        (mount.path / name).write_bytes(data)
    (mount.path / "empty").touch()
    mount.stop()
    mount.start()
    for name, data in content.items():
        fd = os.open(mount.path / name, os.O_RDONLY)
        early, late = read_while_stopped(mount, fd, len(data))
        # Larger ones show that the server was really stopped.
        tally.check(f"{name}: {'read without a question' if len(data) <= 4096 else 'asked for'}",
                    early == (data if len(data) <= 4096 else None) and late == [data], early and len(early))
        os.close(fd)
    mount.stop()
    mount.start()
    fd = os.open(mount.path / "not whole", os.O_RDONLY)
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
        tally.check("mapped: the content, and zeros behind it", mapped[:] == content["not whole"])
    tally.check("past the end there is nothing", os.pread(fd, 4096, 1000) == b"" and os.pread(fd, 9000, 0) == content["not whole"])
    os.close(fd)
    tally.check("an empty file is empty", (mount.path / "empty").read_bytes() == b"")
    fd = os.open(mount.path / "one block", os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    os.preadv(fd, [buffer], 0)
    tally.check("O_DIRECT asks", buffer[:] == content["one block"])
    os.close(fd)


def changes_are_seen(tally, mount):
    """One after the other, with the file closed in between: the next who opens it has the new content."""
    path, wrong = mount.path / "changing", []
    path.write_bytes(b"")
    expected, chance = b"", random.Random(7)
    for n in range(400):
        how = chance.choice(("append", "overwrite", "truncate", "replace", "extend"))
        if how == "append":
            piece = random_bytes(n, chance.randrange(1, 700))
            with open(path, "ab") as file:
                file.write(piece)
            expected += piece
        elif how == "overwrite" and expected:
            at, piece = chance.randrange(len(expected)), random_bytes(n, 40)
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(piece)
            expected = expected[:at] + piece + expected[at + 40:]
        elif how == "truncate":
            length = chance.randrange(len(expected) + 1)
            os.truncate(path, length)
            expected = expected[:length]
        elif how == "extend":
            length = len(expected) + chance.randrange(300)
            os.truncate(path, length)
            expected = expected.ljust(length, b"\0")
        elif how == "replace":
            expected = random_bytes(n, chance.randrange(5000))
            (mount.path / "other").write_bytes(expected)
            os.rename(mount.path / "other", path)
        if len(expected) > 5000:
            os.truncate(path, 100)
            expected = expected[:100]
        if n % 3 == 0:
            forget(path)
        with open(path, "rb") as file:
            got = file.read()
        if got != expected or os.stat(path).st_size != len(expected):
            wrong.append(f"{n} {how}: {len(got)} bytes of {len(expected)}")
    tally.check("whoever opens it next has the new content", not wrong, wrong[:5])


def forget(path):
    """The kernel drops the pages that it has."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def writer(path, end, wrong, mine):
    """Writes numbers that grow, through a descriptor of its own each time; finds what it wrote."""
    n, chance = 0, random.Random(mine)
    while time.monotonic() < end:
        fd = os.open(path, os.O_RDWR)
        if int.from_bytes(os.pread(fd, 8, 0), "little") != n:
            wrong.append(f"{path.name}: {n} was written, {int.from_bytes(os.pread(fd, 8, 0), 'little')} is there")
            break
        n += 1
        os.pwrite(fd, n.to_bytes(8, "little"), 0)
        if chance.random() < 0.3:
            os.ftruncate(fd, chance.randrange(8, 4096))
        os.close(fd)
    return n


def reader(paths, end, wrong, counts):
    """Sees numbers that grow."""
    last = dict.fromkeys(paths, 0)
    while time.monotonic() < end:
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            now = int.from_bytes(os.pread(fd, 8, 0), "little")
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
            if now < last[path]:
                wrong.append(f"{path.name}: {now} after {last[path]}")
            last[path] = now
            counts.append(1)


def at_once(tally, mount):
    """Writers and readers of the same small files at the same time: what a reader's open brings along must not
    overwrite what a writer has put into the kernel's pages meanwhile."""
    paths = [mount.path / f"number{n}" for n in range(3)]
    for path in paths:
        path.write_bytes(bytes(8))
    end, children = time.monotonic() + SECONDS, []
    for work in [lambda w, c, p=p, n=n: c.append(writer(p, end, w, n)) for n, p in enumerate(paths)] + \
                [lambda w, c: reader(paths, end, w, c)] * 3:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            wrong, counts = [], []
            try:
                work(wrong, counts)
            except Exception as error:
                wrong.append(repr(error))
            os.write(into, "\n".join([str(sum(counts)), *wrong[:3]]).encode())
            os._exit(0)
        os.close(into)
        children.append((child, out))
    said = []
    for child, out in children:
        os.waitpid(child, 0)
        said.append(os.read(out, 60_000).decode().splitlines())
        os.close(out)
    counts, wrong = [int(lines[0]) for lines in said], [line for lines in said for line in lines[1:]]
    print(f"        {sum(counts[:3])} written, {sum(counts[3:])} read")
    tally.check("nothing written is lost, and nothing read is older than before", not wrong, wrong[:5])
    tally.check("by all of them", min(counts) > 20, counts)


def main():
    tally = Tally()
    with Scratch("small") as scratch:
        mount = Mount(scratch, scratch.dir("lower")).start()
        comes_with_open(tally, mount)
        changes_are_seen(tally, mount)
        at_once(tally, mount)
        mount.stop()
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
