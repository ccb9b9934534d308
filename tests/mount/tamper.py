#!/usr/bin/env python3
"""Whatever is changed below by somebody without the key gives EIO and an audit line, never wrong bytes.

Three sessions: files are written and the tree is unmounted (state 1); each file is changed and the
tree is unmounted again (state 2); every case breaks its own file below, in one of the ways that
FORMAT.md lists as detected; the tree is mounted and each file is read block by block. A case passes
when something fails with EIO, whatever does read is exactly state 2, and the audit trail has grown by
a line that tells of it.
"""

import errno
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from below import (BLOCK, ENTRY, SEAL, SLOT, Lower, block_offset, cipher_len, entry_offset,  # noqa: E402
                   entry_page_offset, node_offset)
from mounted import Mount, Scratch, Tally, fault, objects, random_bytes, tampers  # noqa: E402

SIZE = 150 * BLOCK + 1234  # header page, node page and three entry pages
LAST = SIZE // BLOCK


# ---- cases on one file of SIZE bytes: what to break, given it now and as it was in state 1 ----

def rolled_back(*pieces):
    def act(now, old):
        for offset, length in pieces:
            now.put(offset, old.get(offset, length))
    return act


def both_headers_rolled_back(now, old):
    now.put(0, old.get(0, 2 * SLOT))


def extended_by_a_block(now, old):
    whole = now.size() - SIZE % BLOCK
    now.cut(whole)
    now.put(whole, now.block(3))


def forged_hole(block):
    def act(now, old):
        now.put(entry_offset(block), bytes(ENTRY))
        now.put(block_offset(block), bytes(BLOCK))
    return act


def swapped_with_entries(a, b):
    def act(now, old):
        now.swap(block_offset(a), block_offset(b), BLOCK)
        now.swap(entry_offset(a), entry_offset(b), ENTRY)
    return act


def duplicated_with_entry(now, old):
    now.move(block_offset(2), block_offset(5), BLOCK)
    now.move(entry_offset(2), entry_offset(5), ENTRY)


def previous_as_current(now, old):
    now.move(entry_offset(7) + SEAL, entry_offset(7), SEAL)
    now.put(block_offset(7), old.block(7))


