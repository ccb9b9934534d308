#!/usr/bin/python3
"""kmsd is killed under a load that changes keys: what it acknowledged is there, and all of it.

Each round: four clients create keys, import material, rotate, grant and revoke, change policies and
aliases over the wire; SIGKILL at a random moment; a start; then everything that was acknowledged in this
round, and some of what was before, is compared with what kmsd says now. Where a request was under way it
may have been done or not, but never by half. Then the audit trail is verified. `--rounds N`
"""

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from service import ACCOUNT, Away, Client, Kmsd, Refused, Tally, encode, number, scratch

CLIENTS = 4
OLD = 25  # keys of earlier rounds that a round looks at


def policy(mark):
    return json.dumps({"Version": "2012-10-17", "Id": mark, "Statement": [
        {"Sid": "a", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
         "Action": "kms:*", "Resource": "*"}]})


class Key:
    """What is known of a key. Values in lists: any of them may be; the first is acknowledged."""

    def __init__(self, key_id, imported=False):
        self.id, self.imported = key_id, imported
        self.states = ["PendingImport" if imported else "Enabled"]
        self.rotations, self.marks, self.grants = [0], [None], {}
        self.sealed = None  # ciphertext of something, once there is material

    def sure(self):
        """Nothing is under way any more: the last is what holds."""
        for values in (self.states, self.rotations, self.marks):
            del values[:-1]


