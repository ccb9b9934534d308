"""The same algorithms in other hands: openssl wraps every import; `cryptography` and `pycryptodome` (Debian's
openssl has none of ML-DSA, ML-KEM and Ed25519ph) sign, verify and encapsulate against kmsd; and input made to
trip up verifiers is refused."""

import hashlib
import itertools

import botocore.exceptions
from Crypto.Hash import SHA512
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from operations import openssl

ORDERS = {
    "ECC_NIST_P256": 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    "ECC_NIST_P384": 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
    "ECC_NIST_P521": int("1ff" + "f" * 63 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16),
    "ECC_SECG_P256K1": 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141,
}
HASHES = {"ECC_NIST_P256": 256, "ECC_NIST_P384": 384, "ECC_NIST_P521": 512, "ECC_SECG_P256K1": 256}
MESSAGE = b"in other hands"
EDWARDS_ORDER = 2**252 + 27742317777372353535851937790883648493


def outcome(what, **words):
    try:
        what(**words)
        return "ok"
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


def make(kms, spec, usage="SIGN_VERIFY", **more):
    key = kms.create_key(KeySpec=spec, KeyUsage=usage, **more)["KeyMetadata"]["KeyId"]
    if more.get("Origin"):
        return key, None
    der = kms.get_public_key(KeyId=key)["PublicKey"]
    # What no other library reads as a whole is looked at by its last bytes.
    return key, der


def loaded(der):
    return serialization.load_der_public_key(der)


# ---- the same algorithm on the other side

