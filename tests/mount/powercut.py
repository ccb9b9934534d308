#!/usr/bin/env python3
"""The power goes: the lower ext4 is shut down without flushing, and the filesystem is killed.

The lower directory is on a loop-mounted ext4. EXT4_IOC_SHUTDOWN without a log flush loses whatever
was not yet on the disk, journal included; the remount replays what the journal had. What a writer's
fsync had acknowledged must be there, and nothing may be unreadable. Once with the key store elsewhere, and a
quarter of the rounds with the key store and the audit trail on the disk that loses its power.
"""

import fcntl
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import Mount, Scratch, Tally, is_mounted, rounds_argument  # noqa: E402
from writers import NO_POWER, crash_rounds  # noqa: E402

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2


class Disk:
    """An ext4 in a file, that can lose its power."""

    def __init__(self, scratch, name, size="2G"):
        self.image = scratch.path / f"{name}.img"
        self.path = scratch.dir(f"disk-{name}")
        subprocess.run(["truncate", "-s", size, self.image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        scratch.undo.append(self.unmount)

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)

    def unmount(self):
        if is_mounted(self.path):
            subprocess.run(["umount", self.path], check=True)

    def cut(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)


def cut_rounds(scratch, tally, given, name, store_too):
    """Rounds on a disk of their own; with `store_too` the key store and the audit trail lose power as well."""
    disk = Disk(scratch, name)
    disk.mount()
    lower = disk.path / "lower"
    lower.mkdir()
    store = disk.path / "store" if store_too else scratch.dir(f"store-{name}")
    mount = Mount(scratch, lower, name=f"mnt-{name}", store=store).start()

    def crash():
        NO_POWER.set()
        disk.cut()
        mount.kill()
        disk.unmount()

    def again():
        disk.mount()
        mount.start()
        NO_POWER.clear()

    crash_rounds(tally, given, mount, crash, again)
    mount.stop()
    check = subprocess.run(["umount", disk.path], capture_output=True)
    tally.check("the lower filesystem is free again", check.returncode == 0, check.stderr.decode())


def main():
    given, tally = rounds_argument(__doc__), Tally()
    with Scratch("powercut") as scratch:
        cut_rounds(scratch, tally, given, "files", store_too=False)
        print("        and now with the key store on the same disk", flush=True)
        given.rounds = (given.rounds + 3) // 4
        cut_rounds(scratch, tally, given, "both", store_too=True)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
