#!/usr/bin/env python3
"""Equal things above look different below: no two ciphertexts, data keys or names are shared."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from below import BLOCK, HEADER_ENTRIES, Lower, block_offset, entry_page_offset  # noqa: E402
from mounted import Mount, Scratch, Tally, objects, random_bytes  # noqa: E402

BLOCKS = 70
PIECE = 32


def pieces(content):
    """All aligned pieces of ciphertext, without the zeros of holes."""
    return {p for i in range(0, len(content), PIECE) if any(p := content[i:i + PIECE])}


def sealed(path):
    """Ciphertext of the data blocks."""
    lower = Lower(path)
    return [lower.block(b) for b in range(BLOCKS)]


def main():
    tally = Tally()
    with Scratch("distinct") as scratch:
        mount = Mount(scratch, scratch.dir("lower")).start()
        known = objects(mount.lower)

        def learn():
            nonlocal known
            now = objects(mount.lower)
            (new,), known = now - known, now
            return new

        content = random_bytes("copied", BLOCKS * BLOCK)
        files = {}
        for name in ("first", "second"):
            (mount.path / name).write_bytes(content)
            files[name] = learn()
        shutil.copy2(mount.path / "first", mount.path / "third")
        files["third"] = learn()
        # Written, not left out: these zeros are data.
        (mount.path / "zeros").write_bytes(bytes(BLOCKS * BLOCK))
        files["zeros"] = learn()
        ids = {n: os.getxattr(mount.path / n, "kmsfs.file-id") for n in files}
        for folder in ("one", "two"):
            os.mkdir(mount.path / folder)
            (mount.path / folder / "equal name").write_bytes(b"equal content")
            files[folder] = learn()
            os.symlink("equal target", mount.path / folder / "link")
            files[folder + " link"] = learn()
        mount.stop()

        blocks = {n: sealed(files[n]) for n in ("first", "second", "third", "zeros")}
        tally.check("the data blocks are there", all(any(b) for n in blocks for b in blocks[n]))
        every = [b for n in blocks for b in blocks[n]]
        tally.check("no ciphertext block occurs twice", len(set(every)) == len(every))
        for a, b in (("first", "second"), ("first", "third"), ("second", "third"), ("first", "zeros")):
            shared = pieces(b"".join(blocks[a])) & pieces(b"".join(blocks[b]))
            tally.check(f"{a} and {b} share no piece of ciphertext", not shared, f"{len(shared)}")
        entries = {n: Lower(files[n]).get(entry_page_offset(0), HEADER_ENTRIES * 64)
                   for n in blocks}
        shared = pieces(entries["first"]) & pieces(entries["second"])
        tally.check("no two blocks share nonce or tag", not shared)
        tally.check("every file has an id of its own", len(set(ids.values())) == len(ids))
        # The wrapped keys: whatever two headers share is constant, and too short to be a key.
        heads = {n: Lower(files[n]).get(0, 480) for n in ("first", "second", "third")}
        longest = max(longest_run(heads[a], heads[b])
                      for a, b in (("first", "second"), ("first", "third"), ("second", "third")))
        tally.check("headers share no wrapped data key", longest < 100, f"{longest} equal bytes in a row")
        tally.check("zeros below are holes alone", bytes(BLOCK) not in every)

        one, two = files["one"], files["two"]
        tally.check("equal names look different", one.name != two.name)
        tally.check("equal names differ in more than their end", one.name[:8] != two.name[:8])
        whole = [p.read_bytes() for p in (one, two)]
        tally.check("equal small files look different", whole[0] != whole[1])
        start = block_offset(0)
        tally.check("equal small files share no ciphertext",
                    not pieces(whole[0][start:start + BLOCK]) & pieces(whole[1][start:start + BLOCK]))
        links = [os.readlink(files[f"{d} link"]) for d in ("one", "two")]
        tally.check("equal link targets look different", links[0][:16] != links[1][:16])
    return tally.finish()


def longest_run(a, b):
    """Longest stretch of equal, non-zero bytes at the same place."""
    best = run = 0
    for x, y in zip(a, b):
        run = run + 1 if x == y and x else 0
        best = max(best, run)
    return best


if __name__ == "__main__":
    sys.exit(main())
