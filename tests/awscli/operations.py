"""Every operation of botocore's KMS model, once through boto3 and once through the AWS CLI, and
openssl on the other side of every signature and import. Prints a coverage table."""

import base64
import json
import pathlib
import subprocess
import uuid

import boto3
import botocore
import botocore.exceptions
import botocore.loaders

GRANTEE = "arn:aws:iam::111122223333:user/grantee"
# What a service without HSM cluster answers.
NOT_OFFERED = {
    "CreateCustomKeyStore": "CloudHsmClusterNotFoundException",
    "ConnectCustomKeyStore": "CustomKeyStoreNotFoundException",
    "DeleteCustomKeyStore": "CustomKeyStoreNotFoundException",
    "DisconnectCustomKeyStore": "CustomKeyStoreNotFoundException",
    "UpdateCustomKeyStore": "CustomKeyStoreNotFoundException",
}


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True)
    if done.returncode:
        raise AssertionError(f"openssl {words[0]}: {done.stderr.decode()}")
    return done.stdout


def newest_model(work):
    """A directory from which an older AWS CLI takes botocore's service model of KMS."""
    place = work / "models" / "kms" / "2014-11-01"
    if not place.exists():
        place.mkdir(parents=True)
        model = botocore.loaders.Loader().load_service_model("kms", "service-2")
        (place / "service-2.json").write_text(json.dumps(model))
    return work / "models"