class Worker(threading.Thread):
    """One client at work, until kmsd does not answer."""

    def __init__(self, kmsd, seed):
        super().__init__()
        self.kms, self.random = Client(kmsd), random.Random(seed)
        self.keys, self.aliases, self.done, self.error = [], {}, 0, None
        self.lost = 0  # keys that may have been made although nobody was told

    def run(self):
        try:
            while True:
                self.random.choice([self.create, self.create_external, self.rotate, self.grant,
                                    self.revoke, self.put_policy, self.alias])()
                self.done += 1
        except Away:
            pass
        except Exception as error:  # noqa: BLE001  said by the main thread
            self.error = error

    def some(self, imported=None):
        keys = [k for k in self.keys if imported is None or k.imported == imported]
        return self.random.choice(keys) if keys else self.create()

    def create(self, **more):
        self.lost += 1
        made = self.kms.call("CreateKey", **more)["KeyMetadata"]
        self.lost -= 1
        key = Key(made["KeyId"], imported="Origin" in more)
        self.keys.append(key)
        if not key.imported:
            key.sealed = self.seal(key)
        return key

    def seal(self, key):
        return self.kms.call("Encrypt", KeyId=key.id, Plaintext=encode(key.id.encode()))["CiphertextBlob"]

    def create_external(self):
        key = self.create(Origin="EXTERNAL")
        asked = self.kms.call("GetParametersForImport", KeyId=key.id, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                              WrappingKeySpec="RSA_2048")
        wrapped = wrap(asked["PublicKey"], self.random.randbytes(32))
        key.states.append("Enabled")
        self.kms.call("ImportKeyMaterial", KeyId=key.id, ImportToken=asked["ImportToken"],
                      EncryptedKeyMaterial=wrapped, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
        key.sure()
        key.sealed = self.seal(key)

    def rotate(self):
        key = self.some(imported=False)
        key.rotations.append(key.rotations[-1] + 1)
        try:
            self.kms.call("RotateKeyOnDemand", KeyId=key.id)
        except Refused as refused:
            if refused.name != "LimitExceededException":
                raise
            key.rotations.pop()
        key.sure()

    def grant(self):
        key = self.some()
        if key.states != ["Enabled"]:
            return
        name = f"g{self.random.getrandbits(64):x}"
        key.grants[name] = "maybe"
        made = self.kms.call("CreateGrant", KeyId=key.id, Name=name, Operations=["Decrypt", "DescribeKey"],
                             GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/anna")
        key.grants[name] = made["GrantId"]

    def revoke(self):
        key = self.some()
        there = [name for name, grant in key.grants.items() if grant != "maybe"]
        if not there:
            return
        name = self.random.choice(there)
        grant, key.grants[name] = key.grants[name], "maybe"
        self.kms.call("RevokeGrant", KeyId=key.id, GrantId=grant)
        del key.grants[name]

    def put_policy(self):
        key = self.some()
        mark = f"p{self.random.getrandbits(64):x}"
        key.marks.append(mark)
        self.kms.call("PutKeyPolicy", KeyId=key.id, PolicyName="default", Policy=policy(mark))
        key.sure()

    def alias(self):
        key, name = self.some(), f"alias/a{self.random.getrandbits(64):x}"
        self.aliases[name] = [None, key.id]
        self.kms.call("CreateAlias", AliasName=name, TargetKeyId=key.id)
        self.aliases[name] = [key.id]


def wrap(public_der, material):
    """As an importer does it, with OpenSSL."""
    with scratch("wrap") as place:
        path = os.path.join(place, "public.der")
        with open(path, "wb") as f:
            f.write(base64.b64decode(public_der))
        out = subprocess.run(
            ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", path, "-keyform", "DER", "-pkeyopt",
             "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"],
            input=material, capture_output=True, check=True)
        return encode(out.stdout)


def wrong(kms, key):
    """What is not as it must be about a key; settles what was open."""
    try:
        meta = kms.call("DescribeKey", KeyId=key.id)["KeyMetadata"]
        if meta["KeyState"] not in key.states:
            return f"state {meta['KeyState']}, not among {key.states}"
        key.states = [meta["KeyState"]]
        mark = json.loads(kms.call("GetKeyPolicy", KeyId=key.id, PolicyName="default")["Policy"]).get("Id")
        mark = None if mark == "key-default-1" else mark
        if mark not in key.marks:
            return f"policy {mark}, not among {key.marks}"
        key.marks = [mark]
        if not key.imported:
            count = len(kms.call("ListKeyRotations", KeyId=key.id)["Rotations"])
            if count not in key.rotations:
                return f"{count} rotations, not among {key.rotations}"
            key.rotations = [count]
        there = {g["Name"]: g["GrantId"] for g in listed(kms, "ListGrants", "Grants", KeyId=key.id)}
        for name, grant in key.grants.items():
            if grant != "maybe" and there.get(name) != grant:
                return f"grant {name} is missing"
        if set(there) - set(key.grants):
            return "there are grants that nobody made"
        key.grants = there
        if key.sealed:
            opened = kms.call("Decrypt", CiphertextBlob=key.sealed)["Plaintext"]
            if opened != encode(key.id.encode()):
                return "its ciphertext opens to something else"
        elif key.states == ["Enabled"]:
            sealed = kms.call("Encrypt", KeyId=key.id, Plaintext=encode(b"x"))["CiphertextBlob"]
            if kms.call("Decrypt", CiphertextBlob=sealed)["Plaintext"] != encode(b"x"):
                return "it does not open what it seals"
    except Refused as refused:
        return str(refused)
    return ""


def listed(kms, operation, member, **more):
    """All pages of a list."""
    found, marker = [], more
    while True:
        page = kms.call(operation, Limit=1000 if operation == "ListKeys" else 100, **marker)
        found += page[member]
        if not page.get("Truncated"):
            return found
        marker = {**more, "Marker": page["NextMarker"]}


def main():
    rounds, tally, chance = number(__doc__, "ROUNDS", 3), Tally(), random.Random(7)
    with scratch("kmsd-kill") as place, Kmsd(place, mirrors=1) as kmsd:
        keys, aliases, done, bad = {}, {}, 0, []
        for turn in range(rounds):
            workers = [Worker(kmsd, turn * CLIENTS + n) for n in range(CLIENTS)]
            for worker in workers:
                worker.start()
            time.sleep(chance.uniform(0.1, 0.9))
            kmsd.stop(signal.SIGKILL)
            for worker in workers:
                worker.join()
            kmsd.start()
            kms = Client(kmsd)
            bad += [f"round {turn}: {w.error!r}" for w in workers if w.error]
            done += sum(worker.done for worker in workers)
            fresh = [key for worker in workers for key in worker.keys]
            there = {entry["KeyId"] for entry in listed(kms, "ListKeys", "Keys")}
            bad += [f"round {turn}: key {k} is missing" for k in keys if k not in there]
            bad += [f"round {turn}: key {k.id} is missing" for k in fresh if k.id not in there]
            unknown = there - set(keys) - {key.id for key in fresh}
            if len(unknown) > sum(worker.lost for worker in workers):
                bad.append(f"round {turn}: {len(unknown)} keys that nobody made")
            for key_id in unknown:
                meta = kms.call("DescribeKey", KeyId=key_id)["KeyMetadata"]
                fresh.append(Key(key_id, imported=meta["Origin"] == "EXTERNAL"))
            old = chance.sample(sorted(keys), min(OLD, len(keys)))
            for key in fresh + [keys[k] for k in old]:
                if fault := wrong(kms, key):
                    bad.append(f"round {turn}: key {key.id}: {fault}")
            keys.update({key.id: key for key in fresh})
            for worker in workers:
                aliases.update(worker.aliases)
            targets = {entry["AliasName"]: entry.get("TargetKeyId")
                       for entry in listed(kms, "ListAliases", "Aliases")}
            for name, may in aliases.items():
                if targets.get(name) not in may:
                    bad.append(f"round {turn}: {name} is {targets.get(name)}, not among {may}")
                aliases[name] = [targets.get(name)]
            if kmsd.stop() != 0:
                bad.append(f"round {turn}: kmsd did not stop in order")
            try:
                kmsd.kmsfs("audit", "verify", "--keystore", kmsd.store)
                kmsd.kmsfs("keystore", "verify", "--keystore", kmsd.store, "--mirror", kmsd.mirrors[0])
            except RuntimeError as error:
                bad.append(f"round {turn}: {error}")
            kmsd.start()
            for line in bad[-3:] if bad else []:
                print("#", line)
        kmsd.stop()
        repaired = kmsd.tail().count("was repaired")
        print(f"# {rounds} rounds, {done} changes acknowledged, {len(keys)} keys, {len(aliases)} aliases, "
              f"mirror repaired at least {repaired} times")
        tally.check(done > rounds, "the load was one")
        tally.check(not bad, f"after {rounds} kills all that was acknowledged is there, nothing by half, "
                             "and trail and copies verify")
        for line in bad[:20]:
            print("#", line)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
