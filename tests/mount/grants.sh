#!/usr/bin/env bash
# The key policies of AWS's examples with our principals, what they let whom do at a mount, and grants: one that
# ends by itself, one that is revoked, one for a part of the volume, and the condition for resources of services.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 useradd runuser
EACCES=13 ACCOUNT=111122223333
ADMIN=kmsfs-ta-$$ USER1=kmsfs-t1-$$ USER2=kmsfs-t2-$$
# A minute in the long run.
LIFE=$([ "${KMSFS_ROUNDS:-8}" -ge 50 ] && echo 60 || echo 5)

remove_users() { for u in "$ADMIN" "$USER1" "$USER2"; do userdel "$u"; done; } 2>/dev/null
trap 'clean_up; remove_users' EXIT
for u in "$ADMIN" "$USER1" "$USER2"; do
    useradd -M -s /bin/sh "$u" || { fail "users for the test"; finish; }
done
chmod 755 "$WORK" "$MNT"

as() { runuser -u "$1" -- "${@:2}"; }
open_as() { as "$1" python3 -c 'import sys
try: open(sys.argv[1], "rb").read(1); print(0)
except OSError as e: print(e.errno)' "$2"; }
arn() { echo "arn:aws:iam::$ACCOUNT:user/$1"; }

start_kmsd && aws_credentials && pass "kmsd and an access key" || { fail "kmsd and an access key"; finish; }

# wire USER ARGUMENTS...: the AWS command line with that user's own access key; the error's name, or "ok".
declare -A ID SECRET
for u in "$ADMIN" "$USER1" "$USER2"; do
    made=$("$KMSFS" --json iam create-access-key --user "$u" --kms "unix:$KMS_SOCKET")
    ID[$u]=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["access_key_id"])' "$made")
    SECRET[$u]=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["secret_access_key"])' "$made")
done
as_wire() { AWS_ACCESS_KEY_ID=${ID[$1]} AWS_SECRET_ACCESS_KEY=${SECRET[$1]} aws_kms "${@:2}"; }
wire() { as_wire "$@" >"$WORK/wire" 2>&1 && echo ok || grep -oE '\((\w+)\)' "$WORK/wire" | head -n 1 | tr -d '()'; }

# ---- "Allow access for Key Administrators", "Allow use of the key", "Allow attachment of persistent resources"
cat >"$WORK/example.json" <<JSON
{
  "Id": "key-consolepolicy-3",
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Enable IAM User Permissions",
      "Effect": "Allow",
      "Principal": {"AWS": "arn:aws:iam::$ACCOUNT:root"},
      "Action": "kms:*",
      "Resource": "*"
    },
    {
      "Sid": "Allow access for Key Administrators",
      "Effect": "Allow",
      "Principal": {"AWS": "$(arn "$ADMIN")"},
      "Action": [
        "kms:Create*", "kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Update*", "kms:Revoke*",
        "kms:Disable*", "kms:Get*", "kms:Delete*", "kms:TagResource", "kms:UntagResource",
        "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:RotateKeyOnDemand"
      ],
      "Resource": "*"
    },
    {
      "Sid": "Allow use of the key",
      "Effect": "Allow",
      "Principal": {"AWS": ["$(arn "$USER1")"]},
      "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
      "Resource": "*"
    },
    {
      "Sid": "Allow attachment of persistent resources",
      "Effect": "Allow",
      "Principal": {"AWS": ["$(arn "$USER1")"]},
      "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
      "Resource": "*",
      "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    }
  ]
}
JSON
KEY=$(aws_kms create-key --policy "file://$WORK/example.json" --query KeyMetadata.KeyId --output text)
[ -n "$KEY" ] && pass "the example policy loads" || { fail "the example policy loads"; finish; }
mkdir -p "$LOWER" "$MNT"
check "mount" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=$KEY,allow_other,log=$WORK/mount.log"
chmod 777 "$MNT"
check "the user makes a file" as "$USER1" sh -c "umask 022; echo content >'$MNT/file'"
same "the user reads" content "$(as "$USER1" cat "$MNT/file")"
same "the administrator does not" $EACCES "$(open_as "$ADMIN" "$MNT/file")"
same "somebody else does not" $EACCES "$(open_as "$USER2" "$MNT/file")"
same "the user does not disable" AccessDeniedException "$(wire "$USER1" disable-key --key-id "$KEY")"
same "nor schedule a deletion" AccessDeniedException "$(wire "$USER1" schedule-key-deletion --key-id "$KEY")"
same "nor put a policy" AccessDeniedException "$(wire "$USER1" put-key-policy --key-id "$KEY" --policy-name default --policy "file://$WORK/example.json")"
same "the user describes" ok "$(wire "$USER1" describe-key --key-id "$KEY")"
same "a grant of the user's own is not a service's" AccessDeniedException \
    "$(wire "$USER1" create-grant --key-id "$KEY" --grantee-principal "$(arn "$USER2")" --operations Decrypt)"
