"""A kmsd process of a test's own, and requests to it. No client library: its retries would hide much."""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

REGION, ACCOUNT = "local-1", "111122223333"
BIN = os.environ.get("KMSFS_BIN_DIR") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "target", "release")


class Away(Exception):
    """kmsd did not answer: whether it did what was asked is not known."""


class Refused(Exception):
    """kmsd answered with an error."""

    def __init__(self, status, name, body):
        super().__init__(f"{status} {name}: {body[:300]!r}")
        self.status, self.name = status, name


class Tally:
    """Checks, a line for each, and the sum that contrib/test.sh reads."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok' if good else 'not ok'} - {what}", flush=True)
        return good

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed else 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Kmsd:
    """The process, its directory below `place`, and an access key of its administrator."""

    def __init__(self, place, mirrors=0):
        self.place, self.port, self.process = place, free_port(), None
        self.store = os.path.join(place, "store")
        self.socket = os.path.join(place, "kmsd.sock")
        self.log = os.path.join(place, "kmsd.log")
        self.mirrors = [os.path.join(place, f"mirror{n}") for n in range(mirrors)]
        self.config = os.path.join(place, "kmsd.toml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f'account = "{ACCOUNT}"\nregion = "{REGION}"\nadministrators = ["root"]\n'
                    f'[store]\ndir = "{self.store}"\nmirrors = {json.dumps(self.mirrors)}\n'
                    f'[unix]\npath = "{self.socket}"\n[http]\naddress = "127.0.0.1:{self.port}"\n')
        self.key = self.secret = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process:
            self.stop(signal.SIGKILL)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([os.path.join(BIN, "kmsd"), "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "RUST_LOG": "warn"})
        for _ in range(1200):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError("kmsd ended: " + self.tail())
            time.sleep(0.02)
        if self.key is None:
            made = self.kmsfs("iam", "create-access-key", "--user", "root", "--kms", f"unix:{self.socket}")
            self.key, self.secret = made["access_key_id"], made["secret_access_key"]
        return self

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def kmsfs(self, *arguments):
        ran = subprocess.run([os.path.join(BIN, "kmsfs"), "--json", *arguments],
                             capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"kmsfs {' '.join(arguments)}: {ran.returncode} {ran.stderr}")
        return json.loads(ran.stdout) if ran.stdout.strip() else {}

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.process = None
        return code

    def memory(self):
        """Resident, in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) / 1024


class Client:
    """Signs requests and keeps a connection; one thread at a time."""

    def __init__(self, kmsd):
        self.kmsd, self.connection, self.signing = kmsd, None, (None, None)

    def signing_key(self, day):
        if self.signing[0] != day:
            key = ("AWS4" + self.kmsd.secret).encode()
            for part in (day, REGION, "kms", "aws4_request"):
                key = hmac.new(key, part.encode(), "sha256").digest()
            self.signing = (day, key)
        return self.signing[1]

    def send(self, target, body):
        """Status and body of the answer to a signed request with these bytes."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{REGION}/kms/aws4_request"
        host, media = f"127.0.0.1:{self.kmsd.port}", "application/x-amz-json-1.1"
        names = "content-type;host;x-amz-date;x-amz-target"
        canonical = (f"POST\n/\n\ncontent-type:{media}\nhost:{host}\nx-amz-date:{now}\n"
                     f"x-amz-target:{target}\n\n{names}\n{hashlib.sha256(body).hexdigest()}")
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        sum_ = hmac.new(self.signing_key(now[:8]), text.encode(), "sha256").hexdigest()
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.kmsd.port, timeout=60)
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.request("POST", "/", body, {
                "host": host, "content-type": media, "x-amz-date": now, "x-amz-target": target,
                "authorization": f"AWS4-HMAC-SHA256 Credential={self.kmsd.key}/{scope}, "
                                 f"SignedHeaders={names}, Signature={sum_}"})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            raise Away(repr(error)) from error

    def call(self, operation, **members):
        status, body = self.send(f"TrentService.{operation}", json.dumps(members).encode())
        reply = json.loads(body) if body else {}
        if status != 200:
            raise Refused(status, reply.get("__type"), body)
        return reply


def encode(data):
    return base64.b64encode(data).decode()


def scratch(name):
    """A directory that goes with the test."""
    place = os.environ.get("KMSFS_TEST_DIR") or tempfile.gettempdir()
    return tempfile.TemporaryDirectory(prefix=f"kmsfs-{name}.", dir=place)


def number(doc, name, default):
    """The test's one number, from its argument or the environment."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument(f"--{name.lower().replace('_', '-')}", type=int, dest="value",
                        default=int(os.environ.get(f"KMSFS_{name}", default)))
    return parser.parse_args(sys.argv[1:]).value
