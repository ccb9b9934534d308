#!/usr/bin/env bash
# Keys that are asked for ahead of somebody who goes through a tree: as the audit trail tells it.
. "$(dirname "$0")/lib/lib.sh"
need python3 getfattr setpriv

USER1=kmsfs-ahead-$$
useradd -M "$USER1" && trap 'userdel "$USER1"; clean_up' EXIT
as_user() { setpriv --reuid "$USER1" --regid "$USER1" --clear-groups "$@"; }
chmod 755 "$WORK"
# Whose order is that of making, backwards; that of ext4 depends on the names, which are another one each time.
mkdir -p "$LOWER" && mount -t tmpfs tmpfs "$LOWER"
check "mount" mount_volume
chmod 755 "$MNT"
# A file in each of many directories, so that none is met in a directory that he has seen; and a directory whose
# names he cannot list, while each in it is open to whoever knows its name.
python3 - "$MNT" <<'PY' && pass "a tree" || fail "a tree"
import os, sys
os.umask(0o022)
for top, directories in (("tree", 300), ("closed", 60)):
    for n in range(directories):
        path = f"{sys.argv[1]}/{top}/{'p%d' % (n // 20) if top == 'tree' else ''}/d{n}"
        os.makedirs(path)
        open(f"{path}/f", "w").write(f"{top} {n}\n")
os.chmod(f"{sys.argv[1]}/closed", 0o711)
PY
find "$MNT" -type f -exec getfattr --absolute-names -n kmsfs.file-id {} + 2>/dev/null >"$WORK/ids"
check "unmount" unmount_volume

# trail: of the user's records on files, a line each, oldest first: asked by himself or ahead, where, and which.
trail() {
    python3 - "$WORK/ids" "$(id -u "$USER1")" "$STORE" <<'PY'
import json, os, re, sys
text = open(sys.argv[1]).read()
paths = {m[2]: m[1] for m in re.finditer(r'# file: (.*)\nkmsfs\.file-id="([0-9a-f]+)"', text)}
assert len(paths) == 360, len(paths)
found = []
for path, _, names in os.walk(sys.argv[3]):
    for file in (os.path.join(path, name) for name in names):
        for line in open(file, "rb") if os.path.isfile(file) else ():
            if not line.startswith(b'{"sequence"'):
                continue
            record = json.loads(line)
            more = record.get("additionalEventData") or {}
            id = ((record.get("requestParameters") or {}).get("encryptionContext") or {}).get("kmsfs:file")
            if id in paths and str((more.get("onBehalfOf") or {}).get("uid")) == sys.argv[2]:
                where = paths[id].split("/mnt/")[-1]
                found.append((record["sequence"], "ahead" if more.get("ahead") else "himself", where.split("/")[0], where))
for _, *line in sorted(found):
    print(*line)
PY
}
# since LINES: those after so many, in $WORK/trail.
since() { trail | tail -n +$(($1 + 1)) >"$WORK/trail"; }
counted() { grep -c "^$1 $2 " "$WORK/trail"; }
few() {
    local himself ahead
    himself=$(counted himself tree) ahead=$(counted ahead tree)
    [ $((himself * 2)) -lt "$ahead" ] && pass "$1" || fail "$1" "$himself by himself, $ahead ahead"
}

check "mount" mount_volume
same "nobody has asked for anything" "" "$(trail 2>&1)"
same "he finds all of them" 300 "$(as_user grep -r tree "$MNT/tree" | wc -l)"
check "unmount" unmount_volume
since 0
same "each has its record" 300 "$(cut -d' ' -f3 "$WORK/trail" | sort -u | wc -l)"
few "most were asked for when he opened their directory"
same "nothing where he was not and may not look" 0 "$(grep -c closed "$WORK/trail")"

before=$(trail | wc -l)
check "mount" mount_volume
same "he opens them one after the other, and lists nothing" 300 "$(as_user sh -c '
n=0
while [ $n -lt 300 ]; do read -r line <"$1/tree/p$((n / 20))/d$n/f" && echo "$line"; n=$((n + 1)); done' sh "$MNT" | wc -l)"
check "unmount" unmount_volume
since "$before"
few "most were asked for before he came"

before=$(trail | wc -l)
check "mount" mount_volume
for n in 0 1 2 3 4 5 6 7; do as_user cat "$MNT/closed/d$n/f"; done >"$WORK/read"
same "he reads what he knows the names of" 8 "$(wc -l <"$WORK/read")"
check "unmount" unmount_volume
since "$before"
same "and is led to nothing else there" 8 "$(grep closed "$WORK/trail" | cut -d' ' -f3 | sort -u | wc -l)"

finish