FILE_CASES = {
    "bit flipped in the current header": lambda now, old: (now.flip(40), now.flip(SLOT + 40)),
    "bit flipped in the header's key blob": lambda now, old: (now.flip(300), now.flip(SLOT + 300)),
    "bit flipped in the header's tag": lambda now, old: (now.flip(470), now.flip(SLOT + 470)),
    "bit flipped in the header's magic": lambda now, old: (now.flip(0), now.flip(SLOT)),
    "bit flipped in an entry's nonce": lambda now, old: now.flip(entry_offset(4)),
    "bit flipped in an entry's tag": lambda now, old: now.flip(entry_offset(4) + 20),
    "bit flipped in a far entry": lambda now, old: now.flip(entry_offset(120) + 3),
    "bit flipped in the first block": lambda now, old: now.flip(block_offset(0)),
    "bit flipped in a middle block": lambda now, old: now.flip(block_offset(77) + 2000, 5),
    "bit flipped in the last block": lambda now, old: now.flip(block_offset(LAST) + 100),
    "bit flipped in the last block's padding": lambda now, old: now.flip(block_offset(LAST) + 4000),
    "bit flipped in the node page": lambda now, old: now.flip(node_offset(0) + 5),
    "blocks swapped": lambda now, old: now.swap(block_offset(1), block_offset(2), BLOCK),
    "blocks swapped with their entries": swapped_with_entries(1, 2),
    "far blocks swapped with their entries": swapped_with_entries(60, 130),
    "block duplicated": lambda now, old: now.move(block_offset(2), block_offset(5), BLOCK),
    "block duplicated with its entry": duplicated_with_entry,
    "entry pages swapped": lambda now, old: now.swap(entry_page_offset(1), entry_page_offset(2), BLOCK),
    "cut to nothing": lambda now, old: now.cut(0),
    "cut to half a header": lambda now, old: now.cut(256),
    "cut to one header slot": lambda now, old: now.cut(SLOT),
    "cut to the header page": lambda now, old: now.cut(BLOCK),
    "cut inside the header page": lambda now, old: now.cut(BLOCK - 1),
    "cut to the length of an empty file plus one": lambda now, old: now.cut(BLOCK + 1),
    "cut to the length of a 1-byte file": lambda now, old: now.cut(cipher_len(1)),
    "cut to the length of one block": lambda now, old: now.cut(cipher_len(BLOCK)),
    "cut at a block boundary": lambda now, old: now.cut(cipher_len(100 * BLOCK)),
    "cut at the last block's boundary": lambda now, old: now.cut(cipher_len(LAST * BLOCK)),
    "cut by one byte": lambda now, old: now.cut(now.size() - 1),
    "cut before an entry page": lambda now, old: now.cut(entry_page_offset(2)),
    "cut inside an entry page": lambda now, old: now.cut(entry_page_offset(2) + 100),
    "cut inside a block": lambda now, old: now.cut(block_offset(90) + 10),
    "extended by one byte": lambda now, old: now.cut(now.size() + 1),
    "extended by zeros": lambda now, old: now.put(now.size(), bytes(BLOCK)),
    "extended by a hole": lambda now, old: now.cut(cipher_len(SIZE + 10 * BLOCK)),
    "extended within the last block": lambda now, old: now.cut(cipher_len(SIZE + 1)),
    "extended by a copied block": extended_by_a_block,
    "block zeroed": lambda now, old: now.put(block_offset(9), bytes(BLOCK)),
    "entry zeroed": lambda now, old: now.put(entry_offset(9), bytes(ENTRY)),
    "current half of an entry zeroed": lambda now, old: now.put(entry_offset(9), bytes(SEAL)),
    "hole forged: entry and block zeroed": forged_hole(9),
    "hole forged in the first block": forged_hole(0),
    "hole forged far out": forged_hole(140),
    "entry page zeroed": lambda now, old: now.put(entry_page_offset(1), bytes(BLOCK)),
    "node page zeroed": lambda now, old: now.put(node_offset(0), bytes(BLOCK)),
    "header slots zeroed": lambda now, old: now.put(0, bytes(2 * SLOT)),
    "header page zeroed": lambda now, old: now.put(0, bytes(BLOCK)),
    "everything zeroed": lambda now, old: now.put(0, bytes(now.size())),
    "one block rolled back": rolled_back((block_offset(7), BLOCK)),
    "one entry rolled back": rolled_back((entry_offset(7), ENTRY)),
    "block and entry rolled back": rolled_back((block_offset(7), BLOCK), (entry_offset(7), ENTRY)),
    "block rolled back, previous seal made current": previous_as_current,
    "far block and entry rolled back": rolled_back((block_offset(111), BLOCK), (entry_offset(111), ENTRY)),
    "entry page and its blocks rolled back":
        rolled_back((entry_page_offset(1), BLOCK * 65)),
    "node page rolled back": rolled_back((node_offset(0), BLOCK)),
    "both header slots rolled back": both_headers_rolled_back,
    "header page rolled back": rolled_back((0, BLOCK)),
}

# Either the newest header is hit, or one that nobody needs: EIO with an audit line, or all is right.
EITHER_CASES = {
    "first header slot zeroed": lambda now, old: now.put(0, bytes(SLOT)),
    "second header slot zeroed": lambda now, old: now.put(SLOT, bytes(SLOT)),
    "first header slot rolled back": rolled_back((0, SLOT)),
    "second header slot rolled back": rolled_back((SLOT, SLOT)),
    "header slots swapped": lambda now, old: now.swap(0, SLOT, SLOT),
    "first header slot copied over the second": lambda now, old: now.move(0, SLOT, SLOT),
    "second header slot copied over the first": lambda now, old: now.move(SLOT, 0, SLOT),
    "previous half of an entry zeroed": lambda now, old: now.put(entry_offset(9) + SEAL, bytes(SEAL)),
    "bytes written after the end": lambda now, old: now.put(now.size() - 10, b"0123456789"),
}


def changed(content):
    """State 2 of a file: some blocks written over, the length kept."""
    out = bytearray(content)
    for block in (0, 7, 9, 60, 77, 111, 140, LAST):
        end = min(len(out), (block + 1) * BLOCK)
        out[block * BLOCK:end] = random_bytes(f"v2-{block}", end - block * BLOCK)
    return bytes(out)


def put_file(path, content):
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def overwrite(path, old, new):
    fd = os.open(path, os.O_WRONLY)
    try:
        for start in range(0, len(new), BLOCK):
            if old[start:start + BLOCK] != new[start:start + BLOCK]:
                os.pwrite(fd, new[start:start + BLOCK], start)
        os.fsync(fd)
    finally:
        os.close(fd)


