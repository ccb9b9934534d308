#!/usr/bin/env bash
# Two users who both pass the mode bits, and root: who may read is what the key policy says, also on what is
# open already. The two example policies of AWS for administrators and users, roles, programs and services,
# four ways to be of another account, directories under other keys.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 setfattr useradd runuser
EACCES=13 EXDEV=18
ACCOUNT=111122223333 OTHER=444455556666
USER1=kmsfs-t1-$$ USER2=kmsfs-t2-$$ GROUP=kmsfs-tg-$$

remove_users() {
    userdel "$USER1"; userdel "$USER2"; groupdel "$GROUP"
    rmdir "$UNITS/postgresql.service" "$UNITS"
} 2>/dev/null
UNITS=$(awk '$9 == "cgroup" && /name=systemd/ { print $5 } $9 == "cgroup2" { two = $5 } END { if (two) print two }' \
    /proc/self/mountinfo | head -n 1)/kmsfs-test-$$.slice
trap 'clean_up; remove_users' EXIT
useradd -M -s /bin/sh "$USER1" && useradd -M -s /bin/sh "$USER2" && groupadd "$GROUP" && usermod -aG "$GROUP" "$USER2" ||
    { fail "users for the test"; finish; }
chmod 755 "$WORK" "$MNT"

as() { runuser -u "$1" -- "${@:2}"; }
errno_as() { runuser -u "$1" -- python3 -c 'import os, sys
try: exec(sys.argv[1], {"os": os, "args": sys.argv[2:]}); print(0)
except OSError as e: print(e.errno)' "${@:2}"; }
open_as() { errno_as "$1" 'open(args[0], "rb").read(1)' "$2"; }
kms() { "$KMSFS" "$1" "$2" "${@:3}" --kms "unix:$KMS_SOCKET"; }
arn() { echo "arn:aws:iam::$ACCOUNT:user/$1"; }
key_id() { aws_kms create-key --policy "file://$1" --query KeyMetadata.KeyId --output text; }

# policy FILE STATEMENT...: root administers; the statements follow.
policy() {
    local file=$1 all
    all="{\"Sid\":\"Administrators\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"$(arn root)\"},\"Action\":[\"kms:Create*\",\"kms:Describe*\",\"kms:Enable*\",\"kms:List*\",\"kms:Put*\",\"kms:Update*\",\"kms:Revoke*\",\"kms:Disable*\",\"kms:Get*\",\"kms:Delete*\",\"kms:TagResource\",\"kms:UntagResource\",\"kms:ScheduleKeyDeletion\",\"kms:CancelKeyDeletion\"],\"Resource\":\"*\"}"
    shift
    for statement in "$@"; do all+=",$statement"; done
    echo "{\"Version\":\"2012-10-17\",\"Statement\":[$all]}" >"$file"
}
# use ARN[,ARN...] [CONDITION]
use() {
    local who
    who=$(sed 's/[^,]*/"&"/g' <<<"$1")
    echo "{\"Sid\":\"Use\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[$who]},\"Action\":[\"kms:Encrypt\",\"kms:Decrypt\",\"kms:ReEncrypt*\",\"kms:GenerateDataKey*\",\"kms:DescribeKey\"],\"Resource\":\"*\"${2:+,\"Condition\":$2}}"
}
mounted() { # LOWER MNT KEY
    mkdir -p "$1" "$2"
    "$KMSFS" mount "$1" "$2" -o "kms=unix:$KMS_SOCKET,key=$3,allow_other,log=$WORK/mount.log" && chmod 777 "$2"
}

start_kmsd && aws_credentials && pass "kmsd and an access key" || { fail "kmsd and an access key"; finish; }

# ---- two users, one mount
policy "$WORK/one.json" "$(use "$(arn "$USER1")")"
policy "$WORK/two.json" "$(use "$(arn "$USER1"),$(arn "$USER2")")"
KEY=$(key_id "$WORK/one.json")
check "mount" mounted "$LOWER" "$MNT" "$KEY"
check "user1 makes a directory and a file" as "$USER1" sh -c "umask 022; mkdir '$MNT/dir' && head -c 65536 /dev/zero | tr '\\0' k >'$MNT/dir/file' && ln -s file '$MNT/dir/link'"
same "mode bits let everybody read" "644" "$(stat -c %a "$MNT/dir/file")"
same "user1 reads" 0 "$(open_as "$USER1" "$MNT/dir/file")"
same "user2 does not" $EACCES "$(open_as "$USER2" "$MNT/dir/file")"
same "user2 does not list" $EACCES "$(errno_as "$USER2" 'os.listdir(args[0])' "$MNT/dir")"
same "user2 does not follow a link" $EACCES "$(errno_as "$USER2" 'os.readlink(args[0])' "$MNT/dir/link")"
same "user2 makes nothing" $EACCES "$(errno_as "$USER2" 'open(args[0], "w")' "$MNT/his")"
same "user2 makes no directory" $EACCES "$(errno_as "$USER2" 'os.mkdir(args[0])' "$MNT/his")"
same "root does not read" $EACCES "$(open_errno "$MNT/dir/file")"
same "root does not list" $EACCES "$(errno_of 'os.listdir(args[0])' "$MNT/dir")"
check "user1 sets an attribute" as "$USER1" setfattr -n user.a -v x "$MNT/dir/file"
same "user2 does not read it" $EACCES "$(errno_as "$USER2" 'os.getxattr(args[0], "user.a")' "$MNT/dir/file")"

# ---- what explain says is what happens
explain() { kms policy explain --user "$1" --operation read "$MNT/dir/file"; }
check "explain allows user1 and names the statement" grep -q '"Use" of the key policy' <<<"$(explain "$USER1")"
check "explain denies user2 and says what was close" grep -q 'another principal' <<<"$(explain "$USER2")"
check "simulate: a policy that is not in force" grep -q '^Allow' \
    <<<"$(kms policy simulate "$WORK/two.json" --user "$USER2" --operation read "$MNT/dir/file")"

# ---- taken away while in use
check "revocation reaches a read loop, a mapping and dd within a second" python3 "$TOP/tests/mount/lib/revoke.py" \
    "$KMSFS" "$KMS_SOCKET" "$KEY" "$MNT/dir/file" "${KMSFS_ROUNDS:-8}" "$USER2" "$USER1" "$WORK/two.json" "$WORK/one.json"

# ---- cached decisions cost no round trip
count_audit() { cat "$WORK"/kmsd-store/audit/* 2>/dev/null | grep -c '"eventName":"Decrypt"'; }
open_many() { as "$USER1" python3 -c 'import sys
for _ in range(10000): open(sys.argv[1], "rb").close()' "$MNT/dir/file"; }
open_as "$USER1" "$MNT/dir/file" >/dev/null
BEFORE=$(count_audit)
open_many
AFTER=$(count_audit)
[ $((AFTER - BEFORE)) -lt 20 ] && pass "10000 opens ask kmsd $((AFTER - BEFORE)) times" || fail "10000 opens ask kmsd $((AFTER - BEFORE)) times"
check "put-policy moves the epoch" kms key put-policy "$WORK/one.json" "$KEY"
BEFORE=$(count_audit); open_as "$USER1" "$MNT/dir/file" >/dev/null; AFTER=$(count_audit)
[ "$AFTER" -gt "$BEFORE" ] && pass "the first open after it asks" || fail "the first open after it asks"

# ---- the administrator administers and does not read; the user reads and does not administer
as_user1() { as "$USER1" "$KMSFS" "$@" --kms "unix:$KMS_SOCKET"; }
check "the user may not disable the key" sh -c "! runuser -u $USER1 -- '$KMSFS' key disable $KEY --kms unix:$KMS_SOCKET"
check "the administrator disables" kms key disable "$KEY"
check "and enables" kms key enable "$KEY"
check "and schedules deletion" aws_kms schedule-key-deletion --key-id "$KEY" --pending-window-in-days 7
check "and cancels it" aws_kms cancel-key-deletion --key-id "$KEY"
check "and enables again" kms key enable "$KEY"
same "and cannot read" $EACCES "$(open_errno "$MNT/dir/file")"
same "the user can" 0 "$(open_as "$USER1" "$MNT/dir/file")"

# ---- directories under other keys
KEY2=$(key_id "$WORK/two.json")
check "a directory for both" as "$USER1" sh -c "umask 022; mkdir '$MNT/shared' && chmod 777 '$MNT/shared'"
check "put under the other key" as "$USER1" "$KMSFS" key set-default "$MNT/shared" "$KEY2"
same "the directory is under it" "$KEY2" "$(getfattr --only-values -n kmsfs.key-id "$MNT/shared" 2>/dev/null)"
check "user2 may use it" as "$USER2" sh -c "umask 022; mkdir '$MNT/shared/sub' && echo both >'$MNT/shared/sub/f'"
same "what is below inherits the key" "$KEY2" "$(getfattr --only-values -n kmsfs.key-id "$MNT/shared/sub/f" 2>/dev/null)"
same "both read" "both both" "$(echo $(as "$USER1" cat "$MNT/shared/sub/f"; as "$USER2" cat "$MNT/shared/sub/f"))"
as "$USER1" sh -c "umask 022; echo moved >'$MNT/dir/m'; chmod 666 '$MNT/dir/m'"
as "$USER1" mv "$MNT/dir/m" "$MNT/shared/m"
same "a file that moves is under the new key" "$KEY2" "$(getfattr --only-values -n kmsfs.key-id "$MNT/shared/m" 2>/dev/null)"
same "and user2 reads it" moved "$(as "$USER2" cat "$MNT/shared/m")"
as "$USER1" sh -c "umask 022; mkdir '$MNT/shared/own' && echo own >'$MNT/shared/own/f'"
same "a directory does not move" $EXDEV "$(errno_as "$USER1" 'os.rename(args[0], args[1])' "$MNT/shared/own" "$MNT/own")"
same "a second name under another key does not work" $EXDEV "$(errno_as "$USER1" 'os.link(args[0], args[1])' "$MNT/shared/m" "$MNT/dir/n")"
check "mv copies" as "$USER1" mv "$MNT/shared/own" "$MNT/dir/own"
same "what was copied is under the key of its place" "$KEY $EACCES" \
    "$(getfattr --only-values -n kmsfs.key-id "$MNT/dir/own/f" 2>/dev/null) $(open_as "$USER2" "$MNT/dir/own/f")"
check "unmount" unmount_volume
check "mount again" mounted "$LOWER" "$MNT" "$KEY"
same "everything as it was" "moved" "$(as "$USER2" cat "$MNT/shared/m")"

# ---- programs
cp /bin/cat "$WORK/reader" && chmod 755 "$WORK/reader"
HASH=$(sha256sum "$WORK/reader" | cut -d' ' -f1)
policy "$WORK/program.json" "$(use "$(arn "$USER1")" "{\"StringEquals\":{\"kmsfs:Executable\":\"$WORK/reader\",\"kmsfs:ExecutableSha256\":\"$HASH\"}}")"
check "only one program may read" kms key put-policy "$WORK/program.json" "$KEY"
check "it does" as "$USER1" "$WORK/reader" "$MNT/dir/file"
check "another does not" sh -c "! runuser -u $USER1 -- cat '$MNT/dir/file' >/dev/null"
cp /bin/head "$WORK/new" && chmod 755 "$WORK/new" && mv "$WORK/new" "$WORK/reader"
check "another in its place does not" sh -c "! runuser -u $USER1 -- '$WORK/reader' '$MNT/dir/file' >/dev/null"
cp /bin/cat "$WORK/new" && chmod 755 "$WORK/new" && mv "$WORK/new" "$WORK/reader"
check "put back, it does" as "$USER1" "$WORK/reader" "$MNT/dir/file"

# ---- operations
policy "$WORK/read-only.json" "$(use "$(arn "$USER1")" '{"StringEquals":{"kmsfs:Operation":["read","list"]}}')"
check "a policy for reading alone" kms key put-policy "$WORK/read-only.json" "$KEY"
open_for() { errno_as "$USER1" "os.close(os.open(args[0], os.$1))" "$MNT/dir/file"; }
same "open for reading" 0 "$(open_for O_RDONLY)"
same "open for writing" $EACCES "$(open_for O_WRONLY)"
same "open for both" $EACCES "$(open_for O_RDWR)"
same "truncate" $EACCES "$(errno_as "$USER1" 'os.truncate(args[0], 1)' "$MNT/dir/file")"
same "list" 0 "$(errno_as "$USER1" 'os.listdir(args[0])' "$MNT/dir")"
same "create" $EACCES "$(errno_as "$USER1" 'open(args[0], "x")' "$MNT/dir/another")"
same "read an attribute" x "$(as "$USER1" getfattr --only-values -n user.a "$MNT/dir/file" 2>/dev/null)"
same "change it" $EACCES "$(errno_as "$USER1" 'os.setxattr(args[0], "user.a", b"y")' "$MNT/dir/file")"
same "rename" $EACCES "$(errno_as "$USER1" 'os.rename(args[0], args[0] + "2")' "$MNT/dir/file")"
policy "$WORK/append-only.json" "$(use "$(arn "$USER1")" '{"StringNotEquals":{"kmsfs:Operation":"read"}}')"
check "a policy for everything but reading" kms key put-policy "$WORK/append-only.json" "$KEY"
same "open for reading" $EACCES "$(open_for O_RDONLY)"
same "open for both" $EACCES "$(open_for O_RDWR)"
same "append" 0 "$(errno_as "$USER1" 'os.write(os.open(args[0], os.O_WRONLY | os.O_APPEND), b"more")' "$MNT/dir/file")"
check "the policy of before" kms key put-policy "$WORK/one.json" "$KEY"
same "and what was appended is there" more "$(as "$USER1" tail -c 4 "$MNT/dir/file")"
as "$USER1" truncate -s -4 "$MNT/dir/file"

# ---- services
policy "$WORK/unit.json" "$(use "$(arn "$USER1"),$(arn "$USER2")" '{"StringEquals":{"kmsfs:SystemdUnit":"postgresql.service"}}')"
check "only postgresql.service may read" kms key put-policy "$WORK/unit.json" "$KEY"
check "a control group of that name" mkdir -p "$UNITS/postgresql.service"
in_unit() { (echo "$BASHPID" >"$UNITS/postgresql.service/cgroup.procs" && exec runuser -u "$1" -- "${@:2}"); }
check "it reads, as user1" in_unit "$USER1" cat "$MNT/dir/file"
check "and as user2" in_unit "$USER2" cat "$MNT/dir/file"
same "outside of it user1 does not" $EACCES "$(open_as "$USER1" "$MNT/dir/file")"
check "the policy of before" kms key put-policy "$WORK/one.json" "$KEY"

# ---- users of another account, four ways, through mounts and over the wire
check "unmount" unmount_volume
check "kmsd stops" stop_kmsd
cat >>"$WORK/kmsd.toml" <<TOML

[[principals]]
user = "$USER2"
arn = "arn:aws:iam::$OTHER:user/$USER2"
[[principals]]
group = "$GROUP"
arn = "arn:aws:iam::$ACCOUNT:role/Readers"
TOML
check "kmsd knows who they are" run_kmsd
THEIRS=arn:aws:iam::$OTHER:user/$USER2
policy "$WORK/cross.json" "$(use "$(arn "$USER1"),arn:aws:iam::$OTHER:root")"
policy "$WORK/cross-deny.json" "$(use "$(arn "$USER1"),arn:aws:iam::$OTHER:root")" \
    "{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"$THEIRS\"},\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}"
echo '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:DescribeKey"],"Resource":"*"}]}' >"$WORK/may.json"
echo '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"},{"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}]}' >"$WORK/may-not.json"
MADE=$("$KMSFS" --json iam create-access-key --user "$THEIRS" --kms "unix:$KMS_SOCKET")
secret() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$MADE" "$1"; }
wire() { # what the AWS command line of the other account gets for Decrypt
    AWS_ACCESS_KEY_ID=$(secret access_key_id) AWS_SECRET_ACCESS_KEY=$(secret secret_access_key) \
        aws_kms decrypt --key-id "arn:aws:kms:local-1:$ACCOUNT:key/$1" --ciphertext-blob "fileb://$WORK/blob" \
        --query KeyId --output text >/dev/null 2>"$WORK/wire" && echo 0 || grep -o 'AccessDenied' "$WORK/wire" | head -n 1
}
try() { # NAME KEY-POLICY IAM-POLICY EXPECTED-ERRNO EXPECTED-WIRE
    local key n=$1
    key=$(key_id "$2")
    kms iam delete-policy test --user "$THEIRS" >/dev/null 2>&1
    [ "$3" = - ] || kms iam put-policy test "$3" --user "$THEIRS"
    mounted "$WORK/lower-$n" "$WORK/mnt-$n" "$key" && chmod 755 "$WORK/mnt-$n"
    chown "$USER1" "$WORK/mnt-$n"
    as "$USER1" sh -c "umask 022; echo x >'$WORK/mnt-$n/f'"
    same "$n: through the mount" "$4" "$(open_as "$USER2" "$WORK/mnt-$n/f")"
    same "$n: user1 all the same" 0 "$(open_as "$USER1" "$WORK/mnt-$n/f")"
    echo secret >"$WORK/plain"
    kms key put-policy "$WORK/open.json" "$key"
    aws_kms encrypt --key-id "$key" --plaintext "fileb://$WORK/plain" --query CiphertextBlob --output text | base64 -d >"$WORK/blob"
    kms key put-policy "$2" "$key"
    same "$n: over the wire" "$5" "$(wire "$key")"
    "$KMSFS" umount "$WORK/mnt-$n"
}
policy "$WORK/open.json" "$(use "$(arn root)")"
try only-key-policy "$WORK/cross.json" - $EACCES AccessDenied
try only-iam-policy "$WORK/one.json" "$WORK/may.json" $EACCES AccessDenied
try both "$WORK/cross.json" "$WORK/may.json" 0 0
try deny-in-key-policy "$WORK/cross-deny.json" "$WORK/may.json" $EACCES AccessDenied
try deny-in-iam-policy "$WORK/cross.json" "$WORK/may-not.json" $EACCES AccessDenied

# ---- a role by group
check "kmsd stops" stop_kmsd
sed -i "/^user = \"$USER2\"/,/^arn/d; s/^\\[\\[principals\\]\\]\$/&/" "$WORK/kmsd.toml"
python3 - "$WORK/kmsd.toml" <<'PY'
import sys
text = open(sys.argv[1]).read().replace("[[principals]]\n[[principals]]", "[[principals]]")
open(sys.argv[1], "w").write(text)
PY
check "kmsd knows the group alone" run_kmsd
policy "$WORK/role.json" "$(use "$(arn "$USER1"),arn:aws:iam::$ACCOUNT:role/Readers")"
KEY3=$(key_id "$WORK/role.json")
check "mount" mounted "$WORK/lower-role" "$WORK/mnt-role" "$KEY3"
as "$USER1" sh -c "umask 022; echo x >'$WORK/mnt-role/f'"
same "a member of the group reads in its role" 0 "$(open_as "$USER2" "$WORK/mnt-role/f")"
same "root, who is none, does not" $EACCES "$(open_errno "$WORK/mnt-role/f")"

finish
