#!/usr/bin/env python3
"""The filesystem process is killed under writers that fsync: everything acknowledged must be there.

Each round: writers at work, SIGKILL at a random moment, remount, every file compared with what its
writer was told, everything else read. `--rounds N` of each kind of writer, on one volume throughout.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import Mount, Scratch, Tally, rounds_argument  # noqa: E402
from writers import crash_rounds  # noqa: E402


def main():
    given, tally = rounds_argument(__doc__), Tally()
    with Scratch("kill") as scratch:
        mount = Mount(scratch, scratch.dir("lower")).start()
        crash_rounds(tally, given, mount, crash=mount.kill, again=mount.start)
        mount.stop()
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