def read_everything(path, length):
    """(errnos seen, {offset: bytes}) of a file read block by block, past its end too."""
    seen, parts = set(), {}
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        return {error.errno}, parts
    try:
        for start in range(0, length + 20 * BLOCK, BLOCK):
            try:
                parts[start] = os.pread(fd, BLOCK, start)
            except OSError as error:
                seen.add(error.errno)
    finally:
        os.close(fd)
    return seen, parts


def judge(path, content):
    """'' when reading gives EIO somewhere and nothing wrong anywhere; else what is amiss."""
    seen, parts = read_everything(path, len(content))
    for start, part in parts.items():
        wanted = content[start:start + BLOCK]
        # Reading nothing before the end is a wrong answer too: a file silently cut.
        if part != wanted:
            return f"offset {start}: {len(part)} wrong bytes with success"
    if seen != {errno.EIO}:
        return f"errnos {sorted(seen)}, expected EIO"
    return ""


class Audit:
    """Watches the audit trail grow, case by case."""

    def __init__(self, store):
        self.store, self.seen = store, tampers(store)

    def grew(self):
        for _ in range(100):
            now = tampers(self.store)
            if now > self.seen:
                self.seen = now
                return True
            time.sleep(0.02)
        return False


class Tree:
    """A mount whose lower counterparts are learnt as they are made."""

    def __init__(self, mount):
        self.mount, self.known, self.below = mount, objects(mount.lower), {}

    def learn(self, name):
        """Remembers which lower object appeared with `name`."""
        now = objects(self.mount.lower)
        (self.below[name],) = now - self.known
        self.known = now

    def file(self, name, content):
        put_file(self.mount.path / name, content)
        self.learn(name)

    def link(self, name, target):
        os.symlink(target, self.mount.path / name)
        self.learn(name)

    def folder(self, name):
        """A directory; its lower name is told apart by a file that is made in it."""
        os.mkdir(self.mount.path / name)
        self.file(f"{name}/inside", f"inside {name}".encode() * 50)
        self.below[name] = self.below[f"{name}/inside"].parent


def exchange(a, b):
    spare = a.with_name("spare")
    os.rename(a, spare)
    os.rename(b, a)
    os.rename(spare, b)


def file_cases(scratch, tally):
    mount = Mount(scratch, scratch.dir("lower"))
    mount.start()
    tree = Tree(mount)
    first = random_bytes("state 1", SIZE)
    second = changed(first)
    cases = FILE_CASES | EITHER_CASES
    names = {case: f"case{number}" for number, case in enumerate(cases)}
    for name in names.values():
        tree.file(name, first)
    mount.stop()
    old = scratch.path / "old"
    shutil.copytree(mount.lower, old, symlinks=True)
    mount.start()
    for name in names.values():
        overwrite(mount.path / name, first, second)
    put_file(mount.path / "sound", second)
    mount.stop()
    for case, act in cases.items():
        below = tree.below[names[case]]
        before = below.read_bytes()
        act(Lower(below), Lower(old / below.relative_to(mount.lower)))
        if case in FILE_CASES and below.read_bytes() == before:
            tally.check(case, False, "the case changed nothing: it tests nothing")
    mount.start()
    audit = Audit(mount.store)
    with open(mount.path / "sound", "rb") as file:
        tally.check("a file that nobody touched reads", file.read() == second)
    for case in FILE_CASES:
        wrong = judge(mount.path / names[case], second)
        heard = audit.grew()
        tally.check(case, not wrong and heard, wrong or "no audit line")
    for case in EITHER_CASES:
        seen, parts = read_everything(mount.path / names[case], len(second))
        right = all(part == second[start:start + BLOCK] for start, part in parts.items())
        good = right and (seen == {errno.EIO} and audit.grew() or not seen)
        tally.check(f"{case} ({'EIO' if seen else 'harmless'})", good, f"errnos {seen}, right: {right}")
    mount.stop()


