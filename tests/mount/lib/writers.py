"""Writers that are interrupted, and what they may find afterwards.

A writer keeps, outside the mount, every state its file may be in: the last one that was
acknowledged by fsync and those that later calls asked for. After the crash each block must hold one
of these; where nothing was in flight, the file must be exactly what was acknowledged. Four kinds,
one per promise: appends, overwrites of synced blocks, truncations, replacement by rename.
"""

import os
import random
import threading
import time

from mounted import BLOCK, random_bytes

PATTERN = random_bytes("pattern", 1_000_003)
LARGEST = 1_200_000  # past the first entry pages, so that header, entry pages and data all move

# Set from before the disk loses its power until it is back. A disk without power says nothing, but a lower filesystem
# that is shut down in the middle of an fsync may still call it a success: an extent that it could not mark as
# written any more reads as zeros.
NO_POWER = threading.Event()


def pattern(seed, offset, length):
    """Bytes that depend on the seed and on where they are."""
    start = (seed * 7919 + offset) % len(PATTERN)
    out = PATTERN[start:start + length]
    while len(out) < length:
        out += PATTERN[:length - len(out)]
    return out


class File:
    """The states that one file may be in; the first is acknowledged. None: it does not exist."""

    def __init__(self, whole=False):
        self.states = [None]
        self.whole = whole  # one of the states entirely; a mix of two is wrong

    def ask(self, content):
        self.states.append(content)

    def acknowledge(self):
        if not NO_POWER.is_set():
            self.states = self.states[-1:]

    def wrong(self, found):
        """Why `found` (bytes, or None) cannot be; '' if it can."""
        if found is None:
            return "" if None in self.states else "it is gone"
        contents = [s for s in self.states if s is not None]
        if not contents:
            return "it is there again"
        if found in contents:
            return ""
        if self.whole:
            return f"its {len(found)} bytes are neither the old content nor the new"
        smallest, largest = min(map(len, contents)), max(map(len, contents))
        if not smallest <= len(found) <= largest:
            return f"its size is {len(found)}, not within {smallest}..{largest}"
        for start in range(0, len(found), BLOCK):
            block = found[start:start + BLOCK]
            allowed = (s[start:start + BLOCK].ljust(BLOCK, b"\0")[:len(block)] for s in contents)
            if not any(block == a for a in allowed):
                return f"block {start // BLOCK} of a file of {len(found)} is nothing that was ever written: " + \
                    explain(block, [s[start:start + BLOCK] for s in contents])
        return ""


def explain(block, states):
    """For the message: how the block differs from each state it may be in, the acknowledged one first."""
    parts = []
    for state in states:
        equal = next((i for i, (a, b) in enumerate(zip(block, state)) if a != b), min(len(block), len(state)))
        rest = block[equal:]
        parts.append(f"{equal} of {len(state)} bytes equal, then {rest.count(0)} zeros of {len(rest)}")
    return "; ".join(parts)


