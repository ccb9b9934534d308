#!/usr/bin/env bash
# Who waits can be interrupted, who watches is told: signals to programs that wait for a key service that does not
# answer, inotify, attributes of 64 KiB.
. "$(dirname "$0")/lib/lib.sh"
need python3 curl aws

start_kmsd && aws_credentials && pass "kmsd" || { fail "kmsd"; finish; }
check "a key that root may use" "$KMSFS" key create --alias alias/w --kms "unix:$KMS_SOCKET"
check "mount" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/w,kms_timeout=60,log=$WORK/mount.log"
echo x >"$MNT/file" && mkdir "$MNT/dir" && echo y >"$MNT/dir/file"
check "unmount" unmount_volume
check "mount again, nothing remembered" "$KMSFS" mount "$LOWER" "$MNT" -o "kms=unix:$KMS_SOCKET,key=alias/w,kms_timeout=60,log=$WORK/mount.log"

# ---- a key service that has stopped answering, and programs that wait for it
PID=$(cat "$WORK/kmsd.pid")
kill -STOP "$PID"
interrupted() { # SIGNAL COMMAND...: seconds that it lives after the signal, and how it ended
    python3 - "$@" <<'PY'
import signal, subprocess, sys, time
number = getattr(signal, sys.argv[1])
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
time.sleep(1)
if child.poll() is not None:
    sys.exit(f"it did not wait: {child.returncode}")
child.send_signal(number)
since = time.monotonic()
code = child.wait(timeout=30)
took = time.monotonic() - since
print("ended" if code == -number and took < 3 else f"{code} after {took:.1f} s")
PY
}
same "SIGINT ends a reader that waits" ended "$(interrupted SIGINT cat "$MNT/file")"
same "SIGTERM a listing" ended "$(interrupted SIGTERM ls "$MNT/dir")"
same "SIGKILL a writer" ended "$(interrupted SIGKILL sh -c "exec cat >'$MNT/new'")"
kill -CONT "$PID"
same "the others go on" "x y" "$(echo $(cat "$MNT/file" "$MNT/dir/file"))"

# ---- watchers
check "inotify tells of everything that is done through the mount" python3 - "$MNT/dir" <<'PY'
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0o2000000)
assert libc.inotify_add_watch(fd, sys.argv[1].encode(), 0xFFF) >= 0
seen = set()
def events():
    data, at = os.read(fd, 65536), 0
    while at < len(data):
        _, mask, _, length = struct.unpack_from("iIII", data, at)
        name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
        seen.add((mask & 0xFFF, name))
        at += 16 + length
os.chdir(sys.argv[1])
with open("a", "w") as file:
    file.write("x")
os.chmod("a", 0o600)
with open("a") as file:
    file.read()
os.rename("a", "b")
os.unlink("b")
events()
CREATE, MODIFY, ATTRIB, CLOSE_WRITE, ACCESS, FROM, TO, DELETE = 0x100, 0x2, 0x4, 0x8, 0x1, 0x40, 0x80, 0x200
wanted = {(CREATE, "a"), (MODIFY, "a"), (CLOSE_WRITE, "a"), (ATTRIB, "a"), (ACCESS, "a"), (FROM, "a"), (TO, "b"), (DELETE, "b")}
assert wanted <= seen, wanted - seen
PY

# ---- large attributes: as large as the lower filesystem takes them, less what sealing adds
check "unmount" unmount_volume
check "mount on a filesystem without a bound for attributes" python3 - <<'PY'
import os
path = "/dev/shm/kmsfs-waiting-probe"
open(path, "w").close()
try:
    os.setxattr(path, "user.a", b"x")
finally:
    os.unlink(path)
PY
SHM=$(mktemp -d /dev/shm/kmsfs-waiting-XXXXXX)
check "mount there" mount_volume "$SHM" "$MNT"
touch "$MNT/file"
same "attributes of 60,000 bytes, and none of 65,537" "60000 7" "$(python3 - "$MNT/file" <<'PY'
import os, sys
value = os.urandom(60000)
os.setxattr(sys.argv[1], "user.large", value)
assert os.getxattr(sys.argv[1], "user.large") == value
try:
    os.setxattr(sys.argv[1], "user.larger", bytes(65537))
except OSError as error:
    print(len(value), error.errno)
PY
)"
check "unmount" unmount_volume
rm -rf "$SHM"
finish
