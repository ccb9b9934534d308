#!/usr/bin/env python3
"""Mounts that end while they are used, on each transport: unmounted, killed, aborted; and often.

Whatever ends a mount, nobody may hang: programs that use it get an error, the server ends, the mount
point can be used again, everything is there and fsck finds nothing wrong. A mount that serves on holds no
more descriptors and memory than before, and a machine that has had many has no threads of the kernel left
over. Where the ring cannot be had, a mount that may choose goes without and says why.
`--rounds` of 50 or more means 1,000 cycles of mounting over each transport instead of 20.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import GONE, KMSFS, ROOT, Mount, Scratch, Tally, fault, is_mounted, rounds_argument  # noqa: E402
from transports import SWITCH, ring_switched  # noqa: E402

PATIENCE = 30  # seconds until something counts as hanging
CONTROL = pathlib.Path("/sys/fs/fuse/connections")

# A program that uses the mount in every way until it gets an error that the end of a mount explains.
WORKER = """
import os, random, sys
top, number, gone = sys.argv[1], int(sys.argv[2]), set(map(int, sys.argv[3].split(",")))
data, rng = os.urandom(1 << 20), random.Random(number)
home = f"{top}/{number}"
try:
    os.makedirs(home, exist_ok=True)
    while True:
        name = f"{home}/{rng.randrange(20)}"
        fd = os.open(name, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, data[:rng.choice([10, 4096, 200_000, 1 << 20])], rng.randrange(1 << 20))
        if rng.random() < 0.2:
            os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(fd, rng.choice([1, 4096, 1 << 20]), rng.randrange(1 << 20))
        os.close(fd)
        os.listdir(home)
        os.rename(name, name + "x")
        os.stat(name + "x")
        if rng.random() < 0.5:
            os.unlink(name + "x")
        elif rng.random() < 0.5:
            os.setxattr(name + "x", "user.a", data[:100])
except OSError as error:
    sys.exit(0 if error.errno in gone else f"errno {error.errno}: {error}")
"""


class Load:
    """Four programs at work."""

    def __init__(self, top):
        gone = ",".join(str(e) for e in GONE)
        self.programs = [
            subprocess.Popen([sys.executable, "-c", WORKER, str(top), str(n), gone], cwd="/",
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for n in range(4)]

    def ends(self):
        """What is wrong with how they ended by themselves; '' if nothing."""
        end, wrong = time.monotonic() + PATIENCE, []
        for program in self.programs:
            try:
                _, said = program.communicate(timeout=max(0.1, end - time.monotonic()))
                if program.returncode:
                    wrong.append(said.strip().splitlines()[-1])
            except subprocess.TimeoutExpired:
                state = pathlib.Path(f"/proc/{program.pid}/stat").read_text().split()[2]
                wrong.append(f"a program hangs, state {state}")
                program.kill()
        return "; ".join(wrong)

    def stop(self):
        for program in self.programs:
            program.kill()
        for program in self.programs:
            program.communicate()


def wait_for(what):
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def ended(mount):
    """Waits for the server's end; its exit code, or None."""
    if not wait_for(lambda: mount.process.poll() is not None):
        return None
    code, mount.process = mount.process.returncode, None
    return code


def connection(path):
    """The number of a mount's connection to the kernel: the minor number of its device."""
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        if fields[4] == str(path):
            return fields[2].split(":")[1]
    raise RuntimeError(f"{path} is not mounted")


def devices():
    """The minor numbers of everything that is mounted."""
    return {line.split()[2].split(":")[1] for line in open("/proc/self/mountinfo")}


def usable(tally, name, mount):
    """The lower tree has nothing wrong; mounts again and reads everything."""
    wrong = fsck(mount)
    tally.check(f"{name}: fsck finds nothing wrong", not wrong, wrong)
    mount.start()
    def read():
        for folder, _, names in os.walk(mount.path):
            for n in names:
                with open(os.path.join(folder, n), "rb") as file:
                    file.read()
        pathlib.Path(mount.path, "probe").write_bytes(b"after")
    wrong = fault(read)
    tally.check(f"{name}: mounted again, all can be read", wrong is None, f"errno {wrong}")


