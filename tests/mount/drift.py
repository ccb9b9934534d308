#!/usr/bin/env python3
"""Mixed load for ten minutes (KMSFS_ROUNDS of 50 and more; a few seconds otherwise): memory, descriptors and threads of
the server are where they were, whenever the load pauses and the kernel has forgotten what it kept."""

import os
import pathlib
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import KMSFS, Mount, Scratch, Tally  # noqa: E402

SOAK = int(os.environ.get("KMSFS_ROUNDS", 8)) >= 50
SECONDS, ROUNDS = (600, 30) if SOAK else (5, 9)
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src" / "volume"


class Load(threading.Thread):
    """Does something again and again, and can be told to pause."""

    def __init__(self, top, work):
        super().__init__(daemon=True)
        self.top, self.work, self.done, self.fault = top / work.__name__, work, 0, None
        self.go, self.idle, self.ended = threading.Event(), threading.Event(), False
        self.top.mkdir()

    def run(self):
        chance = random.Random(self.work.__name__)
        while not self.ended:
            self.idle.set()
            self.go.wait()
            self.idle.clear()
            try:
                while self.go.is_set() and not self.ended:
                    self.work(self.top, chance)
                    self.done += 1
            except Exception as error:
                self.fault = f"{self.work.__name__}: {error!r}"
                self.ended = True
        self.idle.set()


def trees(top, chance):
    """A tree comes, is looked at and goes."""
    shutil.copytree(SOURCE, top / "tree")
    subprocess.run(["grep", "-rqs", "nothing of this kind", str(top / "tree")], check=False)
    shutil.rmtree(top / "tree")


def rows(top, chance):
    """A database is written and read."""
    base = sqlite3.connect(top / "db")
    base.execute("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, x)")
    with base:
        base.executemany("INSERT OR REPLACE INTO t VALUES(?, randomblob(300))", [(chance.randrange(5000),) for _ in range(50)])
    if base.execute("SELECT count(*) FROM t").fetchone()[0] < 1:
        raise ValueError("rows are gone")
    base.close()


def pieces(top, chance):
    """Files are written over, cut, mapped in part, renamed and removed, some of them while they are open."""
    path = top / f"f{chance.randrange(40)}"
    with open(path, "a+b") as file:
        os.pwrite(file.fileno(), chance.randbytes(chance.choice((10, 5000, 200_000))), chance.randrange(400_000))
        if chance.random() < 0.3:
            os.ftruncate(file.fileno(), chance.randrange(400_000))
        if chance.random() < 0.2:
            os.fsync(file.fileno())
        os.setxattr(file.fileno(), "user.mark", chance.randbytes(30))
        if chance.random() < 0.2:
            os.unlink(path)
    if path.exists() and chance.random() < 0.3:
        os.replace(path, top / f"f{chance.randrange(40)}")
    for name in os.listdir(top)[:5]:
        (top / name).read_bytes()


def names(top, chance):
    """Names of all kinds come and go."""
    for n in range(60):
        os.close(os.open(top / (f"{n}" * 30), os.O_CREAT | os.O_WRONLY))
        os.symlink("t" * chance.randrange(1, 300), top / f"l{n}")
        os.link(top / (f"{n}" * 30), top / f"h{n}")
    os.mkdir(top / "d")
    os.rename(top / "h1", top / "d" / "h1")
    shutil.rmtree(top / "d")
    for name in os.listdir(top):
        os.unlink(top / name)


def held(pid):
    """Resident memory in kB, descriptors and threads of the server."""
    with open(f"/proc/{pid}/status") as status:
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return rss, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def main():
    tally = Tally()
    with Scratch("drift") as scratch:
        lower = scratch.dir("lower")
        mount = Mount(scratch, lower).start()
        loads = [Load(mount.path, work) for work in (trees, rows, pieces, names)]
        for load in loads:
            load.start()
        samples = []
        for number in range(ROUNDS):
            for load in loads:
                load.go.set()
            time.sleep(SECONDS / ROUNDS)
            for load in loads:
                load.go.clear()
            for load in loads:
                load.idle.wait(120)
            os.sync()
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
            time.sleep(0.2)
            samples.append(held(mount.process.pid))
        for load in loads:
            load.ended = True
            load.go.set()
        faults = [load.fault for load in loads if load.fault]
        tally.check("nothing failed under the load", not faults, faults)
        tally.check("all of it was at work", all(load.done > 0 for load in loads), [load.done for load in loads])
        print(f"        {SECONDS} s: " + ", ".join(f"{load.work.__name__} {load.done} times" for load in loads))
        third = ROUNDS // 3
        for name, column, room in (("kB of memory", 0, 6000), ("descriptors", 1, 10), ("threads", 2, 4)):
            each = [sample[column] for sample in samples]
            middle, last = statistics.median(each[third:2 * third]), statistics.median(each[2 * third:])
            print(f"        {name}: first {each[0]}, then {middle:.0f}, last {last:.0f}, most {max(each)}")
            tally.check(f"{name} do not drift", last <= middle * 1.05 + room, each)
        for load in loads:
            load.join(10)
        mount.stop()
        checked = subprocess.run([KMSFS, "fsck", str(lower), "--keystore", str(mount.store), "--data"], capture_output=True, text=True)
        tally.check("fsck finds nothing", checked.returncode == 0, checked.stdout[-300:] + checked.stderr[-300:])
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
