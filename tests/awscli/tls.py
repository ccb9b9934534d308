"""kmsd on a network: TLS, what an account may ask and have, and `kmsd dev` beside it."""

import http.client
import re
import socket
import ssl
import subprocess
import time

import boto3
import botocore.config
import botocore.exceptions

from operations import openssl

ACCOUNT = "111122223333"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(place):
    place.mkdir()
    cert, key = place / "cert.pem", place / "key.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", cert, "-days", 2, "-subj", "/CN=kmsd",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    key.chmod(0o600)
    return cert, key


def configuration(kmsd, place, port, more):
    path = place / "kmsd.toml"
    path.write_text(
        f'administrators = ["root"]\n'
        f'[store]\ndir = "{place / "store"}"\n[unix]\npath = "{place / "s"}"\n'
        f'[http]\naddress = "0.0.0.0:{port}"\n{more}\n')
    return path


def refused(kmsd, config, words):
    done = subprocess.run([kmsd.bin / "kmsd", "--config", config], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 2 and words in done.stderr, (done.returncode, done.stderr)


def check_tls(kmsd, *_):
    place = kmsd.work / "tls"
    cert, key = certificate(place)
    port = free_port()
    files = f'certificate = "{cert}"\nkey = "{key}"'
    limits = "[limits]\nkeys = 2\ncryptographic_rate = 5"
    refused(kmsd, configuration(kmsd, place, port, ""), "give certificate and key")
    refused(kmsd, configuration(kmsd, place, port, f'certificate = "{cert}"'), "go together")
    key.chmod(0o644)
    refused(kmsd, configuration(kmsd, place, port, files), "can be read by all users")
    key.chmod(0o600)
    config = configuration(kmsd, place, port, f"{files}\n{limits}")
    with open(place / "log", "wb") as log:
        process = subprocess.Popen([kmsd.bin / "kmsd", "--config", config], stderr=log)
    try:
        trust = ssl.create_default_context(cafile=str(cert))
        wait_for(process, lambda: http.client.HTTPSConnection("127.0.0.1", port, context=trust))
        here(kmsd, place, port, cert)
        old = ssl.create_default_context(cafile=str(cert))
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
        wait_for(process, lambda: http.client.HTTPSConnection("127.0.0.1", port, context=old))
        for words in ("-tls1", "-tls1_1"):
            failed = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", words,
                 "-cipher", "DEFAULT@SECLEVEL=0"], input=b"", capture_output=True)
            assert failed.returncode, f"{words} was agreed on"
        # Plain HTTP gets nothing at all.
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"HTTP" not in plain.recv(100)
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, (place / "log").read_text()


def wait_for(process, connect):
    for _ in range(200):
        try:
            connection = connect()
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            return
        except ConnectionError:
            assert process.poll() is None, "kmsd ended"
            time.sleep(0.05)
    raise AssertionError("kmsd does not answer")


def here(kmsd, place, port, cert):
    made = subprocess.run(
        [kmsd.bin / "kmsfs", "--json", "iam", "create-access-key", "--user", "root",
         "--kms", f"unix:{place / 's'}"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r'"(?:access_key_id|secret_access_key)":\s*"([^"]+)"', made)
    settings = botocore.config.Config(retries={"total_max_attempts": 1})
    kms = boto3.client("kms", region_name="local-1", endpoint_url=f"https://127.0.0.1:{port}",
                       aws_access_key_id=found[0], aws_secret_access_key=found[1], verify=str(cert),
                       config=settings)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_key()
    fails("LimitExceededException", kms.create_key)
    seal = lambda: kms.encrypt(KeyId=key, Plaintext=b"x")
    fails("ThrottlingException", lambda: [seal() for _ in range(100)])
    time.sleep(1.1)
    assert seal()["CiphertextBlob"]


def fails(name, what):
    try:
        what()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == name, error
        return
    raise AssertionError(f"it succeeded instead of failing with {name}")


def check_dev(kmsd, *_):
    """Ready in under 100 ms, with accounts that see nothing of each other."""
    best = None
    for _ in range(5):
        begun = time.monotonic()
        process = subprocess.Popen(
            [kmsd.bin / "kmsd", "dev", "--account", ACCOUNT, "--account", "444455556666",
             "--region", "us-east-1", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        told = [process.stdout.readline() for _ in range(10)]
        port = int(re.search(r":(\d+)$", told[0].strip()).group(1))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        took = time.monotonic() - begun
        best = took if best is None else min(best, took)
        apart(told, port)
        process.terminate()
        assert process.wait(30) == 0
    print(f"  kmsd dev answered after {best * 1000:.0f} ms")
    assert best < 0.1, best


def apart(told, port):
    values = re.findall(r"export (AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY))=(\S+)", "".join(told))
    clients = []
    for (_, key), (_, secret) in zip(values[::2], values[1::2]):
        clients.append(boto3.client(
            "kms", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=key, aws_secret_access_key=secret))
    made = clients[1].create_key()["KeyMetadata"]
    assert made["AWSAccountId"] == "444455556666"
    assert not clients[0].list_keys()["Keys"] and len(clients[1].list_keys()["Keys"]) == 1
