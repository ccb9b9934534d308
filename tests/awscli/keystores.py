"""Custom key stores over the wire, against a `kmsd dev`, which imagines what stands behind them."""

import contextlib
import re
import subprocess

import boto3
import botocore.exceptions

ACCOUNT = "123456789012"
CLUSTER = dict(CloudHsmClusterId="cluster-2a23b4cdefg", TrustAnchorCertificate="PEM",
               KeyStorePassword="password")
PROXY = dict(
    CustomKeyStoreType="EXTERNAL_KEY_STORE", XksProxyConnectivity="PUBLIC_ENDPOINT",
    XksProxyUriEndpoint="https://xks.example", XksProxyUriPath="/kms/xks/v1",
    XksProxyAuthenticationCredential=dict(AccessKeyId="ABCDEFGHIJKLMNOPQRST", RawSecretAccessKey="s" * 43))


@contextlib.contextmanager
def dev(kmsd):
    """boto3 for an account of a `kmsd dev`."""
    process = subprocess.Popen(
        [kmsd.bin / "kmsd", "dev", "--account", ACCOUNT, "--region", "us-east-1", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, text=True)
    try:
        told = "".join(process.stdout.readline() for _ in range(7))
        values = dict(re.findall(r"^export (\w+)=(\S+)$", told, re.M))
        yield boto3.client(
            "kms", region_name="us-east-1", endpoint_url=values["AWS_ENDPOINT_URL_KMS"],
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"])
    finally:
        process.terminate()
        assert process.wait(30) == 0


def refused(call, **members):
    try:
        call(**members)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("it was allowed")


def check_key_stores(kmsd, *_):
    """Every operation on a custom key store, and the keys within."""
    with dev(kmsd) as kms:
        hsm = kms.create_custom_key_store(CustomKeyStoreName="hsm", **CLUSTER)["CustomKeyStoreId"]
        xks = kms.create_custom_key_store(CustomKeyStoreName="xks", **PROXY)["CustomKeyStoreId"]
        assert refused(kms.create_custom_key_store, CustomKeyStoreName="hsm", **CLUSTER) == \
            "CustomKeyStoreNameInUseException"
        told = {s["CustomKeyStoreId"]: s for s in kms.describe_custom_key_stores()["CustomKeyStores"]}
        assert set(told) == {hsm, xks}
        assert told[hsm]["CloudHsmClusterId"] == CLUSTER["CloudHsmClusterId"]
        assert told[xks]["XksProxyConfiguration"]["UriPath"] == "/kms/xks/v1"
        assert "RawSecretAccessKey" not in str(told) and "password" not in str(told)
        key = dict(CustomKeyStoreId=hsm, Origin="AWS_CLOUDHSM")
        assert refused(kms.create_key, **key) == "CustomKeyStoreInvalidStateException"
        for store in (hsm, xks):
            kms.connect_custom_key_store(CustomKeyStoreId=store)
        made = kms.create_key(**key)["KeyMetadata"]
        assert (made["CustomKeyStoreId"], made["Origin"]) == (hsm, "AWS_CLOUDHSM"), made
        other = kms.create_key(CustomKeyStoreId=xks, Origin="EXTERNAL_KEY_STORE", XksKeyId="k1")
        assert other["KeyMetadata"]["XksKeyConfiguration"]["Id"] == "k1"
        for key_id in (made["KeyId"], other["KeyMetadata"]["KeyId"]):
            sealed = kms.encrypt(KeyId=key_id, Plaintext=b"hello")["CiphertextBlob"]
            assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
        assert len(kms.generate_random(NumberOfBytes=16, CustomKeyStoreId=hsm)["Plaintext"]) == 16
        kms.update_custom_key_store(CustomKeyStoreId=xks, NewCustomKeyStoreName="renamed")
        kms.disconnect_custom_key_store(CustomKeyStoreId=xks)
        assert refused(kms.decrypt, CiphertextBlob=sealed) == "KMSInvalidStateException"
        state = kms.describe_key(KeyId=other["KeyMetadata"]["KeyId"])["KeyMetadata"]["KeyState"]
        assert state == "Unavailable", state
        assert refused(kms.delete_custom_key_store, CustomKeyStoreId=xks) == "CustomKeyStoreHasCMKsException"
        empty = kms.create_custom_key_store(
            CustomKeyStoreName="empty", **{**CLUSTER, "CloudHsmClusterId": "cluster-zzzzzzzzzzz"})
        kms.delete_custom_key_store(**{k: v for k, v in empty.items() if k == "CustomKeyStoreId"})
        assert refused(kms.describe_custom_key_stores, CustomKeyStoreName="empty") == \
            "CustomKeyStoreNotFoundException"