def whole_file_cases(scratch, tally):
    """Files in each other's place, in one directory and across directories."""
    mount = Mount(scratch, scratch.dir("lower-whole"), name="mnt-whole", store=scratch.dir("store-whole"))
    mount.start()
    tree = Tree(mount)
    contents = {}
    for folder in ("one", "two"):
        tree.folder(folder)
    for name in ("a", "b", "c", "d", "e", "one/x", "two/y", "one/z", "small", "small2"):
        contents[name] = random_bytes(name, 300 if name.startswith("small") else 70_000)
        tree.file(name, contents[name])
    mount.stop()
    at = tree.below
    exchange(at["a"], at["b"])
    shutil.copyfile(at["c"], at["d"])
    exchange(at["one/x"], at["two/y"])
    os.unlink(at["e"])
    shutil.copy2(at["c"], at["e"])
    exchange(at["small"], at["small2"])
    os.rename(at["one/z"], at["two"] / at["one/z"].name)
    mount.start()
    audit = Audit(mount.store)
    for case, name in {"two files exchanged": "a", "two files exchanged, the other": "b",
                       "a file written over another": "d", "a file put in another's place": "e",
                       "files of two directories exchanged": "one/x",
                       "files of two directories exchanged, the other": "two/y",
                       "two small files exchanged": "small"}.items():
        wrong = judge(mount.path / name, contents[name])
        heard = audit.grew()
        tally.check(case, not wrong and heard, wrong or "no audit line")
    with open(mount.path / "c", "rb") as file:
        tally.check("the file that was copied still reads", file.read() == contents["c"])
    # A name under the wrong directory's key is no name: it must not appear, and must be told of.
    try:
        listed = set(os.listdir(mount.path / "two"))
    except OSError as error:
        listed = {"EIO"} if error.errno == errno.EIO else {error.strerror}
    tally.check("a name moved between directories shows nothing wrong",
                listed in ({"EIO"}, {"inside", "y"}), listed)
    tally.check("a name moved between directories is audited", audit.grew())
    mount.stop()


def directory_cases(scratch, tally):
    mount = Mount(scratch, scratch.dir("lower-dirs"), name="mnt-dirs", store=scratch.dir("store-dirs"))
    mount.start()
    tree = Tree(mount)
    for name in ("a", "b", "c", "d", "e", "f", "g", "h", "sound"):
        tree.folder(name)
    mount.stop()
    at = tree.below
    exchange(at["a"], at["b"])
    exchange(at["c"] / "kmsfs.dir", at["d"] / "kmsfs.dir")
    Lower(at["e"] / "kmsfs.dir").flip(50)
    Lower(at["e"] / "kmsfs.dir").flip(SLOT + 50)
    (at["f"] / "kmsfs.dir").write_bytes(b"")
    os.unlink(at["g"] / "kmsfs.dir")
    header = at["h"] / "kmsfs.dir"
    header.write_bytes(bytes(header.stat().st_size))
    mount.start()
    audit = Audit(mount.store)
    for case, name in {"two directories exchanged": "a", "two directories exchanged, the other": "b",
                       "directory headers exchanged": "c", "directory headers exchanged, the other": "d",
                       "bit flipped in a directory header": "e", "directory header emptied": "f",
                       "directory header deleted": "g", "directory header zeroed": "h"}.items():
        code = fault(lambda: open(mount.path / name / "inside", "rb").read())
        listed = fault(lambda: os.listdir(mount.path / name))
        heard = audit.grew()
        tally.check(case, code == errno.EIO and listed == errno.EIO and heard,
                    f"open gives {code}, list gives {listed}, audited: {heard}")
    tally.check("a directory that nobody touched lists", os.listdir(mount.path / "sound") == ["inside"])
    mount.stop()


