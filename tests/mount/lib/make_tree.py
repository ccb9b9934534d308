#!/usr/bin/env python3
"""Makes a source tree of COUNT files below TOP, the same every time: make_tree.py TOP COUNT [--odd]

Small files of words, some larger, in directories of several depths. With --odd also names, modes and
links that a filesystem may get wrong.
"""

import os
import random
import sys


def main(top, count, odd):
    chance = random.Random(20)
    words = [f"word{n}" for n in range(3000)]
    for n in range(count):
        folder = os.path.join(top, f"part{n % 37}", *[f"sub{n % k}" for k in range(2, 2 + n % 4)])
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"file{n}.rs")
        with open(path, "w") as file:
            for _ in range(int(chance.paretovariate(1.1) * 4) % 3000):
                file.write(" ".join(chance.choices(words, k=9)) + "\n")
        os.chmod(path, chance.choice((0o644, 0o755, 0o600, 0o444)) if odd else 0o644)
    if not odd:
        return
    folder = os.fsencode(os.path.join(top, "odd"))
    os.makedirs(folder)
    for name in (b"a" * 255, b"\xff\xfe not text", "naïve – ☃".encode(), b" leading", b"trailing ", b"-dash",
                 b"new\nline", b"~tilde", b".hidden", b"kmsfs.dir", "ü".encode() * 120):
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    os.symlink("../part1", os.path.join(top, "odd", "relative"))
    os.symlink("x" * 3000, os.path.join(top, "odd", "far"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "--odd" in sys.argv[3:])