same "nor does he list any" AccessDeniedException "$(wire "$USER1" list-grants --key-id "$KEY")"
same "the administrator does not encrypt" AccessDeniedException \
    "$(wire "$ADMIN" encrypt --key-id "$KEY" --plaintext eA==)"
same "he disables" ok "$(wire "$ADMIN" disable-key --key-id "$KEY")"
same "then nobody reads" 126 "$(open_as "$USER1" "$MNT/file")"
same "he enables" ok "$(wire "$ADMIN" enable-key --key-id "$KEY")"
same "he schedules the deletion" ok "$(wire "$ADMIN" schedule-key-deletion --key-id "$KEY" --pending-window-in-days 7)"
same "he cancels it" ok "$(wire "$ADMIN" cancel-key-deletion --key-id "$KEY")"
same "and enables again" ok "$(wire "$ADMIN" enable-key --key-id "$KEY")"
same "and the user reads again" content "$(as "$USER1" cat "$MNT/file")"

# ---- a grant, revoked
same "not before" $EACCES "$(open_as "$USER2" "$MNT/file")"
GRANT=$(aws_kms create-grant --key-id "$KEY" --grantee-principal "$(arn "$USER2")" --operations Decrypt --query GrantId --output text)
same "a grant lets the other in" 0 "$(open_as "$USER2" "$MNT/file")"
same "for reading, not for making" $EACCES "$(as "$USER2" python3 -c 'import sys
try: open(sys.argv[1], "w"); print(0)
except OSError as e: print(e.errno)' "$MNT/his")"
check "it is revoked" aws_kms revoke-grant --key-id "$KEY" --grant-id "$GRANT"
same "and he is out" $EACCES "$(open_as "$USER2" "$MNT/file")"

# ---- a grant that ends by itself
END=$(AWS_DEFAULT_REGION=local-1 python3 "$TOP/tests/mount/lib/grant.py" "$KMS_URL" "$KEY" "$(arn "$USER2")" "$LIFE") &&
    pass "a grant for $LIFE seconds" || fail "a grant for $LIFE seconds"
check "it lets him in for $LIFE seconds, and then not for a second more" \
    as "$USER2" python3 "$TOP/tests/mount/lib/until.py" "$MNT/file" "$END"
same "the owner reads all the while" content "$(as "$USER1" cat "$MNT/file")"
sleep 1
same "and it is gone" 0 "$(aws_kms list-grants --key-id "$KEY" --query 'length(Grants)' --output text)"

# ---- a grant for one file alone
attribute() { getfattr --only-values -n "kmsfs.$1" "$MNT/file" 2>/dev/null; }
as "$USER1" sh -c "umask 022; echo other >'$MNT/other'"
aws_kms create-grant --key-id "$KEY" --grantee-principal "$(arn "$USER2")" --operations Decrypt \
    --constraints "EncryptionContextSubset={kmsfs:volume=$(attribute volume-id),kmsfs:file=$(attribute file-id)}" >/dev/null 2>"$WORK/err" ||
    fail "a grant for one file" "$(cat "$WORK/err")"
same "that file he reads" 0 "$(open_as "$USER2" "$MNT/file")"
same "another he does not" $EACCES "$(open_as "$USER2" "$MNT/other")"
same "nor the directory" $EACCES "$(as "$USER2" python3 -c 'import os, sys
try: os.listdir(sys.argv[1]); print(0)
except OSError as e: print(e.errno)' "$MNT")"
check "unmount" "$KMSFS" umount "$MNT"
finish
