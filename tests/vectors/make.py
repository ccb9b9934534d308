#!/usr/bin/env python3
"""A second implementation of src/format/FORMAT.md, which made the vectors beside it.

Written from the text alone and over another library's ciphers, so that an error in the Rust code
does not become its own proof. Vectors never change once released: run with --check, the default,
it compares what it would write with what is there; only --write writes, and only files that do
not exist yet.

Needs the Python package `cryptography` (48, over OpenSSL 3.2 or later).
"""

import base64
import hashlib
import hmac
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, ChaCha20Poly1305

HERE = Path(__file__).parent
GCMSIV, XCHACHA = 1, 2
SUITES = {GCMSIV: "aes-256-gcm-siv", XCHACHA: "xchacha20-poly1305"}
FILE, DIRECTORY = 1, 2

# ---- primitives -------------------------------------------------------------------------------


def derive(key, label, context):
    prk = hmac.digest(bytes(32), key, "sha256")
    info = b"kmsfs v1 " + label.encode() + b"\0" + struct.pack("<I", len(context)) + context
    return hmac.digest(prk, info + b"\x01", "sha256")


def mac(key, *parts):
    text = struct.pack("<Q", len(parts))
    for part in parts:
        text += struct.pack("<Q", len(part)) + part
    return hmac.digest(key, text, "sha256")


def rotl(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF


def hchacha20(key, nonce16):
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key))
    state += struct.unpack("<4I", nonce16)

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            state[z] = rotl(state[z] ^ state[x], n)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def siv(key, nonce16, aad, text):
    """Returns tag and ciphertext."""
    out = AESGCMSIV(key).encrypt(nonce16[:12], text, aad + nonce16[12:])
    return out[-16:], out[:-16]


def xchacha(key, nonce24, aad, text):
    sub = hchacha20(key, nonce24[:16])
    out = ChaCha20Poly1305(sub).encrypt(bytes(4) + nonce24[16:], text, aad)
    return out[-16:], out[:-16]


def aes_block(key, block):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(block) + e.finalize()


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# ---- objects ----------------------------------------------------------------------------------


def file_context(suite, oid):
    return bytes([FILE, suite]) + oid


def dir_context(oid):
    return bytes([DIRECTORY, 0]) + oid


def block_seal(key, suite, oid, block, nonce, plain):
    sub = derive(key, "block " + SUITES[suite], file_context(suite, oid))
    aad = b"\x01" + oid + struct.pack("<Q", block)
    if suite == GCMSIV:
        return siv(sub, nonce, aad, plain)
    return xchacha(sub, nonce + struct.pack("<Q", block), aad, plain)


def page_mac(key, suite, oid, kind, number, page):
    if not any(page):
        return bytes(16)
    index = derive(key, "index", file_context(suite, oid))
    return mac(index, kind, struct.pack("<Q", number), page)[:16]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def name_raw(key, oid, name):
    sub = derive(key, "names", dir_context(oid))
    tag, text = siv(sub, bytes(16), b"\x02" + oid, name)
    return tag + text


def hashed(raw):
    return "~" + b64(hashlib.sha256(raw).digest())


def link_tag(key, oid, name, target):
    return mac(derive(key, "link", dir_context(oid)), name, target)


def target_raw(key, vid, binding, nonce, target):
    sub = derive(key, "symlink", vid)
    tag, text = siv(sub, nonce, b"\x03" + binding, target)
    return nonce + tag + text


def xattr_name(key, context, name):
    return "user.kmsfs." + b64(mac(derive(key, "xattr name", context), name)[:16])


def xattr_value(key, context, oid, nonce, text):
    tag, sealed = siv(derive(key, "xattr", context), nonce, b"\x04" + oid, text)
    return nonce + tag + sealed


def header(key, *, kind=FILE, suite=GCMSIV, flags=1, generation=7, session=3, oid=None,
           size=5000, root=None, writes=2, key_version=4, mtime=(0, 0), magic=b"kmsf", version=1,
           key_id=b"11111111-2222-3333-4444-555555555555", key_id_field=None, key_id_len=None,
           blob=None, blob_field=None, blob_len=None, keys_of=None, hide=True):
    oid = oid or OID
    blob = BLOB if blob is None else blob
    if kind != FILE:
        size, writes = (0 if size == 5000 else size), (0 if writes == 2 else writes)
        root = bytes(16) if root is None else root
    root = bytes(range(0xA0, 0xB0)) if root is None else root
    k_kind, k_suite, k_oid = keys_of or (kind, suite, oid)
    context = file_context(k_suite, k_oid) if k_kind == FILE else dir_context(k_oid)
    if k_kind == FILE and hide:
        root = aes_block(derive(key, "root", context), root)
    key_id_field = key_id.ljust(36, b"\0") if key_id_field is None else key_id_field
    blob_field = blob.ljust(320, b"\0") if blob_field is None else blob_field
    text = magic + struct.pack("<HBBBBHI", version, kind, suite, flags,
                               len(key_id) if key_id_len is None else key_id_len,
                               len(blob) if blob_len is None else blob_len, key_version)
    text += struct.pack("<QQ", generation, session) + oid
    text += struct.pack("<Q", size) + root + struct.pack("<Q", writes)
    text += struct.pack("<qI", *mtime) + key_id_field + blob_field
    assert len(text) == 448, len(text)
    return text + mac(derive(key, "header", context), text)


