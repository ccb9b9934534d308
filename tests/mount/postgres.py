#!/usr/bin/env python3
"""PostgreSQL on a mount whose server is killed in the middle of pgbench: after a remount it recovers, every transaction
that was acknowledged is there, the balances agree, and pg_amcheck finds nothing. One short round; ten of 60 s where
KMSFS_ROUNDS is 50 or more (contrib/test.sh --soak)."""

import glob
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from mounted import KMSFS, Mount, Scratch, Tally  # noqa: E402

SOAK = int(os.environ.get("KMSFS_ROUNDS", 8)) >= 50
ROUNDS, SECONDS, SCALE = (10, 60, 10) if SOAK else (1, 8, 1)
CLIENTS = 8
USER = "postgres"
SETTINGS = {"listen_addresses": "", "checkpoint_timeout": "30s", "max_wal_size": "64MB", "logging_collector": "off"}


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found:
        sys.exit(f"needs {name} (contrib/test.sh installs it)")
    return found[-1]


class Server:
    """A cluster in `data`, with a socket in `sockets`, as its own user."""

    def __init__(self, scratch, data):
        self.data, self.sockets = data, scratch.dir("sockets")
        os.chmod(scratch.path, 0o711)
        subprocess.run(["chown", USER, str(self.sockets)], check=True)
        self.log = scratch.path / "postgres.log"
        self.process = None
        scratch.undo.append(self.kill)

    def run(self, name, *args, **more):
        return subprocess.run([program(name), *map(str, args)], user=USER, group=USER, extra_groups=[], cwd="/",
                              capture_output=True, text=True, **more)

    def client(self, name, *args, **more):
        return self.run(name, "-h", self.sockets, *args, **more)

    def sql(self, text):
        return self.client("psql", "-d", "postgres", "-Atqc", text).stdout.strip()

    def start(self, wait=120):
        with open(self.log, "ab") as log:
            settings = [f"-c{k}={v}" for k, v in SETTINGS.items()]
            self.process = subprocess.Popen(
                [program("postgres"), "-D", str(self.data), "-k", str(self.sockets), *settings],
                user=USER, group=USER, extra_groups=[], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        end = time.monotonic() + wait
        while self.client("pg_isready", "-q").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def stop(self, how=signal.SIGINT):
        """SIGINT: at once, with a checkpoint. SIGQUIT: without one."""
        self.process.send_signal(how)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        return code == 0

    def kill(self):
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None


def acknowledged(logs):
    """Transactions that pgbench has seen committed: a line for each, in a file for each of its threads."""
    return sum(text.count(b"\n") for text in (path.read_bytes() for path in logs.iterdir()))


def consistent(server):
    """The three balances are the sum of all that was ever added."""
    sums = [server.sql(f"SELECT coalesce(sum({what}), 0) FROM pgbench_{table}") for what, table in
            (("abalance", "accounts"), ("bbalance", "branches"), ("tbalance", "tellers"), ("delta", "history"))]
    return len(set(sums)) == 1 and sums[0] != "", sums


def one_round(tally, scratch, mount, server, number):
    logs = scratch.dir(f"log{number}")
    subprocess.run(["chown", USER, str(logs)], check=True)
    before = int(server.sql("SELECT count(*) FROM pgbench_history"))
    bench = subprocess.Popen(
        [program("pgbench"), "-h", str(server.sockets), "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS), "-l",
         # Without -n it empties the history first.
         "-n", "--log-prefix", str(logs / "t"), "postgres"],
        user=USER, group=USER, extra_groups=[], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(SECONDS * random.uniform(0.35, 0.75))
    running = bench.poll() is None
    mount.kill()
    bench.wait(timeout=SECONDS + 60)
    server.stop(signal.SIGQUIT)
    seen = acknowledged(logs)
    tally.check(f"round {number}: the filesystem went in the middle of {seen} transactions", running and seen > 0)
    mount.start()
    if not tally.check(f"round {number}: it recovers", server.start(), server.log.read_text()[-300:]):
        return False
    there = int(server.sql("SELECT count(*) FROM pgbench_history")) - before
    tally.check(f"round {number}: every acknowledged transaction is there", there >= seen, f"{seen} seen, {there} there")
    good, sums = consistent(server)
    tally.check(f"round {number}: the balances agree", good, sums)
    found = server.client("pg_amcheck", "-d", "postgres", "--install-missing", "--heapallindexed", "--parent-check")
    return tally.check(f"round {number}: pg_amcheck finds nothing", found.returncode == 0, (found.stdout + found.stderr)[-300:])


def main():
    tally = Tally()
    with Scratch("postgres") as scratch:
        mount = Mount(scratch, scratch.dir("lower")).start()
        os.chmod(mount.path, 0o755)
        data = mount.path / "data"
        data.mkdir(0o700)
        subprocess.run(["chown", USER, str(data)], check=True)
        server = Server(scratch, data)
        made = server.run("initdb", "-D", data, "-A", "trust", "--data-checksums")
        tally.check("initdb", made.returncode == 0, made.stderr[-300:])
        if tally.check("it starts", server.start(), mount.tail()):
            filled = server.client("pgbench", "-i", "-q", "-s", SCALE, "postgres")
            tally.check("pgbench is initialised", filled.returncode == 0, filled.stderr[-300:])
            for number in range(ROUNDS):
                if not one_round(tally, scratch, mount, server, number):
                    break
            tally.check("it stops well", server.stop())
        mount.stop()
        checked = subprocess.run([KMSFS, "fsck", str(mount.lower), "--keystore", str(mount.store), "--data"],
                                 capture_output=True, text=True)
        tally.check("fsck finds nothing", checked.returncode == 0, checked.stdout[-300:])
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
