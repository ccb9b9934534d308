"""What the end-to-end tests in Python share.

A `Scratch` directory that takes down every mount and process made in it, a `Mount` that is run in
the foreground so that its process id is known, and a `Tally` whose last line is what
`contrib/test.sh` adds up. Standard library alone. Everything here needs root.
"""

import errno
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("KMSFS_BIN_DIR", ROOT / "target" / "release"))
KMSFS = str(BIN / "kmsfs")
KMSD = str(BIN / "kmsd")

# Which way requests come, if the run is to say.
TRANSPORT = os.environ.get("KMSFS_TRANSPORT", "")

BLOCK = 4096
ENOKEY = 126

# What a caller sees of a filesystem whose server has died.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV, errno.ESHUTDOWN, errno.ECONNREFUSED,
        errno.ECANCELED)  # the last from a ring


class Tally:
    """Counts checks. `finish` prints the last line and gives the exit code."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, good, detail=""):
        if good:
            self.passed += 1
            print(f"ok      {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {name}" + (f": {detail}" if detail else ""), flush=True)
        return bool(good)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        # Nothing checked is not a success.
        return 1 if self.failed or not self.passed else 0


class Scratch:
    """A directory for one test. Leaving it unmounts and stops whatever was made in it."""

    def __init__(self, name, base=None):
        if os.geteuid() != 0:
            sys.exit("these tests mount filesystems and need root")
        for binary in (KMSFS, KMSD):
            if not os.access(binary, os.X_OK):
                sys.exit(f"{binary} is missing: cargo build --release")
        base = base or os.environ.get("KMSFS_TEST_DIR", "/var/tmp")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"kmsfs-{name}-", dir=base))
        self.undo = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for undo in reversed(self.undo):
            try:
                undo()
            except Exception as error:  # the rest must be undone all the same
                print(f"cleaning up: {error}", file=sys.stderr)
        if os.environ.get("KMSFS_TEST_KEEP") or (kind and kind is not SystemExit):
            print(f"kept: {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def dir(self, name):
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def is_mounted(path):
    wanted = os.path.realpath(path).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo") as table:
        return any(line.split()[4] == wanted for line in table)


class Mount:
    """A kmsfs mount served by a child process."""

    def __init__(self, scratch, lower, name="mnt", store=None, options="", log=None):
        self.lower = pathlib.Path(lower)
        self.path = scratch.dir(name)
        self.store = pathlib.Path(store) if store else scratch.dir("store")
        self.options = options
        self.log = log or scratch.path / f"{name}.log"
        self.process = None
        scratch.undo.append(self.kill)

    def arguments(self):
        options = self.options
        if "kms=" not in options:
            options = f"keystore={self.store}" + (f",{options}" if options else "")
        if TRANSPORT and "transport=" not in options:
            options += f",transport={TRANSPORT}"
        return [KMSFS, "mount", str(self.lower), str(self.path), "-f", "-o", options]

    def start(self, wait=60):
        """Mounts; raises with the server's own words if it gives up."""
        with open(self.log, "ab") as log:
            log.write(b"--- mount\n")
            self.process = subprocess.Popen(
                self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, RUST_LOG=os.environ.get("RUST_LOG", "info")))
        end = time.monotonic() + wait
        while not is_mounted(self.path):
            if self.process.poll() is not None:
                raise RuntimeError(f"mount ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > end:
                raise RuntimeError(f"not mounted after {wait} s: {self.tail()}")
            time.sleep(0.01)
        os.statvfs(self.path)  # answers only when the server serves
        return self

    def stop(self, wait=60):
        """A clean unmount: back only when the server has put everything away and ended well."""
        subprocess.run([KMSFS, "umount", str(self.path)], check=True, timeout=wait)
        code = self.process.wait(timeout=wait)
        self.process = None
        if code != 0:
            raise RuntimeError(f"the server ended with {code}: {self.tail()}")

    def kill(self):
        """SIGKILL, then the dead mount is detached. Also the clean-up of a test that failed."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None
        for _ in range(50):
            if not is_mounted(self.path):
                return
            subprocess.run(["umount", "-l", str(self.path)], stderr=subprocess.DEVNULL)
            time.sleep(0.02)
        raise RuntimeError(f"{self.path} stays mounted")

    def tail(self):
        text = pathlib.Path(self.log).read_text(errors="replace").strip().splitlines()
        return " | ".join(text[-4:])


def audit_text(store):
    """The whole audit trail below `store`."""
    return b"".join(p.read_bytes() for p in sorted(pathlib.Path(store).glob("audit/*")) if p.is_file())


def tampers(store):
    """How many lines of the audit trail tell of tampering."""
    return sum(1 for line in audit_text(store).splitlines() if b"amper" in line)


def walk_files(top):
    """All regular files and symlinks below `top`, as a set of paths."""
    found = set()
    for folder, _, names in os.walk(top):
        found.update(pathlib.Path(folder) / n for n in names)
    return found


def objects(lower):
    """The lower files that stand for files of the user: no descriptor, directory header or sidecar."""
    return {p for p in walk_files(lower)
            if ".kmsfs" not in p.relative_to(lower).parts
            and p.name != "kmsfs.dir" and not (p.name.startswith("~") and p.name.endswith(".n"))}


def fault(action):
    """Runs `action`; the errno it failed with, or None."""
    try:
        action()
    except OSError as error:
        return error.errno
    return None


def random_bytes(seed, length):
    return random.Random(seed).randbytes(length)


def digest(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            hasher.update(part)
    return hasher.hexdigest()


def rounds_argument(description, default=8):
    """The arguments that the crash tests share."""
    import argparse
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("KMSFS_ROUNDS", default)))
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    parser.add_argument("--only", default="", help="comma-separated kinds of writer")
    given = parser.parse_args()
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {given.seed}, {given.rounds} rounds each", flush=True)
    return given