class Writer(threading.Thread):
    """One thread on its own files below `top`; ends when the filesystem does."""

    whole_files = False

    def __init__(self, top, name, seed):
        super().__init__(daemon=True)
        self.top, self.name, self.seed = top, name, seed
        self.random = random.Random(seed)
        self.files = {}
        self.halt = False
        self.acknowledged = 0
        self.broken = None

    def path(self, name):
        return os.path.join(self.top, name)

    def model(self, name):
        return self.files.setdefault(name, File(whole=self.whole_files))

    def run(self):
        try:
            while not self.halt:
                self.step()
        except OSError:
            pass  # the filesystem is gone, as planned
        except Exception as error:  # a fault of the test itself must not pass for a crash survived
            self.broken = error

    def sync_folder(self):
        fd = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def create(self, name, content):
        """A file that is there for good when this returns."""
        model = self.model(name)
        model.ask(b"")
        model.ask(content)
        fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            write_all(fd, content, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.sync_folder()
        model.acknowledge()

    def survey(self):
        """Reads the files back after a crash. Returns what is wrong; goes on from what is there."""
        faults = []
        for name, model in self.files.items():
            try:
                with open(self.path(name), "rb") as file:
                    found = file.read()
            except FileNotFoundError:
                found = None
            except OSError as error:
                faults.append(f"{name}: {error.strerror}")
                continue
            wrong = model.wrong(found)
            if wrong:
                faults.append(f"{name}: {wrong}")
            model.states = [found]
        return faults

    def next_round(self):
        """A fresh thread that goes on where this one was cut off."""
        again = type(self)(self.top, self.name, self.random.randrange(1 << 32))
        again.files = self.files
        return again


def write_all(fd, content, offset):
    view = memoryview(content)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


class Appender(Writer):
    """Grows a file by odd pieces, fsync after every one to three of them."""

    def step(self):
        number = len(self.files)
        name = f"{self.name}-{number - 1}"
        if name not in self.files or len(self.files[name].states[-1] or b"") > LARGEST:
            name = f"{self.name}-{number}"
            self.create(name, b"")
        model = self.files[name]
        if model.states[-1] is None:
            self.create(name, b"")
        fd = os.open(self.path(name), os.O_WRONLY | os.O_APPEND)
        try:
            while not self.halt and len(model.states[-1]) <= LARGEST:
                for _ in range(self.random.randint(1, 3)):
                    old = model.states[-1]
                    piece = pattern(number, len(old), self.random.choice((1, 100, 4096, 9000, 70000)))
                    model.ask(old + piece)
                    os.write(fd, piece)
                os.fsync(fd)
                model.acknowledge()
                self.acknowledged += 1
        finally:
            os.close(fd)


class Overwriter(Writer):
    """Writes over synced blocks, at odd places, in place."""

    def step(self):
        if self.name not in self.files or self.files[self.name].states[-1] is None:
            self.create(self.name, pattern(self.seed, 0, self.random.choice((5000, 200_000, 700_000))))
        model = self.files[self.name]
        synchronous = self.random.random() < 0.3
        fd = os.open(self.path(self.name), os.O_RDWR | (os.O_DSYNC if synchronous else 0))
        try:
            for _ in range(40):
                if self.halt:
                    return
                for _ in range(1 if synchronous else self.random.randint(1, 3)):
                    old = model.states[-1]
                    length = min(len(old), self.random.choice((1, 500, 4096, 5000, 30000)))
                    start = self.random.randrange(len(old) - length + 1)
                    if self.random.random() < 0.5:
                        start -= start % BLOCK
                    piece = pattern(self.random.randrange(1 << 20), start, length)
                    model.ask(old[:start] + piece + old[start + length:])
                    write_all(fd, piece, start)
                if not synchronous:
                    os.fsync(fd)
                model.acknowledge()
                self.acknowledged += 1
        finally:
            os.close(fd)


class Truncater(Writer):
    """Cuts and grows a synced file, writes into it again, fsync after every one or two calls."""

    def step(self):
        if self.name not in self.files or self.files[self.name].states[-1] is None:
            self.create(self.name, pattern(self.seed, 0, 300_000))
        model = self.files[self.name]
        fd = os.open(self.path(self.name), os.O_RDWR)
        try:
            for _ in range(40):
                if self.halt:
                    return
                for _ in range(self.random.randint(1, 2)):
                    self.change(fd, model)
                os.fsync(fd)
                model.acknowledge()
                self.acknowledged += 1
        finally:
            os.close(fd)

    def change(self, fd, model):
        old = model.states[-1]
        if self.random.random() < 0.7:
            size = self.random.choice((0, 1, 4096, 192 * 1024, len(old) // 2, self.random.randrange(700_000)))
            model.ask(old[:size].ljust(size, b"\0"))
            os.ftruncate(fd, size)
        else:
            start = self.random.randrange(500_000)
            piece = pattern(self.random.randrange(1 << 20), start, self.random.choice((10, 5000, 40000)))
            model.ask(old[:start].ljust(start, b"\0") + piece + old[start + len(piece):])
            write_all(fd, piece, start)


class Replacer(Writer):
    """New content under a temporary name, fsync, rename over the old, fsync of the directory; and
    names that come, move and go the same way. A file is the old one or the new one, never a mix."""

    whole_files = True

    def step(self):
        number = self.random.randrange(6)
        name = f"{self.name}-{number}"
        model = self.model(name)
        content = pattern(self.random.randrange(1 << 20), 0, self.random.choice((0, 10, 4096, 60_000)))
        scratch = f"{self.name}-new"
        fd = os.open(self.path(scratch), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, content, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        model.ask(content)
        os.rename(self.path(scratch), self.path(name))
        self.sync_folder()
        model.acknowledge()
        self.acknowledged += 1
        if self.random.random() < 0.3:
            model.ask(None)
            os.unlink(self.path(name))
            self.sync_folder()
            model.acknowledge()
        elif self.random.random() < 0.3:
            other = self.model(f"{self.name}-moved")
            model.ask(None)
            other.ask(content)
            os.rename(self.path(name), self.path(f"{self.name}-moved"))
            self.sync_folder()
            model.acknowledge()
            other.acknowledge()


KINDS = {"append": Appender, "overwrite": Overwriter, "truncate": Truncater, "replace": Replacer}


def unreadable(top):
    """Everything below `top` that cannot be listed, looked at or read."""
    faults = []
    for folder, folders, names in os.walk(top, onerror=lambda e: faults.append(f"{e.filename}: {e.strerror}")):
        for name in folders + names:
            path = os.path.join(folder, name)
            try:
                os.lstat(path)
                os.listxattr(path, follow_symlinks=False)
                if os.path.islink(path):
                    os.readlink(path)
                elif os.path.isfile(path):
                    with open(path, "rb") as file:
                        while file.read(1 << 20):
                            pass
            except OSError as error:
                faults.append(f"{os.path.relpath(path, top)}: {error.strerror}")
    return faults


def crash_rounds(tally, given, mount, crash, again):
    """`given.rounds` rounds of each kind of writer on `mount`.

    `crash()` stops the filesystem dead, `again()` brings it back. The volume lives through all
    rounds, so that it is recovered from crash after crash.
    """
    chance = random.Random(given.seed)
    wanted = [k for k in given.only.split(",") if k] or list(KINDS)
    for kind in wanted:
        top = os.path.join(mount.path, kind)
        os.makedirs(top, exist_ok=True)
        fd = os.open(mount.path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        writers = [KINDS[kind](top, f"{kind}{n}", chance.randrange(1 << 32)) for n in range(3)]
        worked = 0
        for number in range(given.rounds):
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.05, 0.6))
            crash()
            for writer in writers:
                writer.halt = True
                writer.join(timeout=60)
            hung = [w.name for w in writers if w.is_alive()]
            broken = [repr(w.broken) for w in writers if w.broken]
            worked += sum(w.acknowledged for w in writers)
            again()
            faults = hung + broken + [f for w in writers for f in w.survey()] + unreadable(mount.path)
            tally.check(f"{kind}, round {number + 1}", not faults, "; ".join(faults[:4]))
            writers = [w.next_round() for w in writers]
        tally.check(f"{kind}: the writers were at work", worked > 0, "nothing was ever acknowledged")
        print(f"        {worked} acknowledged", flush=True)
    mount.stop()
    mount.start()
    faults = unreadable(mount.path)
    tally.check("after a clean unmount everything still reads", not faults, "; ".join(faults[:4]))