def check_edwards(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    key, der = make(kms, "ECC_NIST_EDWARDS25519")
    plain = dict(KeyId=key, Message=MESSAGE, SigningAlgorithm="ED25519_SHA_512")
    signature = kms.sign(**plain)["Signature"]
    loaded(der).verify(signature, MESSAGE)
    digest = hashlib.sha512(MESSAGE).digest()
    hashed = dict(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ED25519_PH_SHA_512")
    pre = kms.sign(**hashed)["Signature"]
    eddsa.new(ECC.import_key(der), "rfc8032").verify(SHA512.new(MESSAGE), pre)
    # Each only with its own type of message, and neither for the other.
    assert outcome(kms.sign, **dict(hashed, MessageType="RAW")) == "ValidationException"
    assert outcome(kms.sign, **dict(plain, MessageType="DIGEST", Message=digest)) == "ValidationException"
    assert outcome(kms.sign, **dict(hashed, Message=digest[:-1])) == "ValidationException"
    invalid = "KMSInvalidSignatureException"
    assert outcome(kms.verify, **hashed, Signature=pre) == "ok"
    assert outcome(kms.verify, **hashed, Signature=signature) == invalid
    assert outcome(kms.verify, **plain, Signature=pre) == invalid
    s = int.from_bytes(signature[32:], "little")
    bent = [signature[:32] + (s + EDWARDS_ORDER).to_bytes(32, "little"), signature[:32] + bytes(32),
            bytes(64), b"\x01" + bytes(63), signature[:-1], signature + b"\0", b"\0",
            *flipped(signature)]
    for bad in bent:
        assert outcome(kms.verify, **plain, Signature=bad) == invalid, bad.hex()
    for bad in [pre[:-1], pre + b"\0", bytes(64), *flipped(pre)]:
        assert outcome(kms.verify, **hashed, Signature=bad) == invalid, bad.hex()


def check_ml_dsa(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    for spec in ("ML_DSA_44", "ML_DSA_65", "ML_DSA_87"):
        key, der = make(kms, spec)
        public = loaded(der)
        raw = dict(KeyId=key, Message=MESSAGE, SigningAlgorithm="ML_DSA_SHAKE_256")
        signature = kms.sign(**raw)["Signature"]
        public.verify(signature, MESSAGE)
        hasher = mldsa.MLDSAMuHasher(public)
        hasher.update(MESSAGE)
        mu = hasher.finalize()
        outside = dict(raw, Message=mu, MessageType="EXTERNAL_MU")
        by_mu = kms.sign(**outside)["Signature"]
        # One signature, whoever made the representative.
        public.verify(by_mu, MESSAGE)
        public.verify_mu(signature, mu)
        for asked, good in itertools.product((raw, outside), (signature, by_mu)):
            assert outcome(kms.verify, **asked, Signature=good) == "ok", spec
        for bad in [signature[:-1], signature + b"\0", bytes(len(signature)), b"\0", *flipped(signature)]:
            for asked in (raw, outside):
                assert outcome(kms.verify, **asked, Signature=bad) == "KMSInvalidSignatureException", spec
        other = dict(outside, Message=bytes([mu[0] ^ 1]) + mu[1:])
        assert outcome(kms.verify, **other, Signature=by_mu) == "KMSInvalidSignatureException"
        assert outcome(kms.sign, **dict(outside, Message=mu[:-1])) == "ValidationException"
        assert outcome(kms.sign, **dict(raw, MessageType="DIGEST", Message=mu)) == "ValidationException"


def check_ml_kem(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    words = dict(EncapsulationAlgorithm="ML_KEM")
    for spec, theirs in (("ML_KEM_512", None), ("ML_KEM_768", mlkem.MLKEM768PrivateKey),
                         ("ML_KEM_1024", mlkem.MLKEM1024PrivateKey)):
        key, der = make(kms, spec, "ENCAPSULATE_DECAPSULATE")
        made = kms.encapsulate(KeyId=key, **words)
        opened = kms.decapsulate(KeyId=key, SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"], **words)
        assert made["SharedSecret"] == opened["SharedSecret"] and len(made["SharedSecret"]) == 32
        sealed = made["SharedSecretCiphertextBlob"]
        bent = kms.decapsulate(KeyId=key, SharedSecretCiphertextBlob=next(flipped(sealed)), **words)
        assert bent["SharedSecret"] != made["SharedSecret"], "another secret, not an error"
        for bad in (sealed[:-1], sealed + b"\0", b"\0"):
            got = outcome(kms.decapsulate, KeyId=key, SharedSecretCiphertextBlob=bad, **words)
            assert got == "InvalidCiphertextException", got
        if theirs:
            shared, blob = loaded(der).encapsulate()
            got = kms.decapsulate(KeyId=key, SharedSecretCiphertextBlob=blob, **words)
            assert got["SharedSecret"] == shared, spec
        symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
        pair = kms.generate_data_key_pair(KeyId=symmetric, KeyPairSpec=spec)
        blob = pair["PrivateKeyCiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == pair["PrivateKeyPlaintext"]


def flipped(data):
    for at in (0, len(data) // 2, len(data) - 1):
        yield data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:]


# ---- imports

def check_every_wrapping(kmsd, key, secret):
    """Material of each kind under each wrapping that takes it, wrapped by openssl."""
    kms, work = kmsd.client(key, secret), kmsd.work
    rsa = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER")
    p256 = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER")
    pkcs8 = lambda der: openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", data=der)
    kinds = [("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", bytes(range(32)), "RSAES_OAEP"),
             ("HMAC_512", "GENERATE_VERIFY_MAC", bytes(range(64)), "RSAES_OAEP"),
             ("ECC_NIST_P256", "SIGN_VERIFY", pkcs8(p256), "RSAES_OAEP"),
             ("ECC_NIST_P256", "SIGN_VERIFY", pkcs8(p256), "RSA_AES_KEY_WRAP"),
             ("RSA_2048", "SIGN_VERIFY", pkcs8(rsa), "RSA_AES_KEY_WRAP")]
    for (spec, usage, material, family), digest in itertools.product(kinds, ("1", "256")):
        for wrapping in ("RSA_2048", "RSA_3072", "RSA_4096"):
            key, _ = make(kms, spec, usage, Origin="EXTERNAL")
            asked = dict(KeyId=key, WrappingAlgorithm=f"{family}_SHA_{digest}", WrappingKeySpec=wrapping)
            got = kms.get_parameters_for_import(**asked)
            words = dict(KeyId=key, ImportToken=got["ImportToken"],
                         ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
            sealed = wrap(work, got["PublicKey"], material, family, f"sha{digest}")
            other = wrap(work, got["PublicKey"], material, family, "sha256" if digest == "1" else "sha1")
            for bad in (other, sealed[:-1], sealed + b"\0", *flipped(sealed), b"\0"):
                code = outcome(kms.import_key_material, **words, EncryptedKeyMaterial=bad)
                assert code == "InvalidCiphertextException", (asked, code)
            kms.import_key_material(**words, EncryptedKeyMaterial=sealed)
            assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled", asked


def wrap(work, public, material, family, digest):
    path = work / "wrapping.der"
    path.write_bytes(public)
    oaep = lambda data: openssl(
        "pkeyutl", "-encrypt", "-pubin", "-inkey", path, "-keyform", "DER", "-pkeyopt",
        "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}", "-pkeyopt", f"rsa_mgf1_md:{digest}", data=data)
    if family == "RSAES_OAEP":
        return oaep(material)
    kek = openssl("rand", 32)
    return oaep(kek) + openssl("enc", "-id-aes256-wrap-pad", "-e", "-K", kek.hex(), "-iv", "a65959a6", data=material)


# ---- what must be refused

def integer(value, more=b""):
    size = max(1, (value.bit_length() + 8) // 8)
    body = more + value.to_bytes(size, "big", signed=value < 0)
    return b"\x02" + length(len(body)) + body


def length(count):
    return bytes([count]) if count < 128 else bytes([0x81, count]) if count < 256 else bytes([0x82, count >> 8, count & 255])


def long_length(body):
    """A sequence whose length takes a byte more than it needs."""
    shortest = length(len(body))
    digits = shortest[1:] if len(shortest) > 1 else shortest
    return bytes([0x30, 0x81 + len(digits)]) + b"\0" + digits + body


def sequence(*parts):
    body = b"".join(parts)
    return b"\x30" + length(len(body)) + body


def check_bent_ecdsa(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    for spec, n in ORDERS.items():
        key, der = make(kms, spec)
        bits = HASHES[spec]
        asked = dict(KeyId=key, Message=MESSAGE, SigningAlgorithm=f"ECDSA_SHA_{bits}")
        good = kms.sign(**asked)["Signature"]
        loaded(der).verify(good, MESSAGE, ec.ECDSA(getattr(hashes, f"SHA{bits}")()))
        r, s = decode_dss_signature(good)
        # n - s signs too, for everybody: kmsd says what the others say.
        assert outcome(kms.verify, **asked, Signature=sequence(integer(r), integer(n - s))) == "ok"
        pairs = [(0, s), (r, 0), (0, 0), (1, 0), (0, 1), (n, s), (r, n), (n, n), (n + r, s), (r, n + s), (1, 1),
                 (n - 1, n - 1), (n + 1, s), (r, n + 1), (-r, s), (r, -s), (s, r), (2 ** 600, s)]
        R, S = integer(r), integer(s)
        bent = [sequence(integer(a), integer(b)) for a, b in pairs] + [
            sequence(R), sequence(R, S, S), sequence(), sequence(R, S) + b"\0", sequence(R, S, b"\0"),
            sequence(integer(r, b"\0"), S), sequence(R, integer(s, b"\0\0")),
            long_length(R + S),
            b"\x30\x80" + R + S + b"\0\0", b"\x31" + good[1:], sequence(b"\x03" + R[1:], S), good[:-1], good[1:],
            good + b"\0", bytes(len(good)), b"\x05\x00", b"\0", r.to_bytes(66, "big") + s.to_bytes(66, "big"), *flipped(good)]
        for bad in bent:
            got = outcome(kms.verify, **asked, Signature=bad)
            assert got == "KMSInvalidSignatureException", (spec, bad.hex(), got)
        assert outcome(kms.verify, **dict(asked, Message=MESSAGE + b"."), Signature=good) != "ok"


def check_bent_rsa(kmsd, key, secret):
    """A key whose private half is here too, so that paddings can be made wrong in every way."""
    kms, work = kmsd.client(key, secret), kmsd.work
    pem = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    private = serialization.load_pem_private_key(pem, None)
    numbers = private.private_numbers()
    n, d = numbers.public_numbers.n, numbers.d
    der = private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    ids = {}
    for usage in ("SIGN_VERIFY", "ENCRYPT_DECRYPT"):
        ids[usage], _ = make(kms, "RSA_2048", usage, Origin="EXTERNAL")
        got = kms.get_parameters_for_import(KeyId=ids[usage], WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256",
                                            WrappingKeySpec="RSA_2048")
        kms.import_key_material(KeyId=ids[usage], ImportToken=got["ImportToken"],
                                EncryptedKeyMaterial=wrap(work, got["PublicKey"], der, "RSA_AES_KEY_WRAP", "sha256"),
                                ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    raw = lambda block: pow(int.from_bytes(block, "big"), d, n).to_bytes(256, "big")
    digest = hashlib.sha256(MESSAGE).digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    block = lambda info, fill=b"\xff", kind=b"\x01", head=b"\0": (
        head + kind + fill * (256 - 3 - len(info) - len(digest)) + b"\0" + info + digest)
    asked = dict(KeyId=ids["SIGN_VERIFY"], Message=MESSAGE, SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256")
    good = raw(block(info))
    assert outcome(kms.verify, **asked, Signature=good) == "ok"
    short = b"\0\x01" + b"\xff" * 8 + b"\0" + info + digest
    value = int.from_bytes(good, "big")
    bent = [raw(block(info, b"\xfe")), raw(block(info, kind=b"\x02")), raw(block(info, kind=b"\x00")),
            raw(short + bytes(256 - len(short))),                                  # the rest is not looked at
            raw(block(bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20")),  # without NULL
            raw(block(bytes.fromhex("3021300906052b0e03021a05000414"))),            # says SHA-1
            raw(block(b"")), value.to_bytes(257, "big"), good[:-1], good + b"\0", good[1:], bytes(256), b"\0",
            (n - value).to_bytes(256, "big"), (1).to_bytes(256, "big"), n.to_bytes(256, "big"),
            b"\xff" * 256, *flipped(good)]
    if value + n < 2 ** 2048:
        bent.append((value + n).to_bytes(256, "big"))
    for bad in bent:
        assert outcome(kms.verify, **asked, Signature=bad) == "KMSInvalidSignatureException", bad.hex()
    pss = dict(asked, SigningAlgorithm="RSASSA_PSS_SHA_256")
    make_pss = lambda salt, mgf=hashes.SHA256(), alg=hashes.SHA256(): private.sign(
        MESSAGE, padding.PSS(padding.MGF1(mgf), salt), alg)
    assert outcome(kms.verify, **pss, Signature=make_pss(32)) == "ok"
    for bad in [make_pss(0), make_pss(31), make_pss(33), make_pss(222), make_pss(32, hashes.SHA1()),
                make_pss(32, alg=hashes.SHA384()), good, *flipped(make_pss(32))]:
        assert outcome(kms.verify, **pss, Signature=bad) == "KMSInvalidSignatureException"
    check_bent_oaep(kms, ids["ENCRYPT_DECRYPT"], private.public_key(), n)


def check_bent_oaep(kms, key, public, n):
    seal = lambda digest, mgf, label=None: public.encrypt(b"secret", padding.OAEP(padding.MGF1(mgf), digest, label))
    sha1, sha256 = hashes.SHA1(), hashes.SHA256()
    for algorithm, digest, other in (("RSAES_OAEP_SHA_1", sha1, sha256), ("RSAES_OAEP_SHA_256", sha256, sha1)):
        asked = dict(KeyId=key, EncryptionAlgorithm=algorithm)
        good = seal(digest, digest)
        assert kms.decrypt(**asked, CiphertextBlob=good)["Plaintext"] == b"secret"
        value = int.from_bytes(good, "big")
        bent = [seal(other, other), seal(other, digest), seal(digest, other), seal(digest, digest, b"label"),
                public.encrypt(b"secret", padding.PKCS1v15()), good[:-1], good + b"\0", b"\0" + good, bytes(256),
                (1).to_bytes(256, "big"), (n - 1).to_bytes(256, "big"), n.to_bytes(256, "big"), b"\xff" * 256,
                b"\0", *flipped(good)]
        if value + n < 2 ** 2048:
            bent.append((value + n).to_bytes(256, "big"))
        for bad in bent:
            assert outcome(kms.decrypt, **asked, CiphertextBlob=bad) == "InvalidCiphertextException", bad.hex()


def check_bent_points(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    curves = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
    spki = lambda key: key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for spec, curve in curves.items():
        key, der = make(kms, spec, "KEY_AGREEMENT")
        asked = dict(KeyId=key, KeyAgreementAlgorithm="ECDH")
        own = ec.generate_private_key(curve)
        good = spki(own.public_key())
        got = kms.derive_shared_secret(**asked, PublicKey=good)["SharedSecret"]
        assert got == own.exchange(ec.ECDH(), loaded(der)), spec
        size = (curve.key_size + 7) // 8
        head, point = good[:-2 * size], good[-2 * size:]
        others = [spki(ec.generate_private_key(c).public_key()) for name, c in curves.items() if name != spec]
        bent = [head + bytes(2 * size), head + b"\xff" * 2 * size, head + point[:-1] + bytes([point[-1] ^ 1]),
                head + point[size:] + point[:size], head[:-1] + b"\x05" + point, head[:-1] + b"\x00" + point,
                good[:-1], good + b"\0", point, b"\x04" + point, b"\0", *others,
                spki(ec.generate_private_key(ec.SECP256K1()).public_key()),
                spki(ed25519.Ed25519PrivateKey.generate().public_key())]
        for bad in bent:
            assert outcome(kms.derive_shared_secret, **asked, PublicKey=bad) == "ValidationException", (spec, bad.hex())


def check_bent_macs(kmsd, key, secret):
    kms = kmsd.client(key, secret)
    for bits in (224, 256, 384, 512):
        key = kms.create_key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
        asked = dict(KeyId=key, Message=MESSAGE, MacAlgorithm=f"HMAC_SHA_{bits}")
        mac = kms.generate_mac(**asked)["Mac"]
        assert len(mac) == bits // 8 and outcome(kms.verify_mac, **asked, Mac=mac) == "ok"
        for bad in [mac[:-1], mac[:16], mac[:1], mac + b"\0", mac + mac, bytes(len(mac)), *flipped(mac)]:
            if len(bad) <= 6144:
                assert outcome(kms.verify_mac, **asked, Mac=bad) == "KMSInvalidMacException", (bits, bad.hex())
        assert outcome(kms.verify_mac, **dict(asked, Message=MESSAGE + b"."), Mac=mac) == "KMSInvalidMacException"


CHECKS = [check_edwards, check_ml_dsa, check_ml_kem, check_every_wrapping, check_bent_ecdsa, check_bent_rsa,
          check_bent_points, check_bent_macs]
