"""Roles as AWS clients use them: assume-role by Debian's AWS CLI, and a profile with role_arn by
the newest one, whose session then uses keys."""

import json
import os
import subprocess

import boto3
import botocore.exceptions

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Backup"


def kmsfs(kmsd, *words):
    done = subprocess.run([kmsd.bin / "kmsfs", "--json", "iam", *map(str, words), "--kms",
                           f"unix:{kmsd.socket}"], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"kmsfs iam {words[0]}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def make_role(kmsd, action):
    trust, policy = kmsd.work / "trust.json", kmsd.work / "policy.json"
    trust.write_text(json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/operator"}}]}))
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": "*"}]}))
    kmsfs(kmsd, "create-role", "Backup", "--trust", trust)
    kmsfs(kmsd, "put-policy", "keys", policy, "--user", ROLE)
    made = kmsfs(kmsd, "create-access-key", "--user", "operator")
    return made["access_key_id"], made["secret_access_key"]


def sts(kmsd, key, secret, token=None):
    return boto3.client(
        "sts", region_name="local-1", endpoint_url=f"http://127.0.0.1:{kmsd.port}",
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)


def code(call, **words):
    try:
        call(**words)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def check_roles(kmsd, admin_key, admin_secret):
    key, secret = make_role(kmsd, ["kms:ListKeys", "kms:DescribeKey"])
    url = f"http://127.0.0.1:{kmsd.port}"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(kmsd.work), "AWS_ACCESS_KEY_ID": key,
           "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "local-1", "AWS_PAGER": "",
           "AWS_EC2_METADATA_DISABLED": "true"}
    out = subprocess.run(
        [kmsd.aws, "sts", "assume-role", "--role-arn", ROLE, "--role-session-name", "nightly",
         "--endpoint-url", url, "--output", "json"], env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    begun = json.loads(out.stdout)
    assert begun["AssumedRoleUser"]["Arn"] == ROLE.replace(
        ":iam:", ":sts:").replace("role/", "assumed-role/") + "/nightly", begun
    given = begun["Credentials"]
    session = given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    told = sts(kmsd, *session).get_caller_identity()
    assert told["Arn"].endswith(":assumed-role/Backup/nightly"), told

    kms = kmsd.client(session[0], session[1], token=session[2])
    listed = kms.list_keys()
    assert "Keys" in listed
    assert code(kms.create_key) == "AccessDeniedException"
    # Each part belongs to the others.
    for bad in [(session[0], session[1], None), (key, secret, session[2]),
                (session[0], session[1], session[2][:-8] + "AAAAAAA="),
                (session[0][:-1] + "A", session[1], session[2])]:
        other = kmsd.client(bad[0], bad[1], token=bad[2])
        assert code(other.list_keys) == "UnrecognizedClientException", bad[0]
        assert code(sts(kmsd, *bad).get_caller_identity) == "InvalidClientTokenId", bad[0]
    admin = sts(kmsd, admin_key, admin_secret)
    assert code(admin.assume_role, RoleArn=ROLE, RoleSessionName="s1") == "AccessDenied"

    config = kmsd.work / "aws-config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        f"[profile backup]\nrole_arn = {ROLE}\nsource_profile = base\nregion = local-1\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(kmsd.work), "AWS_CONFIG_FILE": str(config),
           "AWS_PROFILE": "backup", "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    newest = os.environ["KMSFS_NEWEST_AWS"]
    out = subprocess.run([newest, "kms", "list-keys", "--output", "json"], env=env,
                         capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout)["Keys"] == listed["Keys"]

    kmsfs(kmsd, "delete-role", "Backup")
    assert code(kms.list_keys) == "UnrecognizedClientException"
