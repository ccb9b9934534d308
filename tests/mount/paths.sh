#!/usr/bin/env bash
# Policies that go by kmsfs:Path: what is where it may be read and made, and no name is a way around it.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 setfattr useradd runuser
EACCES=13 EXDEV=18 ACCOUNT=111122223333 USER=kmsfs-tp-$$
trap 'clean_up; userdel "$USER" 2>/dev/null' EXIT
useradd -M -s /bin/sh "$USER" || { fail "a user for the test"; finish; }
chmod 755 "$WORK" "$MNT"

does() { runuser -u "$USER" -- python3 -c 'import os, sys
try: exec(sys.argv[1], {"os": os, "args": sys.argv[2:]}); print(0)
except OSError as e: print(e.errno)' "$@"; }
reads() { does 'open(args[0], "rb").read(1)' "$1"; }
makes() { does 'open(args[0], "x")' "$1"; }
moves() { does 'os.rename(args[0], args[1])' "$1" "$2"; }
put() { "$KMSFS" key put-policy "$WORK/$1.json" "$KEY" --kms "unix:$KMS_SOCKET"; }
policy() { # NAME ALLOW-CONDITION [STATEMENT]
    local use='["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"]'
    local one="{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::$ACCOUNT:user/root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}"
    local two="{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::$ACCOUNT:user/$USER\"},\"Action\":$use,\"Resource\":\"*\"${2:+,\"Condition\":$2}}"
    echo "{\"Version\":\"2012-10-17\",\"Statement\":[$one,$two${3:+,$3}]}" >"$WORK/$1.json"
}
deny() { echo "{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"arn:aws:iam::$ACCOUNT:user/$USER\"},\"Action\":[\"kms:Decrypt\",\"kms:GenerateDataKey\"],\"Resource\":\"*\",\"Condition\":$1}"; }

start_kmsd && aws_credentials && pass "kmsd and an access key" || { fail "kmsd and an access key"; finish; }
policy free ""
KEY=$(aws_kms create-key --policy "file://$WORK/free.json" --query KeyMetadata.KeyId --output text)
check "mount" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=$KEY,allow_other,log=$WORK/mount.log"
(umask 000; mkdir -p "$MNT"/{open,secret/deep} && for f in open/f open/linked secret/f secret/g secret/deep/f top; do echo x >"$MNT/$f"; done)
chmod 777 "$MNT"
check "a link of before" ln "$MNT/open/linked" "$MNT/secret/linked"
LONG=$(printf 'n%.0s' $(seq 250))
(umask 000; mkdir "$MNT/open/$LONG" && echo x >"$MNT/open/$LONG/$LONG")
touch "$MNT/secret/"$'\xff'

# ---- an Allow for what is below /open
policy below '{"StringLike":{"kmsfs:Path":["/open","/open/*"]}}'
check "a policy for what is below /open" put below
same "what is there is read" "0 0" "$(reads "$MNT/open/f") $(reads "$MNT/open/$LONG/$LONG")"
same "and nothing else" "$EACCES $EACCES $EACCES" "$(reads "$MNT/secret/f") $(reads "$MNT/top") $(reads "$MNT/secret/deep/f")"
same "listed" "0 $EACCES $EACCES" "$(does 'os.listdir(args[0])' "$MNT/open") $(does 'os.listdir(args[0])' "$MNT/secret") $(does 'os.listdir(args[0])' "$MNT")"
same "made" "0 $EACCES $EACCES" "$(makes "$MNT/open/new") $(makes "$MNT/secret/new") $(makes "$MNT/new")"
same "directories" "0 $EACCES" "$(does 'os.mkdir(args[0])' "$MNT/open/dir") $(does 'os.mkdir(args[0])' "$MNT/secret/dir")"
same "links" "0 $EACCES" "$(does 'os.symlink("x", args[0])' "$MNT/open/s") $(does 'os.symlink("x", args[0])' "$MNT/secret/s")"
same "and read" 0 "$(does 'os.readlink(args[0])' "$MNT/open/s")"
same "what was refused is not there" 0 "$(ls "$MNT/secret" | grep -cE 'new|dir|^s$')"
same "a file with two names has no path" $EACCES "$(reads "$MNT/open/linked")"
same "nothing comes in from where it may not be read" $EACCES "$(moves "$MNT/secret/g" "$MNT/open/g")"
same "nothing goes out" $EACCES "$(moves "$MNT/open/f" "$MNT/secret/out")"
same "nor by way of an exchange" $EACCES "$(does 'import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.renameat2(-100, args[0].encode(), -100, args[1].encode(), 2): raise OSError(ctypes.get_errno(), "")' "$MNT/open/f" "$MNT/secret/g")"
same "within it moves" 0 "$(moves "$MNT/open/f" "$MNT/open/moved")"
same "and is read" 0 "$(reads "$MNT/open/moved")"
same "second names are not made" $EXDEV "$(does 'os.link(args[0], args[1])' "$MNT/open/moved" "$MNT/open/again")"
same "directories do not move" $EXDEV "$(moves "$MNT/open/dir" "$MNT/open/dir2")"
check "mv copies them" runuser -u "$USER" -- mv "$MNT/open/dir" "$MNT/open/dir2"
same "root is not asked for a path" "0 0" "$(errno_of 'os.rename(args[0], args[1])' "$MNT/secret/deep" "$MNT/secret/deep2") $(open_errno "$MNT/secret/deep2/f")"

# ---- many opens of one path cost no round trip
count_audit() { cat "$WORK"/kmsd-store/audit/* 2>/dev/null | grep -c '"eventName":"Decrypt"'; }
reads "$MNT/open/moved" >/dev/null
BEFORE=$(count_audit)
runuser -u "$USER" -- python3 -c 'import sys
for _ in range(3000): open(sys.argv[1], "rb").close()' "$MNT/open/moved"
AFTER=$(count_audit)
[ $((AFTER - BEFORE)) -lt 10 ] && pass "3000 opens ask $((AFTER - BEFORE)) times" || fail "3000 opens ask $((AFTER - BEFORE)) times"

# ---- handles: judged by the path that the file has
exec 7< <(runuser -u "$USER" -- python3 -uc 'import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open")
for _ in range(600):
    try: os.pread(fd, 1, 0); print("ok")
    except OSError as e: print(e.errno)
    time.sleep(0.05)' "$MNT/open/moved")
read -r WORD <&7
check "renamed by root" mv "$MNT/open/moved" "$MNT/secret/moved"
policy below2 '{"StringLike":{"kmsfs:Path":["/open","/open/*","/elsewhere"]}}'
check "and something changes" put below2
SEEN=$(timeout 5 sh -c "while read -r w; do [ \"\$w\" = $EACCES ] && echo \$w && break; done" <&7)
same "an open handle goes by the new place" $EACCES "$SEEN"
exec 7<&-
check "back again" mv "$MNT/secret/moved" "$MNT/open/moved"

# ---- a Deny for what is below /secret
policy fence "" "$(deny '{"StringLike":{"kmsfs:Path":"/secret/*"}}')"
check "a Deny below /secret" put fence
same "denied there" "$EACCES $EACCES $EACCES" "$(reads "$MNT/secret/f") $(reads "$MNT/secret/deep2/f") $(reads "$MNT/secret/"$'\xff')"
same "and nowhere else" "0 0" "$(reads "$MNT/open/moved") $(reads "$MNT/top")"
same "no way out by a new name" "$EACCES $EXDEV" "$(moves "$MNT/secret/f" "$MNT/open/f2") $(does 'os.link(args[0], args[1])' "$MNT/top" "$MNT/open/f3")"
same "no second name either" $EACCES "$(does 'os.link(args[0], args[1])' "$MNT/secret/f" "$MNT/open/f2")"
same "nor by its directory" $EXDEV "$(moves "$MNT/secret" "$MNT/public")"
same "nor by a deeper one" $EACCES "$(moves "$MNT/secret/deep2" "$MNT/deep3")"
same "nothing is made there" $EACCES "$(makes "$MNT/secret/new")"
same "what has two names is not denied, if nothing says so" 0 "$(reads "$MNT/secret/linked")"
policy strict "" "$(deny '{"StringLikeIfExists":{"kmsfs:Path":"/secret/*"}}')"
check "a Deny for what has no path as well" put strict
same "then it is" "$EACCES 0" "$(reads "$MNT/secret/linked") $(reads "$MNT/open/moved")"

# ---- a user's own variable in a path
policy mine "{\"StringLike\":{\"kmsfs:Path\":[\"/open/\${aws:username}/*\",\"/open/\${aws:username}\"]}}"
check "a policy with a variable" put mine
mkdir -m 777 "$MNT/open/$USER" "$MNT/open/other"
same "made in one's own" "0 $EACCES" "$(makes "$MNT/open/$USER/f") $(makes "$MNT/open/other/f")"

# ---- what explain says is what happens there
explain() { "$KMSFS" policy explain --kms "unix:$KMS_SOCKET" --user "$USER" --operation "$1" "$2"; }
mkdir "$WORK/bound" && mount --bind "$MNT/open" "$WORK/bound"
same "explain knows where it is" "Allow Deny Allow Deny" \
    "$(for path in "$MNT/open/$USER/f" "$MNT/open/moved" "$WORK/bound/$USER/f" "$WORK/bound/moved"; do explain read "$path" | sed -n '1s/:.*//p' | sed 's/ImplicitDeny/Deny/'; done | xargs)"
same "and where it will be" "Allow Deny" \
    "$(for path in "$MNT/open/$USER/new" "$MNT/open/other/new"; do explain create "$path" | sed -n '1s/:.*//p' | sed 's/ImplicitDeny/Deny/'; done | xargs)"
check "the bind goes" umount "$WORK/bound"

# ---- no path is asked for where no policy has one, and none is in any record
policy free ""
check "a policy without" put free
same "second names and directories move again" "0 0" \
    "$(does 'os.link(args[0], args[1])' "$MNT/top" "$MNT/open/again") $(moves "$MNT/open/dir2" "$MNT/open/dir3")"
check "unmount" unmount_volume
check "kmsd stops" stop_kmsd
if grep -rqE "moved|deep2|$LONG" "$WORK"/kmsd-store/audit "$WORK"/*.log; then
    fail "no name in trail or log" "$(grep -rlE "moved|deep2|$LONG" "$WORK"/kmsd-store/audit "$WORK"/*.log)"
else
    pass "no name in trail or log"
fi
finish