def record(first, count, kind, start, end, boot, mount):
    return struct.pack("<QIB3xqq", first, count, kind, start, end) + boot + struct.pack("<Q", mount)


def volume(key, *, vid=None, suite=GCMSIV, root=None, generation=9, session=12, key_version=1,
           records=(), count=None, magic=b"kmsfsvol", version=1, spare=b"\0", padding=None,
           key_id=b"11111111-2222-3333-4444-555555555555"):
    vid = vid or VID
    records = b"".join(records)
    text = magic + struct.pack("<HBBHB", version, suite, len(key_id), len(BLOB),
                               len(records) // 56 if count is None else count) + spare
    text += vid + (root or OID) + struct.pack("<QQI", generation, session, key_version)
    text += key_id.ljust(36, b"\0") + BLOB.ljust(320, b"\0") + records
    text += bytes(4064 - len(text)) if padding is None else padding.rjust(4064 - len(text), b"\0")
    return text + mac(derive(key, "volume", vid), text)


# ---- vectors ----------------------------------------------------------------------------------

KEY = bytes(range(32))
KEY2 = bytes(range(1, 33))
OID = bytes.fromhex("000102030405060708090a0b0c0d0eff")
OID2 = bytes.fromhex("f00102030405060708090a0b0c0d0eff")
VID = bytes.fromhex("00112233445566778899aabbccddeeff")
BLOB = bytes((i * 7 + 1) & 0xFF for i in range(152))
NONCE = bytes(range(0x30, 0x40))
PLAIN = bytes((i * i // 64) & 0xFF for i in range(4096))

OUT = {}


def vector(case, expect, why, what=None, /, base=None, **fields):
    lines = [f"expect: {expect}", f"why: {why}"]
    if base:
        lines.append(f"from: {base}")
    if what:
        lines.append(f"what: {what}")
    for key, value in fields.items():
        if isinstance(value, bytes):
            value = value.hex() or "-"
        text = str(value)
        lines.append(f"{key.replace('_', '-')}: {text[:88]}")
        lines += ["  " + text[i:i + 96] for i in range(88, len(text), 96)]
    assert case not in OUT, case
    OUT[case] = "\n".join(lines) + "\n"


def flip(data, at, bit=1):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]


def primitives():
    context = file_context(GCMSIV, OID)
    for label in ["header", "block aes-256-gcm-siv", "block xchacha20-poly1305", "index", "root",
                  "names", "link", "symlink", "xattr", "xattr name", "volume"]:
        vector("derive-" + label.replace(" ", "-"), "ok", "F-5: every label has a key of its own",
               "derive", key=KEY, label=label, context=context, out=derive(KEY, label, context))
    vector("derive-no-context", "ok", "F-5: an empty context", "derive", key=KEY, label="names",
           context=b"", out=derive(KEY, "names", b""))
    vector("derive-other-context", "differs", "F-5: the context counts", base="derive-names",
           context=context[:-1])
    vector("mac-two-parts", "ok", "F-6: the encoding of parts", "mac", key=KEY, parts="6162 63",
           out=mac(KEY, b"ab", b"c"))
    vector("mac-nothing", "ok", "F-6: no parts at all", "mac", key=KEY, parts="", out=mac(KEY))
    vector("mac-moved-boundary", "differs", "F-6: a byte moves from one part to the next",
           base="mac-two-parts", parts="61 6263")
    vector("mac-joined", "differs", "F-6: two parts become one", base="mac-two-parts",
           parts="616263")
    vector("mac-empty-part", "differs", "F-6: an empty part is a part", base="mac-two-parts",
           parts="6162 63 -")


def headers():
    good = "header-file"
    f14, f15 = "F-14: ", "F-15: "
    vector(good, "ok", "F-14, F-22: a clean file", "header", key=KEY, slot=header(KEY),
           kind=1, suite=1, flags=1, generation=7, session=3, id=OID, size=5000,
           root=bytes(range(0xA0, 0xB0)), writes=2, key_version=4,
           key_id="11111111-2222-3333-4444-555555555555", blob=BLOB)
    vector("header-file-xchacha", "ok", "F-14: the other suite", base=good,
           slot=header(KEY, suite=XCHACHA), suite=2)
    vector("header-file-being-written", "ok", "F-14: flags, large numbers", base=good,
           slot=header(KEY, flags=2, generation=2**64 - 1, session=2**63, size=2**62,
                       writes=2**40, root=bytes(16)), root=bytes(16), flags=2, generation=2**64 - 1, session=2**63, size=2**62,
           writes=2**40)
    vector("header-mtime-before-1970", "ok", "F-17: a plaintext mtime of its own", base=good,
           slot=header(KEY, flags=5, mtime=(-2, 999_999_999)), flags=5, mtime="-2 999999999")
    vector("header-directory", "ok", "F-18: a directory", base=good,
           slot=header(KEY, kind=DIRECTORY), kind=2, size=0, writes=0, root=bytes(16))
    vector("header-shortest-wrapped", "ok", "F-9: one byte each", base=good,
           slot=header(KEY, key_id=b"k", blob=b"\x01"), key_id="k", blob=b"\x01")
    vector("header-longest-wrapped", "ok", "F-9: 36 and 320 bytes", base=good,
           slot=header(KEY, key_id=b"x" * 36, blob=b"\xee" * 320), key_id="x" * 36,
           blob=b"\xee" * 320)

    def wrong(name, expect, why, **how):
        vector("header-" + name, expect, why, base=good, slot=header(KEY, **how))

    vector("header-cut", "short", f14 + "one byte is missing", base=good, slot=header(KEY)[:479])
    wrong("bad-magic", "bad-magic", f14 + "something else", magic=b"kmsF")
    wrong("version-0", "not-canonical", "F-3: there is no version 0", version=0)
    wrong("version-2", "too-new", "F-3: a later version, well signed", version=2)
    vector("header-version-2-unknown-kind", "too-new", "F-3: the version is looked at first",
           base=good, slot=header(KEY, version=2, kind=9, keys_of=(FILE, GCMSIV, OID)))
    wrong("kind-0", "bad-kind", "F-4: no such kind", kind=0, keys_of=(FILE, GCMSIV, OID))
    wrong("kind-3", "bad-kind", "F-4: no such kind", kind=3, keys_of=(FILE, GCMSIV, OID))
    vector("header-suite-0", "bad-suite", "F-4: no such suite", base=good,
           slot=header(KEY, suite=0))
    wrong("suite-3", "bad-suite", "F-4: no such suite", suite=3)
    wrong("flag-8", "bad-flags", "F-4: a flag that means nothing yet", flags=9)
    wrong("flag-128", "bad-flags", "F-4: a flag that means nothing yet", flags=0x81)
    wrong("key-id-empty", "not-canonical", "F-9: no key id", key_id=b"")
    wrong("key-id-37", "not-canonical", "F-9: longer than its field", key_id_len=37,
          key_id=b"x" * 36)
    wrong("key-id-space", "not-canonical", "F-9: a character that is not printable",
          key_id=b"1111 1111")
    wrong("key-id-not-ascii", "not-canonical", "F-9: not ASCII", key_id="schlüssel".encode())
    wrong("key-id-nul", "not-canonical", "F-9: length 37 - 1, but NUL inside", key_id=b"11\x0011")
    wrong("key-id-padding", "not-canonical", "F-2: bytes behind the key id",
          key_id_field=b"1111".ljust(35, b"\0") + b"\x01", key_id_len=4)
    wrong("blob-empty", "not-canonical", "F-9: no wrapped key", blob=b"")
    wrong("blob-321", "not-canonical", "F-9: longer than its field", blob=b"\xee" * 320,
          blob_len=321)
    wrong("blob-65535", "not-canonical", "F-9: far longer than its field", blob_len=65535)
    wrong("blob-padding", "not-canonical", "F-2: bytes behind the wrapped key",
          blob_field=BLOB.ljust(319, b"\0") + b"\x01")
    wrong("mtime-without-flag", "not-canonical", "F-17: a time that is not announced",
          mtime=(1, 0))
    wrong("nanos-without-flag", "not-canonical", "F-17: nanoseconds that are not announced",
          mtime=(0, 1))
    wrong("nanos-a-second", "not-canonical", "F-17: a full second of nanoseconds", flags=5,
          mtime=(0, 1_000_000_000))
    wrong("size-past-the-end", "not-canonical", "F-19: one byte too large", size=2**62 + 1)
    wrong("too-many-writes", "not-canonical", "F-23: one seal too many", writes=2**40 + 1)
    wrong("root-while-written", "not-canonical", "F-24: a root that means nothing", flags=0)
    wrong("directory-with-size", "not-canonical", "F-18: a size", kind=DIRECTORY, size=1)
    wrong("directory-with-root", "not-canonical", "F-18: a root", kind=DIRECTORY,
          root=b"\x01" * 16)
    wrong("directory-with-writes", "not-canonical", "F-18: a count of seals", kind=DIRECTORY,
          writes=1)
    wrong("directory-multi-link", "not-canonical", "F-18: several names", kind=DIRECTORY, flags=3)
    body = header(KEY)
    for name, at in [("clean-flag", 8), ("key-version", 12), ("generation", 16), ("session", 24),
                     ("id", 32), ("size", 48), ("root", 56), ("writes", 72), ("key-id", 92),
                     ("blob", 128), ("tag", 448), ("tag-end", 479)]:
        vector("header-flip-" + name, "bad-tag", f15 + "one bit", base=good,
               slot=flip(body, at, 1))
    vector("header-other-data-key", "bad-tag", f15 + "no header opens under two data keys",
           base=good, key=KEY2)
    vector("header-suite-replaced", "bad-tag", f15 + "no header opens under two suites",
           base=good, slot=flip(body, 7, 3))
    vector("header-file-as-directory", "bad-tag", f15 + "a directory's header over a file's keys",
           base=good, slot=header(KEY, kind=DIRECTORY, keys_of=(FILE, GCMSIV, OID), hide=False))
    vector("header-id-of-another", "bad-tag", f15 + "signed for another id", base=good,
           slot=header(KEY, keys_of=(FILE, GCMSIV, OID2)))


def slots():
    a, b = header(KEY, generation=7), header(KEY, generation=8)

    def page(one, two):
        return one.ljust(512, b"\0") + two.ljust(512, b"\0")

    vector("slots-b-newer", "ok", "F-16: the higher generation counts", "slots", key=KEY,
           page=page(a, b), picked="1 8")
    vector("slots-a-newer", "ok", "F-16: the higher generation counts", base="slots-b-newer",
           page=page(b, a), picked="0 8")
    vector("slots-one-empty", "ok", "F-16: a slot that was never written", base="slots-b-newer",
           page=page(a, b""), picked="0 7")
    vector("slots-same-generation", "ok", "F-16: slot A goes first", base="slots-b-newer",
           page=page(a, a), picked="0 7")
    vector("slots-newer-torn", "ok", "F-16: a newer slot that does not authenticate is passed over",
           base="slots-b-newer", page=page(a, flip(b, 100)), picked="0 7")
    vector("slots-newer-unreadable", "ok", "F-16: nor one that is no header",
           base="slots-b-newer", page=page(a, flip(b, 0)), picked="0 7")
    vector("slots-both-empty", "none", "F-16: there is no header", base="slots-b-newer",
           page=bytes(1024))
    vector("slots-both-flipped", "none", "F-16: there is no header left", base="slots-b-newer",
           page=page(flip(a, 300), flip(b, 300)))
    vector("slots-cut", "none", "F-16: less than a slot", base="slots-b-newer", page=a[:400])


def blocks():
    for suite, short in ((GCMSIV, "gcmsiv"), (XCHACHA, "xchacha")):
        tag, data = block_seal(KEY, suite, OID, 77, NONCE, PLAIN)
        older_tag, older = block_seal(KEY, suite, OID, 77, NONCE[::-1], PLAIN[::-1])
        good = "block-" + short
        vector(good, "ok", "F-21: a block of known bytes", "block", key=KEY, suite=suite, id=OID,
               block=77, nonce=NONCE, tag=tag, data=data, plain=PLAIN)

        def wrong(name, why, **how):
            vector(f"{good}-{name}", "bad-tag", "F-21: " + why, base=good, **how)

        wrong("flip-first", "one bit of the first byte", data=flip(data, 0))
        wrong("flip-last", "one bit of the last byte", data=flip(data, 4095, 128))
        wrong("zeroed", "the data became a hole below", data=bytes(4096))
        wrong("flip-tag", "one bit of the tag", tag=flip(tag, 15, 128))
        wrong("flip-nonce", "one bit of the nonce", nonce=flip(NONCE, 0))
        wrong("flip-nonce-tail", "one bit of the nonce's last four bytes", nonce=flip(NONCE, 15))
        wrong("moved", "the place of the block after it", block=78)
        wrong("moved-far", "a block number that differs in the highest bit", block=77 + 2**63)
        wrong("other-file", "another file, even under one data key", id=OID2)
        wrong("other-key", "another data key", key=KEY2)
        wrong("other-suite", "the same key under the other suite", suite=3 - suite)
        wrong("data-rolled-back", "an older version under the newer entry", data=older)
        wrong("entry-rolled-back", "the newer version under an older entry",
              nonce=NONCE[::-1], tag=older_tag)
    entry = bytes(range(64))
    vector("entry", "ok", "F-20: which half is which", "entry", page=bytes(128) + entry,
           index=2, cur=entry[:32], prev=entry[32:])
    vector("entry-hole", "ok", "F-20: zeros are a hole", "entry", page=bytes(128), index=1,
           cur=bytes(32), prev=bytes(32))
    vector("entry-outside", "not-a-hole", "F-20: past the page there is no hole", "entry",
           page=bytes(128), index=2)
    vector("entry-cut", "not-a-hole", "F-20: nor in a part of an entry", "entry",
           page=bytes(127), index=1)


def index():
    p0, p1 = bytes(range(256)) * 12, bytes(range(255, -1, -1)) * 16
    zero = bytes(4096)

    def m(kind, number, page):
        return page_mac(KEY, GCMSIV, OID, kind, number, page)

    vector("index-entry-page-0", "ok", "F-25: the entries in page 0", "index", key=KEY, suite=1,
           id=OID, kind="entries", number=0, page=p0, mac=m(b"E", 0, p0))
    vector("index-entry-page-300", "ok", "F-25: another entry page", base="index-entry-page-0",
           number=300, page=p1, mac=m(b"E", 300, p1))
    vector("index-entry-page-empty", "ok", "F-25: only holes", base="index-entry-page-0",
           number=300, page=zero, mac=bytes(16))
    vector("index-node-1", "ok", "F-26: a node", base="index-entry-page-0", kind="node", number=1,
           page=p1, mac=m(b"N", 1, p1))
    vector("index-node-empty", "ok", "F-26: a node of holes", base="index-node-1", page=zero,
           mac=bytes(16))
    vector("index-page-elsewhere", "differs", "F-25: an entry page in another's place",
           base="index-entry-page-300", number=301)
    vector("index-page-rolled-back", "differs", "F-25: an entry page of another time",
           base="index-entry-page-300", page=flip(p1, 70))
    vector("index-page-zeroed", "differs", "F-25: a forged stretch of holes",
           base="index-entry-page-300", page=zero)
    vector("index-page-of-another-file", "differs", "F-25: another file's entries",
           base="index-entry-page-300", id=OID2)
    vector("index-node-elsewhere", "differs", "F-26: a node in another's place",
           base="index-node-1", number=0)
    vector("index-node-as-entries", "differs", "F-26: a node taken for an entry page",
           base="index-node-1", kind="entries")
    root = xor(xor(m(b"E", 0, p0), m(b"N", 0, p1)), m(b"N", 1, p1))
    vector("root", "ok", "F-27: page 0 and two nodes", "root", key=KEY, suite=1, id=OID,
           entries=p0, nodes="0 1", node=p1, root=root)
    vector("root-of-holes", "ok", "F-27: nothing but holes", base="root", entries=bytes(3072),
           node=zero, root=bytes(16))
    vector("root-node-missing", "differs", "F-27: a node is gone", base="root", nodes="0")
    vector("root-node-elsewhere", "differs", "F-27: a node in another's place", base="root",
           nodes="0 2")
    vector("root-node-twice", "differs", "F-27: equal nodes do not cancel out", base="root",
           nodes="0 0")


def names():
    def short(name):
        return b64(name_raw(KEY, OID, name))

    good = "name-short"
    vector(good, "ok", "F-28: a name", "name", key=KEY, id=OID, name=b"hello.txt",
           lower=short(b"hello.txt"))
    vector("name-one-byte", "ok", "F-28: the shortest", base=good, name=b"x", lower=short(b"x"))
    vector("name-not-utf8", "ok", "F-31: any byte but two", base=good, name=b"\xff\x01\n\xfe",
           lower=short(b"\xff\x01\n\xfe"))
    vector("name-three-dots", "ok", "F-31: only one and two dots are special", base=good,
           name=b"...", lower=short(b"..."))
    n175, n176, n255 = b"a" * 175, b"b" * 176, b"\xf0" * 255
    assert len(short(n175)) == 255
    vector("name-longest-short", "ok", "F-28: 175 bytes are 255 characters", base=good, name=n175,
           lower=short(n175))
    for n in (n176, n255):
        raw = name_raw(KEY, OID, n)
        vector(f"name-long-{len(n)}", "ok", "F-29: a name with a sidecar", "long-name", key=KEY,
               id=OID, name=n, lower=hashed(raw), content=raw)

    def wrong(name, expect, why, lower):
        vector("name-" + name, expect, why, base=good, lower=lower)

    lower = short(b"hello.txt")
    vector("name-other-directory", "bad-tag", "F-28: a file moved below, names and all", base=good,
           id=OID2)
    vector("name-other-key", "bad-tag", "F-28: another directory's key", base=good, key=KEY2)
    wrong("flip", "bad-tag", "F-28: one character", "A" + lower[1:] if lower[0] != "A" else "B" + lower[1:])
    wrong("cut", "bad-tag", "F-28: the last byte is missing", b64(name_raw(KEY, OID, b"hello.txt")[:-1]))
    wrong("extended", "bad-tag", "F-28: four characters more", lower + "AAAA")
    wrong("padded", "not-a-name", "F-28: base64 with padding", lower + "==")
    wrong("standard-alphabet", "not-a-name", "F-28: the other base64", "+" + lower[1:])
    one = short(b"x")
    tail = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = one[:-1] + tail[tail.index(one[-1]) + 1]
    wrong("two-spellings", "not-a-name", "F-28: bits behind the last byte", respelt)
    wrong("empty", "not-a-name", "F-28: no characters", "-")
    wrong("tag-only", "not-a-name", "F-28: a tag and no name", b64(name_raw(KEY, OID, b"")))
    wrong("sealed-dot", "unnameable", "F-31: sealed under the right key, and still no name",
          short(b"."))
    wrong("sealed-dot-dot", "unnameable", "F-31: the same, upwards", short(b".."))
    wrong("sealed-slash", "unnameable", "F-31: a path", short(b"a/b"))
    wrong("sealed-nul", "unnameable", "F-31: a NUL", short(b"a\0b"))
    wrong("short-too-long", "not-a-name", "F-29: 176 bytes belong into a sidecar",
          b64(name_raw(KEY, OID, n176)))
    raw = name_raw(KEY, OID, n176)
    other = name_raw(KEY, OID2, n176)
    vector("name-long-flipped", "bad-hash", "F-29: one bit of the sidecar", base="name-long-176",
           content=flip(raw, 20))
    vector("name-long-cut", "bad-hash", "F-29: the sidecar's last byte", base="name-long-176",
           content=raw[:-1])
    vector("name-long-empty", "bad-hash", "F-29: the sidecar is empty", base="name-long-176",
           content=b"")
    vector("name-long-other-directory", "bad-tag", "F-29: file and sidecar moved together",
           base="name-long-176", lower=hashed(other), content=other)
    s = name_raw(KEY, OID, n175)
    vector("name-long-too-short", "not-a-name", "F-29: 175 bytes need no sidecar",
           base="name-long-176", lower=hashed(s), content=s)
    bad = name_raw(KEY, OID, b"a/" * 100)
    vector("name-long-slash", "unnameable", "F-31: a path in a sidecar", base="name-long-176",
           lower=hashed(bad), content=bad)
    for kind, text in (("short", lower), ("short", short(n175)), ("long", hashed(raw)),
                       ("sidecar", hashed(raw) + ".n"), ("volume-dir", ".kmsfs"),
                       ("dir-header", "kmsfs.dir"), ("foreign", "README.md"),
                       ("foreign", "kmsfs.dir.n"), ("foreign", "~"), ("foreign", "~.n"),
                       ("foreign", hashed(raw) + ".n.n"), ("foreign", hashed(raw)[:-1]),
                       ("foreign", lower + "=="), ("foreign", b64(bytes(16))),
                       ("foreign", b64(bytes(192))), ("foreign", ".KMSFS")):
        n = sum(name.startswith("lower-" + kind) for name in OUT)
        vector(f"lower-{kind}-{n}", kind, "F-32: what a lower name can be", "lower", lower=text)


def links():
    good = "link-tag"
    vector(good, "ok", "F-30: a name and what it means", "link-tag", key=KEY, id=OID,
           name=b"hello.txt", target=OID2, tag=link_tag(KEY, OID, b"hello.txt", OID2))
    vector("link-tag-other-object", "differs", "F-30: another file under the name", base=good,
           target=OID)
    vector("link-tag-other-name", "differs", "F-30: the file under another name", base=good,
           name=b"hello.tx")
    vector("link-tag-other-directory", "differs", "F-30: the same name elsewhere", base=good,
           id=OID2)
    name, nonce = b"link", NONCE
    bound = b"\x01" + OID + name

    def sealed(binding, target, key=KEY, vid=VID):
        return target_raw(key, vid, binding, nonce, target)

    good = "target-bound"
    raw = sealed(bound, b"../some/where")
    vector(good, "ok", "F-33, F-34: a link of one name", "target", key=KEY, volume=VID, dir=OID,
           name=name, text=b64(raw), target=b"../some/where", bound="yes")
    vector("target-unbound", "ok", "F-34: a link of several names", base=good,
           text=b64(sealed(b"\x00", b"../some/where")), bound="no")
    long, longest_inline = b"t" * 4095, b"i" * 3039
    assert len(b64(sealed(bound, longest_inline))) == 4095
    vector("target-longest-inline", "ok", "F-35: the longest that needs no file", base=good,
           text=b64(sealed(bound, longest_inline)), target=longest_inline)
    raw_long = sealed(bound, long)
    vector("target-spilled", "ok", "F-35: the longest target", base=good, text=hashed(raw_long),
           spilled=raw_long, target=long)

    def wrong(case, expect, why, **how):
        vector("target-" + case, expect, why, base=good, **how)

    wrong("other-name", "bad-tag", "F-34: the link was moved below", name=b"knil")
    wrong("other-directory", "bad-tag", "F-34: into another directory", dir=OID2)
    wrong("other-volume", "bad-tag", "F-33: into another volume", volume=OID)
    wrong("other-key", "bad-tag", "F-33: under another volume key", key=KEY2)
    wrong("flip", "bad-tag", "F-33: one bit", text=b64(flip(raw, 40)))
    wrong("flip-nonce-tail", "bad-tag", "F-33: one bit of the nonce", text=b64(flip(raw, 15)))
    wrong("cut", "bad-tag", "F-33: the last three bytes", text=b64(raw[:-3]))
    wrong("no-tag", "not-a-target", "F-33: too short for nonce and tag", text=b64(raw[:31]))
    wrong("plain", "not-a-target", "F-33: a target in the clear", text="../some/where")
    wrong("nul", "unlinkable", "F-33: well sealed, with a NUL",
          text=b64(sealed(bound, b"a\0b")))
    wrong("nothing", "unlinkable", "F-33: well sealed, and empty", text=b64(sealed(bound, b"")))
    vector("target-spilled-missing", "not-a-target", "F-35: the file is gone",
           base="target-spilled", spilled="none")
    vector("target-spilled-flip", "bad-tag", "F-35: one bit of the file", base="target-spilled",
           spilled=flip(raw_long, 50))
    other = sealed(b"\x01" + OID + b"knil", long)
    vector("target-spilled-other", "bad-tag", "F-35: another link's text and file",
           base="target-spilled", text=hashed(other), spilled=other)


def xattrs():
    context = file_context(GCMSIV, OID)
    name, value = b"user.comment", bytes(range(40))

    def text(n, v, length=None):
        return struct.pack("<H", len(n) if length is None else length) + n + v

    def val(t, oid=OID):
        return xattr_value(KEY, context, oid, NONCE, t)

    good = "xattr"
    vector(good, "ok", "F-36, F-37: an attribute", "xattr", key=KEY, suite=1, id=OID, name=name,
           value=value, lower_name=xattr_name(KEY, context, name), lower_value=val(text(name, value)))
    vector("xattr-empty-value", "ok", "F-37: no value", base=good, value=b"",
           lower_value=val(text(name, b"")))

    def wrong(case, expect, why, **how):
        vector("xattr-" + case, expect, why, base=good, **how)

    wrong("other-name", "bad-tag", "F-38: the value of another attribute",
          lower_name=xattr_name(KEY, context, b"user.other"))
    wrong("other-object", "bad-tag", "F-37: another file's, even under one data key", id=OID2)
    wrong("other-key", "bad-tag", "F-37: another file's", key=KEY2)
    wrong("flip", "bad-tag", "F-37: one bit", lower_value=flip(val(text(name, value)), 60))
    wrong("cut", "bad-tag", "F-37: the last byte", lower_value=val(text(name, value))[:-1])
    wrong("short", "not-an-attr", "F-37: too short for nonce and tag",
          lower_value=val(text(name, value))[:31])
    wrong("length-too-long", "not-an-attr", "F-37: well sealed, a name longer than all",
          lower_value=val(text(name, b"", 13)))
    wrong("no-length", "not-an-attr", "F-37: well sealed, and one byte", lower_value=val(b"\x01"))
    wrong("empty-name", "not-an-attr", "F-37: well sealed, no name",
          lower_value=val(text(b"", value)))
    wrong("name-256", "not-an-attr", "F-37: well sealed, a name longer than names are",
          lower_value=val(text(b"n" * 256, b"")))


def volumes():
    boot = bytes(range(0x80, 0x90))
    r1 = record(3, 1, 1, 1000, 2000, boot, 41)
    r2 = record(7, 3, 2, -5, 2**62, boot, 42)
    r3 = record(12, 1, 3, 3000, 0, boot, 2**64 - 1)
    good = "volume"
    vector(good, "ok", "F-39: no unclean session", "volume", key=KEY, page=volume(KEY), id=VID,
           suite=1, root=OID, generation=9, session=12, key_version=1, records="")
    vector("volume-records", "ok", "F-41: three records", base=good,
           page=volume(KEY, records=(r1, r2, r3)),
           records="3 3 1 1000 2000 41 / 7 9 2 -5 4611686018427387904 42 / "
                   "12 12 3 3000 0 18446744073709551615")
    many = tuple(record(i, 1, 1, i, i, boot, 1) for i in range(1, 65))
    vector("volume-64-records", "ok", "F-41: as many as fit", base=good,
           page=volume(KEY, session=64, records=many), session=64,
           records=" / ".join(f"{i} {i} 1 {i} {i} 1" for i in range(1, 65)))

    def wrong(case, expect, why, **how):
        vector("volume-" + case, expect, why, base=good, page=volume(KEY, **how))

    page = volume(KEY)
    vector("volume-cut", "bad-length", "F-39: one byte less", base=good, page=page[:-1])
    vector("volume-extended", "bad-length", "F-39: one byte more", base=good, page=page + b"\0")
    vector("volume-nothing", "bad-length", "F-39: an empty file", base=good, page=b"")
    vector("volume-zeros", "bad-magic", "F-39: a page of zeros", base=good, page=bytes(4096))
    wrong("bad-magic", "bad-magic", "F-39: something else", magic=b"kmsfsVOL")
    wrong("version-0", "not-canonical", "F-3: there is no version 0", version=0)
    wrong("version-2", "too-new", "F-3: a later version, well signed", version=2)
    wrong("suite-9", "bad-suite", "F-4: no such suite", suite=9)
    wrong("key-id-empty", "not-canonical", "F-9: no key id", key_id=b"")
    wrong("spare-byte", "not-canonical", "F-2: a byte that means nothing", spare=b"\x01")
    wrong("padding", "not-canonical", "F-2: a byte behind the records", padding=b"\x01")
    wrong("count-65", "not-canonical", "F-41: more records than fit", session=65,
          records=many, count=65)
    wrong("count-255", "not-canonical", "F-41: far more records than fit", count=255)
    wrong("count-too-small", "not-canonical", "F-2: a record that is not counted",
          records=(r1, r2), count=1)
    wrong("count-too-large", "not-canonical", "F-41: a record of zeros", records=(r1,), count=2)
    wrong("records-unordered", "not-canonical", "F-41: falling numbers", records=(r2, r1))
    wrong("records-overlap", "not-canonical", "F-41: session 7 twice",
          records=(record(6, 2, 1, 0, 0, boot, 1), r2))
    wrong("record-of-the-future", "not-canonical", "F-41: a session that has not begun",
          records=(record(12, 2, 1, 0, 0, boot, 1),))
    wrong("record-0", "not-canonical", "F-41: sessions begin at 1",
          records=(record(0, 1, 1, 0, 0, boot, 1),))
    wrong("record-empty", "not-canonical", "F-41: a record of no session",
          records=(record(3, 0, 1, 0, 0, boot, 1),))
    wrong("record-wraps", "not-canonical", "F-41: numbers past the largest", session=2**64 - 1,
          records=(record(2**64 - 1, 2, 1, 0, 0, boot, 1),))
    wrong("record-kind-0", "not-canonical", "F-41: no such end",
          records=(record(3, 1, 0, 0, 0, boot, 1),))
    wrong("record-kind-4", "not-canonical", "F-41: no such end",
          records=(record(3, 1, 4, 0, 0, boot, 1),))
    wrong("record-padding", "not-canonical", "F-2: a byte inside a record",
          records=(flip(r1, 14),))
    for case, at in [("suite", 10), ("id", 16), ("root", 32), ("generation", 48), ("session", 56),
                     ("key-version", 64), ("blob", 110), ("tag", 4064), ("tag-end", 4095)]:
        bit = 3 if case == "suite" else 1
        vector("volume-flip-" + case, "bad-tag", "F-40: one field", base=good,
               page=flip(page, at, bit))
    vector("volume-record-forged", "bad-tag", "F-40: a session made unclean to excuse a change",
           base=good, page=volume(KEY, records=(r1,))[:4064] + page[4064:])
    vector("volume-other-key", "bad-tag", "F-40: another volume key", base=good, key=KEY2)


def sizes():
    def page_of(b):
        if b < 48:
            return 1 + b
        g, w = divmod(b - 48, 64)
        s, g = divmod(g, 256)
        return 49 + s * 16641 + 1 + g * 65 + 1 + w

    def lower(size):
        if size == 0:
            return 4096
        return (page_of((size - 1) // 4096) + 1) * 4096 + size % 4096

    for size in [0, 1, 4095, 4096, 4097, 48 * 4096 - 1, 48 * 4096, 48 * 4096 + 1, 112 * 4096,
                 112 * 4096 + 1, (48 + 256 * 64) * 4096, (48 + 256 * 64) * 4096 + 1,
                 2**40 + 12345, 2**62 - 1, 2**62]:
        vector(f"size-{size}", "ok", "F-10, F-11, F-12: a plaintext size", "size", plain=size,
               lower=lower(size))
    vector("size-past-the-end", "none", "F-12: no such size", "size", plain=2**62 + 1)
    for case, why, size in [
            ("0", "no header", 0), ("4095", "a part of the header", 4095),
            ("4097", "part of a block below the first", 4097), ("8191", "the same", 8191),
            ("node-end", "ends behind a node page", 50 * 4096),
            ("node-odd", "ends inside a block's place, behind a node", 50 * 4096 + 1),
            ("entry-end", "ends behind an entry page", 51 * 4096),
            ("entry-odd", "odd bytes behind an entry page", 51 * 4096 + 7),
            ("entry-far", "ends behind a later entry page", (51 + 65) * 4096),
            ("node-far", "ends behind the second node page", (49 + 16641 + 1) * 4096),
            ("too-big", "one block more than the largest", (page_of(2**50) + 1) * 4096),
            ("largest", "all bits", 2**64 - 1)]:
        vector("lower-size-" + case, "none", "F-13: " + why, "lower-size", lower=size)


def main():
    for make in (primitives, headers, slots, blocks, index, names, links, xattrs, volumes, sizes):
        make()
    bad = 0
    for name, text in OUT.items():
        path = HERE / f"{name}.txt"
        if not path.exists() and "--write" in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print("differs:", name)
            bad += 1
    for path in HERE.glob("*.txt"):
        if path.stem not in OUT:
            print("not made here:", path.stem)
            bad += 1
    print(len(OUT), "vectors,", bad, "differ")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
