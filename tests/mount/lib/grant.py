"""A grant that ends by itself, made over the wire: AWS's clients have no word for its end.

usage: grant.py URL KEY GRANTEE SECONDS     prints when it ends, as a float of seconds since 1970"""

import json
import sys
import time

import boto3

url, key, grantee, seconds = sys.argv[1:]
client = boto3.client("kms", endpoint_url=url)
end = int(time.time()) + int(seconds)


def with_end(params, **_):
    body = json.loads(params["body"])
    body["Constraints"] = {"ExpirationDate": end}
    params["body"] = json.dumps(body).encode()


client.meta.events.register("before-call.kms.CreateGrant", with_end)
client.create_grant(KeyId=key, GranteePrincipal=grantee, Operations=["Decrypt", "DescribeKey"])
print(end)
