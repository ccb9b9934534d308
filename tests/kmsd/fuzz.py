#!/usr/bin/python3
"""Mutated requests of every operation, correctly signed: kmsd refuses what is wrong, and lives on.

Requests are made from botocore's model of KMS with the keys, tokens and ciphertexts that earlier answers
gave, then spoiled: members taken away, added, doubled, of another type, far too long, nested, bytes that
are no JSON. No answer may be a 5xx, kmsd must neither panic nor end, nor keep memory. The same seed asks
the same. `--fuzz-seconds N`
"""

import gzip
import json
import os
import random
import sys
import time

import botocore

from service import ACCOUNT, REGION, Away, Client, Kmsd, Tally, encode, number, scratch

SEED = 20_240_607
GROWTH = 48  # MB from a quarter of the time to its end: caches fill, and then it stays
MOST = 256 << 10  # bytes of a body that kmsd reads
SLOW = {"RSA_3072", "RSA_4096"}  # a second each to make: one in a hundred


def model():
    path = os.path.join(os.path.dirname(botocore.__file__), "data", "kms", "2014-11-01", "service-2.json")
    if os.path.exists(path):
        with open(path, "rb") as f:
            return json.load(f)
    with gzip.open(path + ".gz") as f:
        return json.load(f)


class Maker:
    """Requests of a shape, good ones where it can."""

    def __init__(self, chance):
        self.chance, self.model = chance, model()
        self.pool = {"KeyIdType": [], "CiphertextType": [], "GrantIdType": [], "GrantTokenType": [],
                     "AliasNameType": ["alias/a", "alias/aws/kmsfs"], "MarkerType": []}

    def learn(self, reply):
        """Remembers what later requests can name."""
        names = {"KeyId": "KeyIdType", "CiphertextBlob": "CiphertextType", "GrantId": "GrantIdType",
                 "GrantToken": "GrantTokenType", "NextMarker": "MarkerType", "ImportToken": "CiphertextType",
                 "Signature": "CiphertextType", "Mac": "CiphertextType", "AliasName": "AliasNameType"}
        for name, value in walk(reply):
            if name in names and isinstance(value, str):
                pool = self.pool[names[name]]
                pool.append(value)
                if len(pool) > 60:
                    del pool[self.chance.randrange(60)]

    def value(self, name, depth=0):
        shape, pick = self.model["shapes"][name], self.chance
        kind = shape["type"]
        pool = self.pool.get("KeyIdType" if name in ("KeyIdType", "ArnType") else name)
        if pool and pick.random() < 0.9:
            return pick.choice(pool)
        if kind == "structure":
            required = shape.get("required", [])
            return {member: self.value(inner["shape"], depth + 1)
                    for member, inner in shape["members"].items()
                    if member in required or pick.random() < 0.35}
        if kind == "list":
            return [self.value(shape["member"]["shape"], depth + 1) for _ in range(pick.randrange(3))]
        if kind == "map":
            return {f"k{pick.randrange(4)}": "v" * pick.randrange(1, 9) for _ in range(pick.randrange(4))}
        if kind in ("integer", "long"):
            return pick.choice([0, 1, 7, 16, 30, 32, 90, 365, 1000, 1024, -1, 2**31, 2**63])
        if kind == "boolean":
            return pick.random() < 0.15
        if kind == "timestamp":
            return pick.choice([0, 1, 4_000_000_000, 1e300, -5, time_of_a_year(pick)])
        if kind == "blob":
            return encode(pick.randbytes(pick.choice([1, 16, 32, 64, 200, 4096])))
        if "enum" in shape:
            choice = pick.choice(shape["enum"])
            return "SYMMETRIC_DEFAULT" if choice in SLOW and pick.random() > 0.01 else choice
        if name == "PolicyType":
            return policy(pick)
        if name == "PolicyNameType":
            return "default"
        if name in ("PrincipalIdType", "GrantIdType"):
            return f"arn:aws:iam::{ACCOUNT}:{pick.choice(['root', 'user/anna', 'role/r', 'user/'])}"
        return pick.choice(["x", "a" * 200, "alias/b", REGION, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"])


def time_of_a_year(pick):
    return 1_700_000_000 + pick.randrange(400) * 86_400


def policy(pick):
    statement = {"Effect": pick.choice(["Allow", "Deny", "Perhaps"]),
                 "Principal": pick.choice(["*", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {"AWS": []}, 7]),
                 "Action": pick.choice(["kms:*", ["kms:Decrypt"], "kms:", {}]), "Resource": "*"}
    if pick.random() < 0.5:
        statement["Condition"] = {pick.choice(["StringLike", "NumericLessThan", "IpAddress", "Odd"]):
                                  {"kms:ViaService": pick.choice(["*", "${", "${a:b}", ["x"], 1, "9" * 400])}}
    keep = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*",
            "Resource": "*"}
    return json.dumps({"Version": pick.choice(["2012-10-17", "2008-10-17", "1"]), "Statement": [keep, statement]})


def walk(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


ODD = [None, True, 0, -1, 1.5, 2**64, 1e308, "", "\0", "é\ud7ff\U0001f511", [], {}, [[]], {"": ""}, "=" * 70,
       "A" * 5000, "alias/" + "x" * 300, "arn:aws:kms:::", "../..", "%00", "\r\nx: y"]


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def spoil(body, pick):
    """One thing wrong, somewhere."""
    places = []

    def find(value):
        if isinstance(value, dict):
            places.extend((value, name) for name in value)
            for inner in value.values():
                find(inner)
        elif isinstance(value, list):
            places.extend((value, at) for at in range(len(value)))
            for inner in value:
                find(inner)

    find(body)
    if not places or pick.random() < 0.15:
        body[pick.choice(["Extra", "KeyId", "keyid", "", "x" * 300, "DryRun", "Limit", "Marker"])] = \
            pick.choice(ODD)
        return body
    inside, at = pick.choice(places)
    what = pick.randrange(6)
    if what == 0:
        del inside[at]
    elif what == 1:
        inside[at] = nested(pick.choice([3, 60, 500]))
    elif what == 2 and isinstance(inside[at], str) and inside[at]:
        text = list(inside[at])
        text[pick.randrange(len(text))] = chr(pick.choice([0, 10, 47, 58, 65, 127, 233, 0x2028]))
        inside[at] = "".join(text)
    elif what == 3 and isinstance(inside[at], str):
        inside[at] = inside[at] * pick.choice([0, 2, 400])
    else:
        inside[at] = pick.choice(ODD)
    return body


def spoil_bytes(raw, pick):
    raw = bytearray(raw)
    what = pick.randrange(4)
    if what == 0:
        del raw[pick.randrange(len(raw) + 1):]
    elif what == 1 and raw:
        for _ in range(pick.randrange(1, 5)):
            raw[pick.randrange(len(raw))] = pick.randrange(256)
    elif what == 2:
        raw = raw[:-1] + b"," + raw[1:]  # every member twice
    else:
        raw = raw + raw
    return bytes(raw)


def main():
    seconds, tally = number(__doc__, "FUZZ_SECONDS", 20), Tally()
    chance = random.Random(SEED)
    maker = Maker(chance)
    operations = sorted(maker.model["operations"])
    with scratch("kmsd-fuzz") as place, Kmsd(place) as kmsd:
        client, asked, by_status, bad = Client(kmsd), 0, {}, []
        began, early = time.monotonic(), None
        while (now := time.monotonic() - began) < seconds:
            if early is None and now > seconds / 4:
                early = kmsd.memory()
            name = operations[asked % len(operations)]
            operation = maker.model["operations"][name]
            body = maker.value(operation["input"]["shape"]) if "input" in operation else {}
            spoiled = chance.random()
            if spoiled > 0.4:
                body = spoil(body, chance)
            raw = json.dumps(body).encode("utf-8", "surrogatepass")
            if spoiled > 0.9:
                raw = spoil_bytes(raw, chance)
            asked += 1
            try:
                status, answer = client.send(f"TrentService.{name}", raw)
            except Away as away:
                if kmsd.process.poll() is not None:
                    bad.append(f"{name} {raw[:500]!r}: kmsd ended, {kmsd.process.returncode}")
                    break
                if len(raw) > MOST:  # it answered before it was told all, and closed
                    by_status[413] = by_status.get(413, 0) + 1
                    continue
                bad.append(f"{name} {raw[:500]!r}: {away}")
                continue
            by_status[status] = by_status.get(status, 0) + 1
            if status >= 500:
                bad.append(f"{name} {raw[:500]!r}: {status} {answer[:200]!r}")
            elif status == 200 and answer:
                maker.learn(json.loads(answer))
        late = kmsd.memory() if kmsd.process.poll() is None else 0
        panicked = "panic" in kmsd.tail()
        print(f"# {asked} requests in {seconds} s, {len(operations)} operations, by status {by_status}, "
              f"{early or late:.0f} MB at a quarter, {late:.0f} MB at the end")
        for line in bad[:20]:
            print("#", line)
        tally.check(len(by_status) > 1 and by_status.get(200, 0) > asked / 50, "some requests were good")
        tally.check(not bad, "no answer is a 5xx, and every request has one")
        tally.check(not panicked, "no panic")
        tally.check(late - (early or late) < GROWTH, "memory does not grow")
        tally.check(kmsd.stop() == 0, "and it stops in order")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
