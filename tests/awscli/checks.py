"""kmsd as AWS clients see it. Started by run.sh, which names the binaries and the AWS CLI."""

import base64
import datetime
import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

import interop
import keystores
import operations
import roles
import tls

BIN, AWS = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
ROOT = pathlib.Path(__file__).resolve().parents[2]
REGION, ACCOUNT = "local-1", "111122223333"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
OK, USAGE, BUSY, LOCKED = 0, 2, 6, 10


class Kmsd:
    """One kmsd with a store of its own."""

    bin, aws = BIN, AWS

    def __init__(self, work):
        self.work = work
        self.port = free_port()
        self.socket = work / "kmsd.sock"
        self.config = work / "kmsd.toml"
        self.log = work / "log"
        self.process = None
        self.configure()

    def configure(self, unlock="", store=None, address=None, extra="", name="kmsd.toml"):
        path = self.work / name
        path.write_text(
            f'{extra}regions = ["local-2"]\nservices = ["root"]\nadministrators = ["{login()}"]\n'
            f'[store]\ndir = "{store or self.work / "store"}"\n{unlock}\n'
            f'[unix]\npath = "{self.work / (name + ".sock") if name != "kmsd.toml" else self.socket}"\n'
            f'[http]\naddress = "{address or f"127.0.0.1:{self.port}"}"\n'
        )
        return path

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN / "kmsd", "--config", self.config], stderr=log)
        for _ in range(200):
            try:
                if self.healthy():
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError("kmsd ended: " + self.log.read_text())
            time.sleep(0.05)
        raise RuntimeError("kmsd does not answer")

    def healthy(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(30)

    def access_key(self, user):
        out = subprocess.run(
            [BIN / "kmsfs", "--json", "iam", "create-access-key", "--user", user,
             "--kms", f"unix:{self.socket}"],
            check=True, capture_output=True, text=True).stdout
        made = json.loads(out)
        return made["access_key_id"], made["secret_access_key"]

    def client(self, key, secret, region=REGION, token=None):
        retries = {"max_attempts": 1, "mode": "standard"}
        return boto3.client(
            "kms", region_name=region, endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
            config=botocore.config.Config(retries=retries))

    def cli(self, key, secret, *words):
        env = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.work), "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
            "AWS_DATA_PATH": str(operations.newest_model(self.work)),
        }
        words = [AWS, "kms", *words, "--endpoint-url", f"http://127.0.0.1:{self.port}",
                 "--output", "json"]
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        if done.returncode:
            raise CliError(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def raw(self, headers, body=b"{}", method="POST", path="/"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        text = reply.read()
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = {}
        return reply.status, parsed, dict(reply.getheaders())


class CliError(Exception):
    pass


def login():
    import pwd
    return pwd.getpwuid(os.geteuid()).pw_name


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fails(name, what, *args, **kwargs):
    """The call fails with this exception; returns its message."""
    try:
        what(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == name, f"{got} instead of {name}: {error}"
        return error.response["Error"].get("Message", "")
    except CliError as error:
        assert f"({name})" in str(error), f"not {name}: {error}"
        return str(error)
    raise AssertionError(f"it succeeded instead of failing with {name}")


def signed(kmsd, key, secret, body=b"{}", target="TrentService.ListKeys", at=None,
           region=REGION, service="kms"):
    """Headers of a request as botocore signs them, for sending by hand."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target,
               "Host": f"127.0.0.1:{kmsd.port}"}
    url = f"http://127.0.0.1:{kmsd.port}/"
    request = botocore.awsrequest.AWSRequest("POST", url, headers, body)
    credentials = botocore.credentials.Credentials(key, secret)
    with clock(at or datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)):
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers)


class clock:
    """Botocore's signer believes it is this time. Its two generations ask differently."""

    def __init__(self, at):
        self.at = at

    def __enter__(self):
        at = self.at
        if hasattr(botocore.auth, "get_current_datetime"):
            self.saved = ("get_current_datetime", botocore.auth.get_current_datetime)
            botocore.auth.get_current_datetime = lambda *_, **__: at
        else:
            self.saved = ("datetime", botocore.auth.datetime)
            stub = type("stub", (), {})
            stub.datetime = type("fixed", (datetime.datetime,),
                                 {"utcnow": classmethod(lambda cls: at)})
            botocore.auth.datetime = stub

    def __exit__(self, *_):
        setattr(botocore.auth, *self.saved)


def check_cli(kmsd, key, secret):
    aws = lambda *words: kmsd.cli(key, secret, *words)
    made = aws("create-key", "--description", "from the CLI")["KeyMetadata"]
    assert made["Arn"] == KEY_ARN + made["KeyId"] and made["KeyState"] == "Enabled", made
    key_id = made["KeyId"]
    told = aws("describe-key", "--key-id", key_id)["KeyMetadata"]
    assert told["Description"] == "from the CLI" and told["AWSAccountId"] == ACCOUNT, told
    assert key_id in [k["KeyId"] for k in aws("list-keys")["Keys"]]
    aws("create-alias", "--alias-name", "alias/cli", "--target-key-id", key_id)
    aliases = {a["AliasName"]: a for a in aws("list-aliases")["Aliases"]}
    assert aliases["alias/cli"]["TargetKeyId"] == key_id, aliases

    plain = kmsd.work / "plain"
    plain.write_bytes(bytes(range(256)))
    sealed = aws("encrypt", "--key-id", "alias/cli", "--plaintext", f"fileb://{plain}",
                 "--encryption-context", "a=1,b=2")
    assert sealed["KeyId"] == KEY_ARN + key_id
    blob = kmsd.work / "blob"
    blob.write_bytes(base64.b64decode(sealed["CiphertextBlob"]))
    opened = aws("decrypt", "--ciphertext-blob", f"fileb://{blob}",
                 "--encryption-context", "b=2,a=1")
    assert base64.b64decode(opened["Plaintext"]) == plain.read_bytes()
    fails("InvalidCiphertextException", aws, "decrypt", "--ciphertext-blob", f"fileb://{blob}",
          "--encryption-context", "a=1")

    fresh = aws("generate-data-key", "--key-id", key_id, "--key-spec", "AES_256")
    assert len(base64.b64decode(fresh["Plaintext"])) == 32
    blob.write_bytes(base64.b64decode(fresh["CiphertextBlob"]))
    again = aws("decrypt", "--ciphertext-blob", f"fileb://{blob}", "--key-id", key_id)
    assert again["Plaintext"] == fresh["Plaintext"]

    aws("disable-key", "--key-id", key_id)
    assert aws("describe-key", "--key-id", key_id)["KeyMetadata"]["Enabled"] is False
    fails("DisabledException", aws, "decrypt", "--ciphertext-blob", f"fileb://{blob}")
    fails("DisabledException", aws, "generate-data-key", "--key-id", key_id,
          "--key-spec", "AES_256")
    aws("enable-key", "--key-id", key_id)
    assert aws("decrypt", "--ciphertext-blob", f"fileb://{blob}")["Plaintext"]
    fails("NotFoundException", aws, "describe-key", "--key-id", "alias/none")


def check_boto3(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/boto", TargetKeyId=key_id)
    context = {"kmsfs:volume": "v", "x": "ä"}
    sealed = kms.encrypt(KeyId="alias/boto", Plaintext=b"words", EncryptionContext=context)
    blob = sealed["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"words"
    for wrong in (blob[:-1], blob + b"\0", bytes([blob[0] ^ 1]) + blob[1:],
                  blob[:-1] + bytes([blob[-1] ^ 1])):
        fails("InvalidCiphertextException", kms.decrypt, CiphertextBlob=wrong,
              EncryptionContext=context)
    fails("IncorrectKeyException", kms.decrypt, CiphertextBlob=blob, KeyId=other,
          EncryptionContext=context)
    moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=context,
                           DestinationKeyId=other)
    assert moved["KeyId"].endswith(other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"words"
    bare = kms.generate_data_key_without_plaintext(KeyId=key_id, NumberOfBytes=64)
    assert len(kms.decrypt(CiphertextBlob=bare["CiphertextBlob"])["Plaintext"]) == 64
    assert len(kms.generate_random(NumberOfBytes=32)["Plaintext"]) == 32
    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)
    fails("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key_id,
          PolicyName="default", Policy="{")
    date = kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)["DeletionDate"]
    left = date - datetime.datetime.now(datetime.timezone.utc)
    assert 6 < left.total_seconds() / 86400 <= 7, left
    fails("KMSInvalidStateException", kms.encrypt, KeyId=other, Plaintext=b"x")
    kms.cancel_key_deletion(KeyId=other)
    fails("ValidationException", kms.generate_data_key, KeyId=key_id, NumberOfBytes=4,
          KeySpec="AES_256")


def check_many_at_once(kmsd, key, secret):
    from concurrent.futures import ThreadPoolExecutor
    kms = kmsd.client(key, secret)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]

    def once(n):
        text = str(n).encode()
        blob = kms.encrypt(KeyId=key_id, Plaintext=text)["CiphertextBlob"]
        return kms.decrypt(CiphertextBlob=blob)["Plaintext"] == text

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(once, range(200)))


def check_wrong_secret(kmsd, key, secret):
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    message = fails("InvalidSignatureException", kmsd.client(key, wrong).list_keys)
    assert "signature" in message, message
    fails("InvalidSignatureException", kmsd.cli, key, wrong, "list-keys")


def check_unknown_access_key(kmsd, key, secret):
    message = fails("UnrecognizedClientException", kmsd.client("AKIAUNKNOWN", secret).list_keys)
    assert message == "The security token included in the request is invalid.", message
    fails("UnrecognizedClientException", kmsd.cli, "AKIAUNKNOWN", secret, "list-keys")
    # Long-lived keys come without a session token.
    fails("UnrecognizedClientException", kmsd.client(key, secret, token="t").list_keys)


def check_stale_date(kmsd, key, secret):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for minutes, words in ((-16, "Signature expired"), (16, "Signature not yet current")):
        at = now + datetime.timedelta(minutes=minutes)
        status, reply, _ = kmsd.raw(signed(kmsd, key, secret, at=at))
        assert status == 400 and reply["__type"] == "InvalidSignatureException", reply
        assert words in reply["message"], reply
    for minutes in (-14, 14):
        at = now + datetime.timedelta(minutes=minutes)
        assert kmsd.raw(signed(kmsd, key, secret, at=at))[0] == 200


def check_scope(kmsd, key, secret):
    fails("InvalidSignatureException", kmsd.client(key, secret, region="eu-west-1").list_keys)
    status, reply, _ = kmsd.raw(signed(kmsd, key, secret, service="sts"))
    assert reply["__type"] == "InvalidSignatureException", reply


def check_changed_requests(kmsd, key, secret):
    headers = signed(kmsd, key, secret)
    assert kmsd.raw(headers)[0] == 200
    changes = [
        dict(body=b"{ }"),
        dict(path="/?x=1"),
        dict(method="PUT"),
        dict(headers={**headers, "X-Amz-Target": "TrentService.CreateKey"}),
        dict(headers={**headers, "Host": "elsewhere"}),
        dict(headers={**headers, "X-Amz-Extra": "unsigned"}),
        dict(headers={**headers, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}),
    ]
    for change in changes:
        arguments = {"headers": headers, **change}
        status, reply, _ = kmsd.raw(**arguments)
        assert status == 400 and reply["__type"] == "InvalidSignatureException", (change, reply)


def check_malformed_requests(kmsd, key, secret):
    status, reply, headers = kmsd.raw({"X-Amz-Target": "TrentService.ListKeys"})
    assert status == 400 and reply["__type"] == "MissingAuthenticationTokenException", reply
    assert any(name.lower() == "x-amzn-requestid" for name in headers)
    broken = {**signed(kmsd, key, secret), "Authorization": "AWS4-HMAC-SHA256 Credential=x"}
    assert kmsd.raw(broken)[1]["__type"] == "IncompleteSignatureException"
    unknown = signed(kmsd, key, secret, target="TrentService.NoSuchThing")
    assert kmsd.raw(unknown)[1]["__type"] == "UnknownOperationException"
    for body in (b"{", b"[]", b'{"Limit":"x"}'):
        reply = kmsd.raw(signed(kmsd, key, secret, body=body), body=body)[1]
        assert reply["__type"] == "SerializationException", (body, reply)
    big = b" " * (300 << 10)
    status, reply, _ = kmsd.raw(signed(kmsd, key, secret, body=big), body=big)
    assert status == 413, (status, reply)
    assert kmsd.healthy()


def check_policy_decides(kmsd, key, secret):
    stranger = kmsd.client(*kmsd.access_key("daemon"))
    key_id = kmsd.client(key, secret).create_key()["KeyMetadata"]["KeyId"]
    message = fails("AccessDeniedException", stranger.encrypt, KeyId=key_id, Plaintext=b"x")
    assert "user/daemon is not authorized to perform: kms:Encrypt" in message, message
    fails("AccessDeniedException", stranger.create_key)


def check_vectors(*_):
    """The signatures in the unit tests are botocore's own."""
    key, secret = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    host, base = {"Host": "127.0.0.1:8080"}, "http://127.0.0.1:8080/"
    usual = {**host, "Content-Type": "application/x-amz-json-1.1",
             "X-Amz-Target": "TrentService.Decrypt"}
    header, query = botocore.auth.SigV4Auth, botocore.auth.SigV4QueryAuth
    target = {**host, "X-Amz-Target": "TrentService.Decrypt"}
    cases = [
        (header, "POST", base, usual, b'{"KeyId":"alias/a"}', None),
        (header, "POST", base, usual, b"{}", "tok/en+=="),
        (header, "POST", base + "?b=2&a=1&a=0&sp=a%20b%2Fc&empty=",
         {**usual, "X-Amz-Meta": "  a   b "}, b"", None),
        (header, "GET", base + "a/../b//c%20d/./e/", host, b"", None),
        (query, "POST", base + "?x=1", target, b"{}", None),
    ]
    tests = (ROOT / "src/server/sigv4/tests.rs").read_text()
    for kind, method, url, headers, body, token in cases:
        request = botocore.awsrequest.AWSRequest(method, url, dict(headers), body)
        request.context = {}
        with clock(datetime.datetime(2026, 3, 1, 12, 30, 45)):
            kind(botocore.credentials.Credentials(key, secret, token), "kms",
                 "us-east-1").add_auth(request)
        text = request.headers.get("Authorization") or request.url
        assert text.split("Signature=")[1] in tests, (method, url, text)


def check_survives_kill(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]
    kmsd.stop(signal.SIGKILL)
    kmsd.start()
    assert kmsd.client(key, secret).decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


def refused(code, config, words, **kwargs):
    done = subprocess.run([BIN / "kmsd", "--config", config], capture_output=True, text=True,
                          timeout=30, **kwargs)
    lines = [line for line in done.stderr.splitlines() if line.startswith("kmsd: ")]
    assert done.returncode == code, (done.returncode, done.stderr)
    assert len(lines) == 1 and words in lines[0], done.stderr
    assert "panicked" not in done.stderr, done.stderr


def check_bad_starts(kmsd, *_):
    elsewhere = kmsd.work / "elsewhere"
    configure = lambda **words: kmsd.configure(name="other.toml", **words)
    refused(USAGE, configure(extra='servces = ["root"]\n'), "line 1: unknown field `servces`")
    refused(USAGE, configure(address="0.0.0.0:1"), "is not a loopback address")
    refused(USAGE, kmsd.work / "none.toml", "No such file")
    refused(BUSY, configure(), "")
    refused(BUSY, configure(store=elsewhere), f"127.0.0.1:{kmsd.port}")
    copy = kmsd.work / "copy"
    kmsd.stop()
    subprocess.run(["cp", "-r", kmsd.work / "store", copy], check=True)
    kmsd.start()
    wrong, missing = kmsd.work / "wrong.key", kmsd.work / "missing.key"
    wrong.write_text("00" * 32)
    wrong.chmod(stat.S_IRUSR)
    port = f"127.0.0.1:{free_port()}"
    by = lambda way: configure(store=copy, unlock=f"[unlock]\n{way}", address=port)
    refused(LOCKED, by(f'key_file = "{wrong}"'), "wrong key file")
    refused(LOCKED, by(f'key_file = "{missing}"'), "cannot read the key file")
    refused(LOCKED, by('credential = "unlock-key"'), "no slot for a credential")
    wrong.chmod(0o644)
    refused(LOCKED, by(f'key_file = "{wrong}"'), "others could read it")


def check_passphrase(kmsd, *_):
    store, port = kmsd.work / "by-passphrase", f"127.0.0.1:{free_port()}"
    config = kmsd.configure(name="pass.toml", store=store, address=port,
                            unlock="[unlock]\npassphrase_fd = 0")
    start = lambda: subprocess.Popen([BIN / "kmsd", "--config", config], stdin=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
    for _ in range(2):
        first = start()
        first.stdin.write(b"correct horse\n")
        first.stdin.close()
        for line in first.stderr:
            if b"kmsd is ready" in line:
                break
        first.terminate()
        assert first.wait(30) == OK
        first.stderr.close()
    refused(LOCKED, config, "wrong passphrase", input="wrong horse\n")
    refused(LOCKED, config, "empty", input="\n")


def check_stop(kmsd, *_):
    assert kmsd.stop() == OK
    assert not kmsd.socket.exists()
    kmsd.start()


def check_no_secrets_in_sight(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    marker = b"planted-plaintext-marker"
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key_id, Plaintext=marker)
    fresh = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256")["Plaintext"]
    fails("InvalidSignatureException", kmsd.client(key, secret + "x").list_keys)
    shown = [secret.encode(), marker, base64.b64encode(marker), fresh, fresh.hex().encode(),
             base64.b64encode(fresh)]
    seen = 0
    for path in [kmsd.log, *(kmsd.work / "store").rglob("*")]:
        if path.is_file():
            seen += 1
            content = path.read_bytes()
            for word in shown:
                assert word not in content, f"{path} shows a secret"
    assert seen > 3, "the log, the store and the audit trail were looked at"


CHECKS = [
    check_vectors, check_cli, check_boto3, check_many_at_once, check_wrong_secret,
    check_unknown_access_key, check_stale_date, check_scope, check_changed_requests,
    check_malformed_requests, check_policy_decides, check_survives_kill, check_bad_starts,
    check_passphrase, check_stop, operations.check_every_operation,
    operations.check_openssl_on_the_other_side, operations.check_who_am_i, roles.check_roles,
    *interop.CHECKS, tls.check_tls, tls.check_dev, keystores.check_key_stores, check_no_secrets_in_sight,
]


def main():
    passed = failed = 0
    # Short: the path of a Unix socket has 107 characters at most.
    with tempfile.TemporaryDirectory(dir="/tmp") as work:
        kmsd = Kmsd(pathlib.Path(work))
        try:
            kmsd.start()
            key, secret = kmsd.access_key(login())
            for check in CHECKS:
                begun = time.monotonic()
                try:
                    check(kmsd, key, secret)
                    passed += 1
                    word = "ok"
                except Exception as error:
                    failed += 1
                    word = f"FAILED: {type(error).__name__}: {error}"
                    if kmsd.process.poll() is not None:
                        kmsd.start()
                print(f"{check.__name__} ({time.monotonic() - begun:.1f} s): {word}", flush=True)
        finally:
            if kmsd.process and kmsd.process.poll() is None:
                kmsd.stop()
            if failed:
                print(kmsd.log.read_text()[-4000:], file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