def fsck(mount):
    """What fsck has to say about the lower tree of a mount that has ended; '' if all is well."""
    run = subprocess.run([KMSFS, "fsck", str(mount.lower), "--keystore", str(mount.store)],
                         capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    return "" if run.returncode == 0 else f"{run.returncode}: {(run.stdout + run.stderr).strip()[-300:]}"


def kernel_threads():
    """How many threads the kernel has; those of its work queues come and go by themselves."""
    count = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, fields = (folder / "stat").read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        count += fields.split()[1] == "2" and "(kworker" not in name
    return count


def kernel_memory():
    """KiB that the kernel itself holds and cannot give back."""
    kinds = ("SUnreclaim:", "Percpu:", "KernelStack:", "PageTables:")
    return sum(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith(kinds))


def unmounted_under_load(tally, name, mount):
    load = Load(mount.path)
    time.sleep(1.5)
    subprocess.run([KMSFS, "umount", "--lazy", str(mount.path)], check=True, timeout=PATIENCE)
    time.sleep(0.5)
    load.stop()
    code = ended(mount)
    tally.check(f"{name}: unmounted under load, the server ends well", code == 0, f"{code}: {mount.tail()}")
    usable(tally, f"{name}: unmounted under load", mount)


def killed_under_load(tally, name, mount):
    load = Load(mount.path)
    time.sleep(1.5)
    mount.process.kill()
    wrong = load.ends()
    tally.check(f"{name}: killed under load, nobody hangs", not wrong, wrong)
    mount.kill()
    usable(tally, f"{name}: killed under load", mount)


def aborted_under_load(tally, name, mount):
    number = connection(mount.path)
    load = Load(mount.path)
    time.sleep(1.5)
    (CONTROL / number / "abort").write_text("1")
    wrong = load.ends()
    tally.check(f"{name}: aborted under load, nobody hangs", not wrong, wrong)
    code = ended(mount)
    tally.check(f"{name}: aborted under load, the server ends", code is not None, mount.tail())
    mount.kill()
    usable(tally, f"{name}: aborted under load", mount)


def status(pid, field):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def holds_nothing_back(tally, name, mount):
    """Descriptors, threads and memory after three bursts are those after the first."""
    pid = mount.process.pid

    def burst():
        load = Load(mount.path)
        time.sleep(1)
        load.stop()
        subprocess.run(["rm", "-rf"] + [str(p) for p in pathlib.Path(mount.path).iterdir()], check=True)
        # The kernel gives its references back when it drops what it remembers.
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
        time.sleep(0.3)

    def descriptors():
        return len(os.listdir(f"/proc/{pid}/fd"))

    burst()
    first, memory = descriptors(), status(pid, "VmRSS")
    burst()
    burst()
    few = wait_for(lambda: descriptors() <= first + 4)
    tally.check(f"{name}: no descriptor is lost", few, f"{first}, then {descriptors()}")
    grown = status(pid, "VmRSS") - memory
    tally.check(f"{name}: no memory is lost", grown < 24 << 10, f"{grown} KiB more")
    tally.check(f"{name}: at work, under 200 MiB", status(pid, "VmHWM") < 200 << 10, f"{status(pid, 'VmHWM')} KiB")


def rests(tally, name, mount):
    """Who has nothing to do burns no CPU: neither after a lone caller's burst, nor beside one who asks now and then."""
    pid = mount.process.pid

    def cpu():  # seconds
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    file = mount.path / "burst"
    for _ in range(3000):
        file.touch()
        file.rename(mount.path / "moved")
        (mount.path / "moved").unlink()
    def cpus():  # ticks idle, and idle while a thread waits for a disk, of all CPUs
        return [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[4:6]]

    before, ticks = cpu(), cpus()
    time.sleep(2)
    idle = cpu() - before
    free, waiting = (now - then for now, then in zip(cpus(), ticks))
    before, end = cpu(), time.monotonic() + 2
    while time.monotonic() < end:
        file.touch()
        file.unlink()
        time.sleep(0.01)
    slow = cpu() - before
    print(f"{name}: seconds of CPU in two seconds idle {idle:.2f}, with 100 callers a second {slow:.2f}")
    tally.check(f"{name}: it rests when nobody asks", idle < 0.3, f"{idle} s")
    # The kernel can be told so since 6.15.
    told = name != "uring" or [int(n) for n in os.uname().release.split("-")[0].split(".")[:2]] >= [6, 15]
    tally.check(f"{name}: and no CPU counts as waiting for a disk meanwhile", free > waiting or not told,
                f"{free} idle, {waiting} waiting")
    tally.check(f"{name}: it rests between seldom requests", slow < 0.6, f"{slow} s")


def memory_at_work(tally, name, mount, scratch):
    """The rows of the benchmark that take most memory, short."""
    sizes = dict(os.environ, DIR=str(mount.path), SIZE="128M", QUARTER="64M", SECONDS_EACH="1")
    peaks = []
    for row in ("jobs4-seq-write", "jobs4-seq-read", "direct-write"):
        subprocess.run(["fio", f"--output={scratch.path}/fio", str(ROOT / "bench" / "fio" / f"{row}.fio")],
                       env=sizes, check=True, timeout=4 * PATIENCE, stdin=subprocess.DEVNULL)
        peaks.append(f"{row} {status(mount.process.pid, 'VmHWM') >> 10}")
    print(f"{name}: resident at most, MiB, after " + ", ".join(peaks))
    most = status(mount.process.pid, "VmHWM")
    tally.check(f"{name}: at its hardest work, under 200 MiB", most < 200 << 10, f"{most} KiB")
    for path in pathlib.Path(mount.path).glob("data*"):
        path.unlink()


def cycles(tally, name, mount, scratch, count):
    mount.stop()
    threads, memory = kernel_threads(), kernel_memory()
    options = f"keystore={mount.store},log={scratch.path}/cycles.log,{mount.options}"
    slowest, done, used = 0, 0, set()
    for number in range(count):
        start = time.monotonic()
        subprocess.run([KMSFS, "mount", str(mount.lower), str(mount.path), "-o", options],
                       check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        pathlib.Path(mount.path, "cycle").write_bytes(b"%d" % number)
        used.add(connection(mount.path))
        subprocess.run([KMSFS, "umount", str(mount.path)], check=True, timeout=PATIENCE)
        done += not is_mounted(mount.path)
        slowest = max(slowest, time.monotonic() - start)
    tally.check(f"{name}: {count} times mounted and unmounted", done == count, f"{done}")
    left = subprocess.run(["pgrep", "-cf", str(mount.lower)], capture_output=True, text=True).stdout.strip()
    tally.check(f"{name}: no server is left", left == "0", left)
    # Numbers are used again: one that another mount has now is not left over.
    gone = wait_for(lambda: not (used & set(os.listdir(CONTROL))) - devices())
    tally.check(f"{name}: no connection is left", gone, f"{sorted(used & set(os.listdir(CONTROL)))}")
    print(f"{name}: slowest cycle {slowest:.2f} s; {kernel_memory() - memory} KiB more in the kernel, "
          f"{kernel_threads() - threads} threads more")
    few = wait_for(lambda: kernel_threads() < threads + count // 2)
    tally.check(f"{name}: no thread of the kernel is left", few, f"{threads}, then {kernel_threads()}")
    # Whatever else the machine does is in this too: only many cycles show a leak.
    if count >= 1000:
        little = wait_for(lambda: kernel_memory() < memory + 48 * count)
        tally.check(f"{name}: no memory of the kernel is left", little, f"{memory} KiB, then {kernel_memory()}")
    mount.start()
    same = pathlib.Path(mount.path, "cycle").read_bytes() == b"%d" % (count - 1)
    tally.check(f"{name}: the last cycle's file is there", same)


def one_transport(tally, given, transport):
    with Scratch(f"teardown-{transport}") as scratch:
        mount = Mount(scratch, scratch.dir("lower"), options=f"transport={transport}").start()
        log = mount.log.read_text()
        tally.check(f"{transport}: it is what the mount uses", f'transport="{transport}"' in log, mount.tail())
        idle = status(mount.process.pid, "VmRSS")
        print(f"{transport}: resident when idle, MiB: {idle >> 10}")
        tally.check(f"{transport}: idle, under 64 MiB", idle < 64 << 10, f"{idle} KiB")
        rests(tally, transport, mount)
        holds_nothing_back(tally, transport, mount)
        memory_at_work(tally, transport, mount, scratch)
        kinds = [unmounted_under_load, killed_under_load, aborted_under_load]
        for _ in range(max(1, given.rounds // 10)):
            random.shuffle(kinds)
            for kind in kinds:
                kind(tally, transport, mount)
        cycles(tally, transport, mount, scratch, 1000 if given.rounds >= 50 else 20)
        mount.stop()


def switched_off(tally):
    """The fuse module has it switched off: refused with the reason, and a mount that may choose goes without."""
    with Scratch("teardown-none") as scratch:
        options = f"keystore={scratch.dir('store')},transport=uring"
        told = subprocess.run([KMSFS, "mount", str(scratch.dir("lower")), str(scratch.dir("mnt")), "-o", options],
                              capture_output=True, text=True, timeout=PATIENCE)
        tally.check("no ring: refused when it is asked for", told.returncode == 11 and "io_uring" in told.stderr,
                    f"{told.returncode}: {told.stderr}")
        found = json.loads(subprocess.run([KMSFS, "doctor", "--json"], capture_output=True, check=True).stdout)
        tally.check("no ring: the doctor says so", found["transport"] == "device", found)
        mount = Mount(scratch, scratch.dir("lower"), options="transport=auto").start()
        log = mount.log.read_text()
        why = "io_uring" in log or "enable_uring" in log
        tally.check("no ring: a mount goes without and says why", why and 'transport="device"' in log, mount.tail())
        mount.stop()


IO_URING_SETUP = "425"
IO_URING_ENTER = "426"


class Confined(Mount):
    """A mount by a process that may not make a ring, or not use it."""

    refused = IO_URING_SETUP

    def arguments(self):
        helper = ROOT / "tests" / "mount" / "lib" / "without_calls.py"
        return [sys.executable, str(helper), self.refused, *super().arguments()]


def goes_without(tally, name, mount, why="io_uring"):
    """It has started, serves a little load over /dev/fuse, has said why, and ends well."""
    log = mount.log.read_text()
    tally.check(f"{name}: a mount goes without and says why", why in log and 'transport="device"' in log,
                mount.tail())
    wrong = fault(lambda: pathlib.Path(mount.path, "file").write_bytes(bytes(3 << 20)))
    wrong = wrong or fault(lambda: pathlib.Path(mount.path, "file").read_bytes())
    tally.check(f"{name}: it serves", wrong is None, f"errno {wrong}")
    mount.stop()


def forbidden(tally):
    """The module has it, but this process may not: by its container's profile, or by the machine's."""
    with Scratch("teardown-confined") as scratch:
        mount = Confined(scratch, scratch.dir("lower"), options="transport=auto")
        goes_without(tally, "no io_uring_setup", mount.start())
        mount = Confined(scratch, scratch.dir("lower"), name="enter", options="transport=auto")
        mount.refused = IO_URING_ENTER
        goes_without(tally, "no io_uring_enter", mount.start())
        disabled = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
        if disabled.exists():
            before = disabled.read_text()
            mount = Mount(scratch, scratch.dir("lower"), name="disabled", options="transport=auto")
            try:
                disabled.write_text("2")
                mount.start()
            finally:
                disabled.write_text(before)
            goes_without(tally, "io_uring_disabled", mount)


class Traced(Mount):
    """A mount by a process in whose system calls strace meddles."""

    meddling = ()

    def arguments(self):
        return ["strace", "-f", "-qq", "-o", "/dev/null", *self.meddling, *super().arguments()]


def refuses(mount, options):
    """What a mount in the foreground that is to fail says, and its exit code."""
    mount.options = options
    told = subprocess.run(mount.arguments(), capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    return told.returncode, told.stderr.strip().splitlines()[-1]


def no_registration(tally):
    """The kernel agrees to a ring and then does not get it, or does not take it."""
    with Scratch("teardown-register") as scratch:
        # More than a bell or an answer at a time: the first entries.
        mount = Confined(scratch, scratch.dir("lower"), options="transport=auto")
        mount.refused = IO_URING_ENTER + ">2"
        goes_without(tally, "a ring that cannot be filled", mount.start(), "the ring does not work")
        code, said = refuses(mount, "transport=uring")
        tally.check("a ring that cannot be filled: refused when it is asked for",
                    code == 11 and "io_uring" in said and not is_mounted(mount.path), f"{code}: {said}")

        # Switched off between the kernel's offer, which comes with the mount, and our yes to it, which is held
        # back here: then it knows of no ring.
        def switched_off_between(mount, act):
            # By its name alone: looking at it would wait for the server.
            there = lambda: any(line.split()[4] == str(mount.path) for line in open("/proc/self/mountinfo"))  # noqa: E731
            off = threading.Thread(target=lambda: wait_for(there) and SWITCH.write_text("0"))
            off.start()
            try:
                return act()
            finally:
                off.join()
                SWITCH.write_text("1")

        mount = Traced(scratch, scratch.dir("lower"), name="off", options="transport=auto")
        mount.meddling = ("-P", "/dev/fuse", "-e", "trace=writev", "-e", "inject=writev:delay_enter=3000000:when=1")
        switched_off_between(mount, mount.start)
        goes_without(tally, "switched off meanwhile", mount, "refused the ring")
        code, said = switched_off_between(mount, lambda: refuses(mount, "transport=uring"))
        tally.check("switched off meanwhile: refused when it is asked for",
                    code == 11 and "refused" in said and not is_mounted(mount.path), f"{code}: {said}")


def ring_fails(tally):
    """A ring that has served fails: nobody hangs, the mount ends and says why, everything is there."""
    with Scratch("teardown-ring") as scratch:
        mount = Traced(scratch, scratch.dir("lower"), options="transport=uring")
        # Under load every lane comes to its 400th call; mounting takes few.
        mount.meddling = ("-e", "trace=io_uring_enter", "-e", "inject=io_uring_enter:error=ENOMEM:when=400")
        mount.start()
        load = Load(mount.path)
        wrong = load.ends()
        tally.check("a ring fails under load: nobody hangs", not wrong, wrong)
        code = ended(mount)
        log = mount.log.read_text()
        tally.check("a ring fails under load: the server ends and says why", code == 1 and "a ring failed" in log,
                    f"{code}: {mount.tail()}")
        mount.kill()
        mount.meddling = ("-e", "trace=none")
        usable(tally, "a ring fails under load", mount)
        mount.stop()


def control_is_there():
    """Mounts the filesystem of connections where nobody has; it stays."""
    if not is_mounted(CONTROL):
        subprocess.run(["mount", "-t", "fusectl", "fusectl", str(CONTROL)], check=True)


def main():
    given, tally = rounds_argument(__doc__), Tally()
    random.seed(given.seed)
    control_is_there()
    with ring_switched(False):
        switched_off(tally)
    with ring_switched(True) as there:
        if there:
            found = json.loads(subprocess.run([KMSFS, "doctor", "--json"], capture_output=True, check=True).stdout)
            tally.check("the doctor sees the ring", found["transport"] == "uring", found)
            forbidden(tally)
            no_registration(tally)
            ring_fails(tally)
            one_transport(tally, given, "uring")
    one_transport(tally, given, "device")
    one_transport(tally, given, "fuser")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