def value_cases(scratch, tally):
    """Symlink targets and extended attributes."""
    mount = Mount(scratch, scratch.dir("lower-values"), name="mnt-values", store=scratch.dir("store-values"))
    mount.start()
    tree = Tree(mount)
    for name in ("l1", "l2", "l3", "long"):
        tree.link(name, f"target of {name}" if name != "long" else "d/" * 1500)
    for name in ("x1", "x2", "x3", "x4"):
        tree.file(name, name.encode())
        os.setxattr(mount.path / name, "user.colour", f"of {name}".encode())
        os.setxattr(mount.path / name, "user.taste", f"taste {name}".encode())
    mount.stop()
    at = tree.below
    targets = {n: os.readlink(at[n]) for n in ("l1", "l2", "l3")}

    def relink(name, text):
        os.unlink(at[name])
        os.symlink(text, at[name])

    relink("l1", targets["l2"])
    relink("l3", targets["l3"][:-3] + ("AAA" if not targets["l3"].endswith("AAA") else "BBB"))

    def sealed(name):
        return {k: os.getxattr(at[name], k) for k in os.listxattr(at[name]) if k.startswith("user.kmsfs.")}

    x1, x2, x3 = sealed("x1"), sealed("x2"), sealed("x3")
    tally.check("two attributes lie below", len(x1) == 2, f"{sorted(x1)}")
    for (k1, _), (_, v2) in zip(sorted(x1.items()), sorted(x2.items())):
        os.setxattr(at["x1"], k1, v2)
    (ka, va), (kb, vb) = sorted(x2.items())
    os.setxattr(at["x2"], ka, vb)
    os.setxattr(at["x2"], kb, va)
    for k, v in x3.items():
        os.setxattr(at["x3"], k, v[:-1] + bytes([v[-1] ^ 1]))
    for k, v in sealed("x4").items():
        os.setxattr(at["x4"], k, v[:10])
    mount.start()
    audit = Audit(mount.store)
    for case, name in {"symlink target of another link": "l1", "symlink target damaged": "l3"}.items():
        code = fault(lambda: os.readlink(mount.path / name))
        heard = audit.grew()
        tally.check(case, code == errno.EIO and heard, f"readlink gives {code}, audited: {heard}")
    tally.check("a link that nobody touched reads", os.readlink(mount.path / "l2") == "target of l2")
    tally.check("a long target reads", os.readlink(mount.path / "long") == "d/" * 1500)
    for case, name in {"attribute values of another file": "x1", "attribute values exchanged": "x2",
                       "attribute value damaged": "x3", "attribute value cut": "x4"}.items():
        codes = [fault(lambda: os.getxattr(mount.path / name, a)) for a in ("user.colour", "user.taste")]
        heard = audit.grew()
        tally.check(case, codes == [errno.EIO] * 2 and heard, f"getxattr gives {codes}, audited: {heard}")
    mount.stop()


def long_name_cases(scratch, tally):
    mount = Mount(scratch, scratch.dir("lower-long"), name="mnt-long", store=scratch.dir("store-long"))
    mount.start()
    tree = Tree(mount)
    names = [c * 250 for c in "ab"]
    for name in names:
        tree.file(name, name.encode())
    mount.stop()
    sidecars = [tree.below[n].with_name(tree.below[n].name + ".n") for n in names]
    tally.check("a long name has a sidecar", all(s.is_file() for s in sidecars))
    exchange(sidecars[0], sidecars[1])
    mount.start()
    audit = Audit(mount.store)
    try:
        listed = set(os.listdir(mount.path))
    except OSError as error:
        listed = {errno.errorcode[error.errno]}
    tally.check("sidecars of long names exchanged", listed in ({"EIO"}, set(), set(names)), len(listed))
    tally.check("sidecars of long names exchanged: audited", audit.grew())
    mount.stop()


def descriptor_cases(scratch, tally):
    """A damaged volume descriptor: the mount is refused, and nothing changes below."""
    mount = Mount(scratch, scratch.dir("lower-volume"), name="mnt-volume", store=scratch.dir("store-volume"))
    mount.start()
    put_file(mount.path / "file", b"content")
    mount.stop()
    path = mount.lower / ".kmsfs" / "volume"
    good = path.read_bytes()
    damage = {"bit flipped": bytes([*good[:60], good[60] ^ 1, *good[61:]]),
              "bit flipped in the tag": bytes([*good[:-1], good[-1] ^ 1]),
              "emptied": b"", "zeroed": bytes(len(good)), "cut": good[:100], "lengthened": good + b"\0"}
    for case, content in damage.items():
        path.write_bytes(content)
        before = sorted((p, p.lstat().st_mtime_ns) for p in objects(mount.lower) | {path})
        try:
            mount.start(wait=20)
            mount.stop()
            refused = False
        except RuntimeError:
            refused = True
            mount.kill()
        after = sorted((p, p.lstat().st_mtime_ns) for p in objects(mount.lower) | {path})
        tally.check(f"volume descriptor {case}: refused", refused)
        tally.check(f"volume descriptor {case}: nothing changed below",
                    before == after and path.read_bytes() == content)
    path.write_bytes(good)
    mount.start()
    tally.check("the descriptor put back, it mounts again", (mount.path / "file").read_bytes() == b"content")
    mount.stop()


def main():
    tally = Tally()
    with Scratch("tamper") as scratch:
        for cases in (file_cases, whole_file_cases, directory_cases, value_cases, long_name_cases,
                      descriptor_cases):
            try:
                cases(scratch, tally)
            except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
                tally.check(cases.__name__, False, repr(error))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
