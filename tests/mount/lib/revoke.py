"""Takes a user's right away in the middle of what he does, again and again, while another user goes on.

usage: revoke.py KMSFS SOCKET KEY FILE ROUNDS USER OTHER ALLOW DENY
ALLOW and DENY are key policies: one with USER in it, one without. USER's programs (a read loop, a mapping, a
direct reader) must fail within a second of DENY and must not see a byte after their first failure; OTHER reads
the file all the while, and must see no error and no wrong byte. In every second round OTHER reads through a
handle of before as well, and USER has no mapping: the kernel cannot keep the two apart, semantics.md says."""

import json
import mmap
import os
import pwd
import signal
import subprocess
import sys
import time

KMSFS, SOCKET, KEY, FILE, ROUNDS, USER, OTHER, ALLOW, DENY = sys.argv[1:]
CONTENT_BYTE = b"k"
PAGE = 4096


def become(name):
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def reports(body):
    """A child that runs body(tell); tell writes a line with the time."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, os.fdopen(read)
    os.close(read)
    try:
        body(lambda word: os.write(write, f"{time.monotonic()} {word}\n".encode()))
    finally:
        os._exit(0)


def reader(tell):
    become(USER)
    fd = os.open(FILE, os.O_RDONLY)
    tell("open")
    last = None
    while True:
        try:
            os.pread(fd, PAGE, 0)
            word = "ok"
        except OSError as error:
            word = str(error.errno)
        if word != last or word == "ok":
            tell(word)
        last = word
        time.sleep(0.01)


def mapper(tell):
    become(USER)
    fd = os.open(FILE, os.O_RDONLY)
    mapping = mmap.mmap(fd, 4 * PAGE, mmap.MAP_SHARED, mmap.PROT_READ)
    tell("open")
    at = 0
    while True:
        # A look that fails is SIGBUS: it happens in a child of its own, so that looking can go on.
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            os._exit(0 if mapping[at] == CONTENT_BYTE[0] else 3)
        status = os.waitpid(child, 0)[1]
        tell("ok" if status == 0 else "7" if os.WIFSIGNALED(status) else "wrong")
        at = (at + PAGE) % (4 * PAGE)
        time.sleep(0.01)


def copier(tell):
    become(USER)
    tell("open")
    while True:
        done = subprocess.run(["dd", f"if={FILE}", "of=/dev/null", "bs=4k", "count=4"], capture_output=True)
        tell("ok" if done.returncode == 0 else "13")
        time.sleep(0.02)


def other(tell, kept=False):
    become(OTHER)
    fd = os.open(FILE, os.O_RDONLY) if kept else None
    tell("open")
    rounds = 0
    while True:
        try:
            if kept:
                data = os.pread(fd, PAGE, 0)
            else:
                with open(FILE, "rb") as file:
                    data = file.read(PAGE)
            if data != CONTENT_BYTE * PAGE:
                tell("wrong")
        except OSError as error:
            tell(f"error {error.errno}")
        rounds += 1
        if rounds % 10 == 0:
            tell("ok")
        time.sleep(0.002)


def put(policy):
    subprocess.run([KMSFS, "key", "put-policy", policy, KEY, "--kms", f"unix:{SOCKET}"], check=True)


def rows_of(lines):
    rows = [line.split(maxsplit=1) for line in lines]
    return [(float(at), word.strip()) for at, word in rows]


def at_work(file):
    """Waits until a program has seen what it wants to see, however slow the machine is. Gives its first rows."""
    lines = [file.readline()]
    deadline = time.monotonic() + 20
    while rows_of(lines[-1:])[0][1] != "ok" and time.monotonic() < deadline:
        lines.append(file.readline())
    return rows_of(lines)


def stop(child, file):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return rows_of(file.read().splitlines())


def judge(name, rows, asked, revoked):
    """What is wrong with what one of USER's programs saw. The right went between `asked` and `revoked`: a
    failure may come before the command that takes it away has ended."""
    before = [w for t, w in rows if t < asked and w == "ok"]
    late = [(round(t - revoked, 3), w) for t, w in rows if t > revoked + 1 and w in ("ok", "wrong")]
    failures = [t for t, w in rows if t >= asked and w not in ("ok", "open")]
    if not before:
        return f"{name}: it never worked: {rows[:3]}"
    if late:
        return f"{name}: it went on after a second: {late[:3]}"
    if not failures:
        return f"{name}: it never failed"
    after = [round(t - failures[0], 3) for t, w in rows if t > failures[0] and w == "ok"]
    if after:
        return f"{name}: it saw data after its first failure: {after[:3]}"
    return None


def allowed(rows):
    """What is wrong with what a program of OTHER saw."""
    bad = sorted({word for _, word in rows if word not in ("ok", "open")})
    return [f"{OTHER} saw {bad}"] if bad else []


def main():
    put(ALLOW)
    bystander, told = reports(other)
    told.readline()
    wrong = []
    slowest = 0.0
    for number in range(int(ROUNDS)):
        programs = {"handle": reports(reader), "dd": reports(copier)}
        second = None
        if number % 2 == 0:
            programs["mapping"] = reports(mapper)
        else:
            second = reports(lambda tell: other(tell, kept=True))
            second[1].readline()
        first = {name: at_work(file) for name, (_, file) in programs.items()}
        time.sleep(0.2)
        asked = time.monotonic()
        put(DENY)
        revoked = time.monotonic()
        time.sleep(1.3)
        for name, (child, file) in programs.items():
            rows = first[name] + stop(child, file)
            found = judge(name, rows, asked, revoked)
            if found:
                wrong.append(f"round {number}: {found}")
            good = [t - revoked for t, w in rows if w == "ok" and t > revoked]
            slowest = max([slowest, *good])
        put(ALLOW)
        if second:
            wrong += allowed(stop(*second))
    wrong += allowed(stop(bystander, told))
    print(json.dumps({"rounds": int(ROUNDS), "slowest": round(slowest, 3), "wrong": wrong[:20]}))
    sys.exit(1 if wrong else 0)


main()