class Bench:
    """Keys of every kind, and the arguments of one good call per operation."""

    def __init__(self, kms, work):
        self.kms, self.work = kms, pathlib.Path(work)
        make = lambda **words: kms.create_key(**words)["KeyMetadata"]["KeyId"]
        self.key = make()
        self.signing = make(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.agreeing = make(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
        self.kem = make(KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE")
        self.mac = make(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        self.make = make

    def grant(self):
        return self.kms.create_grant(
            KeyId=self.key, GranteePrincipal=GRANTEE, Operations=["Decrypt"])["GrantId"]

    def alias(self):
        name = f"alias/{uuid.uuid4()}"
        self.kms.create_alias(AliasName=name, TargetKeyId=self.key)
        return name

    def doomed(self):
        key = self.make()
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        return key

    def replicated(self):
        key = self.make(MultiRegion=True)
        self.kms.replicate_key(KeyId=key, ReplicaRegion="local-2")
        return key

    def imported(self, operation):
        key = self.make(Origin="EXTERNAL")
        if operation == "GetParametersForImport":
            return dict(KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                        WrappingKeySpec="RSA_2048")
        body = wrapped(self.kms, self.work, key, bytes(32), "RSAES_OAEP_SHA_256")
        if operation == "ImportKeyMaterial":
            return body
        self.kms.import_key_material(**body)
        return dict(KeyId=key)

    def arguments(self, operation):
        kms, key = self.kms, self.key
        only_key = dict(KeyId=key)
        blob = lambda: kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        sign = dict(KeyId=self.signing, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
        mac = dict(KeyId=self.mac, Message=b"m", MacAlgorithm="HMAC_SHA_256")
        pair = dict(KeyId=key, KeyPairSpec="ECC_NIST_P256")
        store = dict(CustomKeyStoreId="cks-1234567890abcdef0")
        table = {
            "CancelKeyDeletion": lambda: dict(KeyId=self.doomed()),
            "ConnectCustomKeyStore": lambda: store,
            "CreateAlias": lambda: dict(AliasName=f"alias/{uuid.uuid4()}", TargetKeyId=key),
            "CreateCustomKeyStore": lambda: dict(
                CustomKeyStoreName="s", CloudHsmClusterId="cluster-2a23b4cdefg",
                TrustAnchorCertificate="PEM", KeyStorePassword="password"),
            "CreateGrant": lambda: dict(KeyId=key, GranteePrincipal=GRANTEE,
                                        Operations=["Decrypt"]),
            "CreateKey": dict,
            "Decapsulate": lambda: dict(
                KeyId=self.kem, EncapsulationAlgorithm="ML_KEM",
                SharedSecretCiphertextBlob=kms.encapsulate(
                    KeyId=self.kem, EncapsulationAlgorithm="ML_KEM")["SharedSecretCiphertextBlob"]),
            "Decrypt": lambda: dict(CiphertextBlob=blob()),
            "DeleteAlias": lambda: dict(AliasName=self.alias()),
            "DeleteCustomKeyStore": lambda: store,
            "DeleteImportedKeyMaterial": lambda: self.imported("DeleteImportedKeyMaterial"),
            "DeriveSharedSecret": lambda: dict(
                KeyId=self.agreeing, KeyAgreementAlgorithm="ECDH",
                PublicKey=kms.get_public_key(KeyId=self.agreeing)["PublicKey"]),
            "DescribeCustomKeyStores": dict,
            "DisableKey": lambda: dict(KeyId=self.make()),
            "DisconnectCustomKeyStore": lambda: store,
            "Encapsulate": lambda: dict(KeyId=self.kem, EncapsulationAlgorithm="ML_KEM"),
            "Encrypt": lambda: dict(KeyId=key, Plaintext=b"x"),
            "GenerateDataKey": lambda: dict(KeyId=key, KeySpec="AES_256"),
            "GenerateDataKeyWithoutPlaintext": lambda: dict(KeyId=key, KeySpec="AES_256"),
            "GenerateDataKeyPair": lambda: pair,
            "GenerateDataKeyPairWithoutPlaintext": lambda: pair,
            "GenerateMac": lambda: mac,
            "GenerateRandom": lambda: dict(NumberOfBytes=8),
            "GetParametersForImport": lambda: self.imported("GetParametersForImport"),
            "GetPublicKey": lambda: dict(KeyId=self.signing),
            "ImportKeyMaterial": lambda: self.imported("ImportKeyMaterial"),
            "ListAliases": dict,
            "ListKeys": dict,
            "ListRetirableGrants": lambda: dict(RetiringPrincipal=GRANTEE),
            "PutKeyPolicy": lambda: dict(
                KeyId=key, PolicyName="default",
                Policy=kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
            "GetKeyPolicy": lambda: dict(KeyId=key, PolicyName="default"),
            "ReEncrypt": lambda: dict(CiphertextBlob=blob(), DestinationKeyId=key),
            "ReplicateKey": lambda: dict(
                KeyId=self.make(MultiRegion=True), ReplicaRegion="local-2"),
            "RetireGrant": lambda: dict(
                KeyId=kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"], GrantId=self.grant()),
            "RevokeGrant": lambda: dict(KeyId=key, GrantId=self.grant()),
            "ScheduleKeyDeletion": lambda: dict(KeyId=self.make(), PendingWindowInDays=7),
            "Sign": lambda: sign,
            "TagResource": lambda: dict(KeyId=key, Tags=[dict(TagKey="a", TagValue="b")]),
            "UntagResource": lambda: dict(KeyId=key, TagKeys=["a"]),
            "UpdateAlias": lambda: dict(AliasName=self.alias(), TargetKeyId=key),
            "UpdateCustomKeyStore": lambda: store,
            "UpdateKeyDescription": lambda: dict(KeyId=key, Description="d"),
            "UpdatePrimaryRegion": lambda: dict(KeyId=self.replicated(), PrimaryRegion="local-2"),
            "Verify": lambda: dict(**sign, Signature=kms.sign(**sign)["Signature"]),
            "VerifyMac": lambda: dict(**mac, Mac=kms.generate_mac(**mac)["Mac"]),
        }
        return table.get(operation, lambda: only_key)()


def wrapped(kms, work, key, material, algorithm):
    """Wraps material with openssl; without end."""
    got = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_3072")
    public = work / "wrapping.der"
    public.write_bytes(got["PublicKey"])
    digest = "sha1" if algorithm.endswith("SHA_1") else "sha256"
    oaep = lambda data: openssl(
        "pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-keyform", "DER",
        "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}",
        "-pkeyopt", f"rsa_mgf1_md:{digest}", data=data)
    if algorithm.startswith("RSAES"):
        sealed = oaep(material)
    else:
        kek = openssl("rand", 32)
        sealed = oaep(kek) + openssl("enc", "-id-aes256-wrap-pad", "-e", "-K", kek.hex(),
                                     "-iv", "a65959a6", data=material)
    return dict(KeyId=key, ImportToken=got["ImportToken"], EncryptedKeyMaterial=sealed,
                ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")


def check_every_operation(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    bench = Bench(kms, kmsd.work)
    model = kms.meta.service_model
    wrong, rows = [], []
    for operation in model.operation_names:
        expected = NOT_OFFERED.get(operation, "ok")
        method = getattr(kms, botocore.xform_name(operation))
        try:
            method(**bench.arguments(operation))
            by_boto = "ok"
        except botocore.exceptions.ClientError as error:
            by_boto = error.response["Error"]["Code"]
        by_cli = through_cli(kmsd, key, secret, operation, bench.arguments(operation))
        rows.append((operation, by_boto, by_cli))
        if (by_boto, by_cli) != (expected, expected):
            wrong.append((operation, expected, by_boto, by_cli))
    print(f"  {'operation':38}{'boto3':36}AWS CLI")
    for row in rows:
        print(f"  {row[0]:38}{row[1]:36}{row[2]}")
    assert not wrong, wrong


def through_cli(kmsd, key, secret, operation, arguments):
    plain = {name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
             for name, value in arguments.items()}
    path = kmsd.work / "input.json"
    path.write_text(json.dumps(plain))
    words = [botocore.xform_name(operation, "-"), "--cli-input-json", f"file://{path}"]
    try:
        kmsd.cli(key, secret, *words)
        return "ok"
    except Exception as error:
        text = str(error)
        return text.partition("(")[2].partition(")")[0] or text


SIGNING = [
    ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "sha256", "pkcs1"),
    ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_384", "sha384", "pkcs1"),
    ("RSA_3072", "RSASSA_PKCS1_V1_5_SHA_512", "sha512", "pkcs1"),
    ("RSA_2048", "RSASSA_PSS_SHA_256", "sha256", "pss"),
    ("RSA_3072", "RSASSA_PSS_SHA_384", "sha384", "pss"),
    ("RSA_4096", "RSASSA_PSS_SHA_512", "sha512", "pss"),
    ("ECC_NIST_P256", "ECDSA_SHA_256", "sha256", None),
    ("ECC_NIST_P384", "ECDSA_SHA_384", "sha384", None),
    ("ECC_NIST_P521", "ECDSA_SHA_512", "sha512", None),
    ("ECC_SECG_P256K1", "ECDSA_SHA_256", "sha256", None),
]
GENERATE = {
    "RSA_2048": ("RSA", "rsa_keygen_bits:2048"), "RSA_3072": ("RSA", "rsa_keygen_bits:3072"),
    "RSA_4096": ("RSA", "rsa_keygen_bits:4096"), "ECC_NIST_P256": ("EC", "ec_paramgen_curve:P-256"),
    "ECC_NIST_P384": ("EC", "ec_paramgen_curve:P-384"),
    "ECC_NIST_P521": ("EC", "ec_paramgen_curve:P-521"),
    "ECC_SECG_P256K1": ("EC", "ec_paramgen_curve:secp256k1"),
}


def check_openssl_on_the_other_side(kmsd, key, secret):
    """openssl makes the key, wraps it for the import, signs for kmsd to verify, and verifies what
    kmsd signed."""
    kms, work = kmsd.client(key, secret), kmsd.work
    message, data, signature = b"a message", work / "message", work / "signature"
    data.write_bytes(message)
    keys = {}
    for spec, algorithm, digest, padding in SIGNING:
        if spec not in keys:
            kind, option = GENERATE[spec]
            private = work / f"{spec}.der"
            private.write_bytes(openssl("genpkey", "-algorithm", kind, "-pkeyopt", option,
                                        "-outform", "DER"))
            made = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY", Origin="EXTERNAL")
            key_id = made["KeyMetadata"]["KeyId"]
            pkcs8 = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER",
                            "-in", private)
            kms.import_key_material(
                **wrapped(kms, work, key_id, pkcs8, "RSA_AES_KEY_WRAP_SHA_256"))
            public = work / f"{spec}.pub"
            public.write_bytes(kms.get_public_key(KeyId=key_id)["PublicKey"])
            keys[spec] = key_id, private, public
        key_id, private, public = keys[spec]
        extra = []
        if padding == "pss":
            extra = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        asked = dict(KeyId=key_id, Message=message, SigningAlgorithm=algorithm)
        signature.write_bytes(kms.sign(**asked)["Signature"])
        openssl("dgst", f"-{digest}", "-verify", public, "-keyform", "DER", *extra,
                "-signature", signature, data)
        theirs = openssl("dgst", f"-{digest}", "-sign", private, "-keyform", "DER", *extra, data)
        assert kms.verify(**asked, Signature=theirs)["SignatureValid"], algorithm
        hashed = openssl("dgst", f"-{digest}", "-binary", data)
        by_digest = dict(asked, Message=hashed, MessageType="DIGEST")
        assert kms.verify(**by_digest, Signature=theirs)["SignatureValid"], algorithm
        for bad in (theirs[:-1], theirs + b"\0", bytes([theirs[0] ^ 1]) + theirs[1:], b"\0"):
            try:
                kms.verify(**asked, Signature=bad)
                raise AssertionError(f"{algorithm}: a bad signature was verified")
            except kms.exceptions.KMSInvalidSignatureException:
                pass


def check_who_am_i(kmsd, key, secret):
    sts = boto3.client(
        "sts", region_name=kmsd.client(key, secret).meta.region_name, aws_access_key_id=key,
        aws_secret_access_key=secret, endpoint_url=f"http://127.0.0.1:{kmsd.port}")
    told = sts.get_caller_identity()
    assert told["Account"] == "111122223333" and ":user/" in told["Arn"], told
