#!/usr/bin/env bash
# The ways to mount besides `kmsfs mount`: mount(8), a line of fstab, systemd units; and that what is
# installed beside the programs is sound: units, manual pages, completions.
. "$(dirname "$0")/lib/lib.sh"
need mount findmnt systemd-analyze man python3 setpriv

HELPER=/sbin/mount.kmsfs
MADE=
if [ ! -e $HELPER ]; then ln -s "$KMSFS" $HELPER && MADE=1; fi
trap '[ -n "$MADE" ] && rm -f $HELPER; clean_up' EXIT

options="keystore=$STORE,log=$WORK/mount.log"
check "mount -t kmsfs of an empty directory" mount -t kmsfs "$LOWER" "$MNT" -o "$options,key=alias/aws/kmsfs"
echo content >"$MNT/file"
check "findmnt shows its type" sh -c "findmnt -no FSTYPE '$MNT' | grep -q kmsfs"
same "findmnt shows its source" "$LOWER" "$(findmnt -no SOURCE "$MNT")"
check "umount(8)" umount "$MNT"
for _ in $(seq 100); do "$KMSFS" mount "$LOWER" "$MNT" -o "$options" 2>/dev/null && break; sleep 0.1; done
same "remount" "content" "$(cat "$MNT/file")"
check "umount again" unmount_volume

echo "$LOWER $MNT kmsfs $options,noauto,nofail,_netdev,x-systemd.requires=kmsd.service,noatime 0 0" >"$WORK/fstab"
check "mount by a line of fstab" mount -T "$WORK/fstab" "$MNT"
same "its content" "content" "$(cat "$MNT/file")"
check "options reach the kernel" sh -c "findmnt -no OPTIONS '$MNT' | grep -q noatime"
check "umount" unmount_volume

check "mount read-only" mount -t kmsfs -r "$LOWER" "$MNT" -o "$options"
same "writing is refused with EROFS" 30 "$(errno_of 'open(args[0], "w")' "$MNT/new")"
same "reading works" "content" "$(cat "$MNT/file")"
check "umount" unmount_volume

mount -t kmsfs "$LOWER" "$MNT" -o "$options,nosuchoption" 2>"$WORK/err"
same "mount(8) gets its error code" 1 "$?"
check "and the option is named" grep -q nosuchoption "$WORK/err"
check "mount -f only pretends" mount -f -t kmsfs "$LOWER" "$MNT" -o "$options"
same "nothing is mounted" "" "$(mounts_below "$WORK")"

# ---- several users on one mount
check "mount for everybody" mount_volume
chmod 755 "$MNT" "$WORK"
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
mkdir -m 1777 "$MNT/shared"
check "another user writes" as 65534 sh -c "echo mine >'$MNT/shared/mine' && chmod 600 '$MNT/shared/mine'"
same "and owns it" "65534:65534" "$(stat -c %u:%g "$MNT/shared/mine")"
check "and reads it back" as 65534 grep -q mine "$MNT/shared/mine"
check "mode bits keep a third one out" sh -c "! setpriv --reuid 4000 --regid 4000 --clear-groups cat '$MNT/shared/mine' 2>/dev/null"
check "virtual attributes" sh -c "getfattr --only-values -n kmsfs.suite '$MNT/file' | grep -q aes-256-gcm-siv"
check "kmsfs info" "$KMSFS" info "$MNT/file"
check "kmsfs info --json" sh -c "'$KMSFS' info --json '$MNT/file' | python3 -m json.tool"
check "unmount" unmount_volume
check "kmsfs info of a lower file" "$KMSFS" info "$(find "$LOWER" -maxdepth 1 -type f ! -name 'kmsfs.dir' | head -n 1)"

# ---- kmsfs mount --config, as kmsfs@.service runs it
printf 'lower = "%s"\nmountpoint = "%s"\noptions = "%s"\n' "$LOWER" "$MNT" "$options" >"$WORK/mount.toml"
"$KMSFS" mount -f --config "$WORK/mount.toml" >"$WORK/foreground.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 200); do [ -n "$(mounts_below "$WORK")" ] && break; sleep 0.05; done
same "mount by a configuration file" "content" "$(cat "$MNT/file")"
kill "${PIDS[-1]}"; wait "${PIDS[-1]}"
same "SIGTERM unmounts and ends well" 0 "$?"
same "and nothing is mounted" "" "$(mounts_below "$WORK")"

# ---- units
for unit in "$TOP"/contrib/systemd/*; do
    name=$(basename "$unit")
    # verify wants the programs where the unit says they are installed.
    mkdir -p "$WORK/units"
    sed "s#/usr\(/local\)\?/s\?bin/kmsd#$KMSD#; s#/usr\(/local\)\?/s\?bin/kmsfs#$KMSFS#" "$unit" >"$WORK/units/$name"
done
for unit in "$WORK"/units/*; do
    name=$(basename "$unit")
    case $name in *@.*) instance=$WORK/units/${name/@./@x.}; cp "$unit" "$instance"; unit=$instance ;; esac
    out=$(SYSTEMD_UNIT_PATH="$WORK/units:" systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$WORK/units")
    same "systemd-analyze verify $name" "" "$out"
done
check "kmsd.service is exposed at most 2.0" systemd-analyze security --no-pager --offline=true --threshold=20 "$WORK/units/kmsd.service"

# ---- manual pages and completions
found=0
for page in "$TOP"/contrib/man/*.[1-8]; do
    found=$((found + 1))
    same "man $(basename "$page")" "" "$(LC_ALL=C MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | head -n 3)"
done
check "there are manual pages" test "$found" -ge 3
check "bash completions parse" sh -c "for f in '$TOP'/contrib/completions/*.bash; do bash -n \"\$f\" || exit 1; done"
mkdir "$WORK/generated"
check "manual pages are generated" "$KMSFS" generate man "$WORK/generated"
for page in "$WORK"/generated/*; do
    check "$(basename "$page") is current" cmp "$page" "$TOP/contrib/man/$(basename "$page")"
done
finish
