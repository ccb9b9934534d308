"""Random sequences of calls on two directories at once: what each call gives, and what is there afterwards, must be
the same on both. `likeext4.py` runs them on a mount and on ext4.

What follows symlinks as root must not get out: the calls are made by a process whose root directory is the test's own."""

import errno
import hashlib
import mmap
import os
import pickle
import random
import stat
import struct
import traceback

from mounted import TRANSPORT
from corners import EXCHANGE, KEEP_SIZE, NOREPLACE, PUNCH, WHITEOUT, ZERO, fallocate, libc

# Short and long ones, with bytes of all kinds.
LEAVES = [b"a", b"b", b"c", b"dir", b"Sub", b"n" * 255, bytes(range(1, 47)), b"\xff\xfe ", b"kmsfs.dir", b"~x.n"]
FOLDERS = [b"", b"d1/", b"d1/d2/", b"d3/", b"s/"]
# Who calls: user, group, further groups.
CALLERS = [(0, 0, []), (0, 0, []), (0, 0, []), (1001, 1001, []), (1001, 1001, [1002]), (1002, 1002, [1001])]
ATTRIBUTES = ["user.a", "user.b", "user." + "x" * 200, "trusted.t", "security.s"]
EDGES = [0, 1, 4095, 4096, 4097, 8191, 65536, 196607, 196608, 196609, 200_000, 262_144, 458_752, 700_000]
AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_REMOVEDIR = 0x1000, 0x400, 0x200


def acl(rng):
    """An access control list as the kernel takes it, now and then a wrong one."""
    entries = [(1, rng.randrange(8), -1)]
    users = [(2, rng.randrange(8), who) for who in (1001, 1002) if rng.random() < 0.5]
    entries += users + [(4, rng.randrange(8), -1)]
    if users or rng.random() < 0.5 or rng.random() < 0.03:
        entries.append((16, rng.randrange(8), -1))
    entries.append((32, rng.randrange(8), -1))
    if rng.random() < 0.03:
        entries.pop(rng.randrange(len(entries)))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, who & 0xffffffff) for tag, perm, who in entries)


def code(call):
    """What a call gives: its value, or the name of its errno."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)


class Side:
    """One of the two directories, and the descriptors that are open below it."""

    def __init__(self, path):
        self.path = os.fsencode(path)
        self.root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.fds = {}

    def fd(self, slot):
        if slot not in self.fds:
            raise OSError(errno.EBADF, "no such slot")
        return self.fds[slot]

    def keep(self, slot, fd):
        if slot in self.fds:
            os.close(self.fds[slot])
        self.fds[slot] = fd


def facts(st):
    """What of stat(2) is the same on every filesystem."""
    size = None if stat.S_ISDIR(st.st_mode) else st.st_size
    return oct(st.st_mode), st.st_nlink, st.st_uid, st.st_gid, size, st.st_rdev


def outside_of_data(fd):
    """Bytes that are not zero where SEEK_DATA and SEEK_HOLE say that there is a hole. What is reserved or zeroed counts
    as data here and as a hole there, so the maps themselves are not compared."""
    end, at, wrong = os.fstat(fd).st_size, 0, 0
    while at < end:
        start = code(lambda: os.lseek(fd, at, os.SEEK_DATA))
        if start == "ENXIO":
            start = end
        hole = os.pread(fd, start - at, at)
        wrong += len(hole) - hole.count(0)
        if start == end:
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        if at <= start:
            return f"no way on from {start}"
    return wrong


def snapshot(side):
    """Everything below a directory, by name."""
    found = {}
    todo = [b""]
    numbers = {}
    while todo:
        folder = todo.pop()
        for name in sorted(os.listdir(side.path + b"/" + folder)):
            path = folder + name
            whole = side.path + b"/" + path
            st = os.lstat(whole)
            row = {"stat": facts(st), "same": numbers.setdefault(st.st_ino, path) if st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode) else None,
                   "attributes": sorted((x, os.getxattr(whole, x, follow_symlinks=False)) for x in os.listxattr(whole, follow_symlinks=False))}
            if stat.S_ISDIR(st.st_mode):
                todo.append(path + b"/")
            elif stat.S_ISLNK(st.st_mode):
                row["target"] = os.readlink(whole)
            elif stat.S_ISREG(st.st_mode):
                fd = os.open(whole, os.O_RDONLY)
                content = os.pread(fd, 1 << 21, 0)
                row["content"] = (len(content), hashlib.sha256(content).hexdigest()[:12])
                os.close(fd)
            found[path] = row
    return found


class Sequence:
    """Calls from a seed. Each method that begins with `do_` picks its arguments, and returns their text and the call."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        # fuser does not know O_TMPFILE.
        without = {"do_tmpfile"} if TRANSPORT == "fuser" else set()
        self.kinds = [name for name in sorted(dir(self)) if name.startswith("do_") and name not in without]
        self.weights = [getattr(self, name).__func__.__defaults__[0] for name in self.kinds]
        self.clock = 1_000_000_000
        self.own = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)

    def path(self):
        folder = self.rng.choice(FOLDERS) if self.rng.random() < 0.8 else self.rng.choice(FOLDERS) + self.rng.choice(LEAVES[:5]) + b"/"
        leaf = self.rng.choice(LEAVES)
        if self.rng.random() < 0.01:
            leaf = self.rng.choice((b"m" * 256, b".", b"..", leaf + b"/"))
        return folder + leaf

    def folder(self):
        return (self.rng.choice(FOLDERS) or b".").rstrip(b"/")

    def slot(self):
        return self.rng.randrange(5)

    def length(self):
        return self.rng.choice((0, 1, 10, 100, 4095, 4096, 4097, 10_000, 65_536, 70_001))

    def offset(self):
        return self.rng.choice(EDGES) + self.rng.choice((-1, 0, 0, 0, 1, 7)) if self.rng.random() < 0.7 else self.rng.randrange(300_000)

    def data(self, length):
        return self.rng.randbytes(min(length, 50)) * (length // 50 + 1)

    def step(self):
        """Who calls, with which umask, what it is, and the call."""
        caller, mask = self.rng.choice(CALLERS), self.rng.choice((0o022, 0o077, 0, 0o027))
        kind = self.rng.choices(self.kinds, self.weights)[0]
        text, call = getattr(self, kind)()
        return caller, mask, f"{kind[3:]} {text}", call

    # ---- names
    def do_open(self, weight=14):
        path, slot = self.path(), self.slot()
        flags = self.rng.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR))
        for flag, chance in ((os.O_CREAT, 0.6), (os.O_EXCL, 0.1), (os.O_TRUNC, 0.15), (os.O_APPEND, 0.15), (os.O_NOFOLLOW, 0.1),
                             (os.O_DIRECTORY, 0.04), (os.O_SYNC, 0.05), (os.O_NOATIME, 0.03), (os.O_PATH, 0.03)):
            if self.rng.random() < chance:
                flags |= flag
        mode = self.rng.choice((0o644, 0o666, 0o600, 0o000, 0o4755, 0o2775, 0o777, 0o1666))

        def call(s):
            s.keep(slot, os.open(path, flags | os.O_NONBLOCK, mode, dir_fd=s.root))
            return "opened"
        return f"{path} {flags:#o} {mode:#o} -> {slot}", call

    def do_tmpfile(self, weight=2):
        path, slot, flags = self.folder(), self.slot(), self.rng.choice((os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_EXCL, os.O_RDONLY))

        def call(s):
            s.keep(slot, os.open(path, os.O_TMPFILE | flags, 0o640, dir_fd=s.root))
            return "opened"
        return f"{path} {flags:#o} -> {slot}", call

    def do_name_it(self, weight=3):
        path, slot = self.path(), self.slot()
        return f"{slot} {path}", lambda s: libc("linkat", s.fd(slot), b"", s.root, path, AT_EMPTY_PATH)

    def do_close(self, weight=3):
        slot = self.slot()

        def call(s):
            os.close(s.fd(slot))
            del s.fds[slot]
        return f"{slot}", call

    def do_mkdir(self, weight=6):
        path, mode = self.path(), self.rng.choice((0o755, 0o777, 0o700, 0o2775, 0o1777, 0o5777))
        return f"{path} {mode:#o}", lambda s: os.mkdir(path, mode, dir_fd=s.root)

    def do_rmdir(self, weight=2):
        path = self.path()
        return f"{path}", lambda s: os.rmdir(path, dir_fd=s.root)

    def do_unlink(self, weight=4):
        path = self.path()
        return f"{path}", lambda s: os.unlink(path, dir_fd=s.root)

    def do_rename(self, weight=10):
        old, new = self.path(), self.path()
        flags = self.rng.choice((0, 0, 0, 0, NOREPLACE, EXCHANGE, EXCHANGE, WHITEOUT, EXCHANGE | NOREPLACE, 8))
        return f"{old} {new} {flags}", lambda s: libc("renameat2", s.root, old, s.root, new, flags)

    def do_link(self, weight=6):
        old, new, flags = self.path(), self.path(), self.rng.choice((0, 0, AT_SYMLINK_FOLLOW))
        return f"{old} {new} {flags}", lambda s: libc("linkat", s.root, old, s.root, new, flags)

    def do_symlink(self, weight=4):
        target = self.rng.choice((self.path(), self.rng.choice(LEAVES), b"../" + self.path(), b"/no/where", b"t" * 4095, b"no/where", b""))
        path = self.path()
        return f"{target[:40]} {path}", lambda s: os.symlink(target, path, dir_fd=s.root)

    def do_readlink(self, weight=2):
        path = self.path()
        return f"{path}", lambda s: os.readlink(path, dir_fd=s.root)

    def do_mknod(self, weight=3):
        path, kind = self.path(), self.rng.choice((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR))
        mode, device = self.rng.choice((0o644, 0o666, 0o2770)), self.rng.choice((0, os.makedev(1, 3), os.makedev(300, 70000)))
        return f"{path} {kind | mode:#o} {device}", lambda s: os.mknod(path, kind | mode, device, dir_fd=s.root)

    def do_list(self, weight=4):
        path = self.folder()

        def call(s):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=s.root)
            try:
                with os.scandir(fd) as entries:
                    return sorted((e.name, e.is_dir(follow_symlinks=False), e.is_symlink()) for e in entries)
            finally:
                os.close(fd)
        return f"{path}", call

    def do_stat(self, weight=4):
        path, follow = self.path(), self.rng.random() < 0.5
        return f"{path} {follow}", lambda s: facts(os.stat(path, dir_fd=s.root, follow_symlinks=follow))

    def do_access(self, weight=3):
        path, mode = self.path(), self.rng.randrange(8)
        return f"{path} {mode}", lambda s: os.access(path, mode, dir_fd=s.root, effective_ids=True)

    # ---- attributes
    def do_chmod(self, weight=5):
        path, mode = self.path(), self.rng.choice((0o644, 0o600, 0o777, 0o4755, 0o2755, 0o6777, 0o2644, 0o1777, 0o400, 0o000, 0o070))
        return f"{path} {mode:#o}", lambda s: os.chmod(path, mode, dir_fd=s.root)

    def do_fchmod(self, weight=2):
        slot, mode = self.slot(), self.rng.choice((0o644, 0o600, 0o777, 0o6755, 0o2755))
        return f"{slot} {mode:#o}", lambda s: os.fchmod(s.fd(slot), mode)

    def do_chown(self, weight=5):
        path, uid, gid = self.path(), self.rng.choice((-1, 0, 1001, 1002)), self.rng.choice((-1, 0, 1001, 1002))
        follow = self.rng.random() < 0.6
        return f"{path} {uid} {gid} {follow}", lambda s: os.chown(path, uid, gid, dir_fd=s.root, follow_symlinks=follow)

    def do_times(self, weight=4):
        path, follow = self.path(), self.rng.random() < 0.7
        self.clock += 1_000
        times = (self.clock * 10**9 + 123_456_789, (self.clock + 5) * 10**9 + self.rng.randrange(10**9))

        def call(s):
            os.utime(path, ns=times, dir_fd=s.root, follow_symlinks=follow)
            st = os.stat(path, dir_fd=s.root, follow_symlinks=follow)
            return st.st_atime_ns if stat.S_ISREG(st.st_mode) else None, st.st_mtime_ns
        return f"{path} {times} {follow}", call

    def do_setxattr(self, weight=6):
        path, name, value = self.path(), self.rng.choice(ATTRIBUTES), self.data(self.rng.choice((0, 1, 100, 1000)))
        flags = self.rng.choice((0, 0, 0, os.XATTR_CREATE, os.XATTR_REPLACE))
        return f"{path} {name[:10]} {len(value)} {flags}", lambda s: os.setxattr(s.path + b"/" + path, name, value, flags, follow_symlinks=False)

    def do_getxattr(self, weight=3):
        path, name = self.path(), self.rng.choice(ATTRIBUTES + ["system.posix_acl_access", "system.posix_acl_default", "other.x"])
        return f"{path} {name[:10]}", lambda s: os.getxattr(s.path + b"/" + path, name, follow_symlinks=False)

    def do_removexattr(self, weight=2):
        path, name = self.path(), self.rng.choice(ATTRIBUTES + ["system.posix_acl_access", "system.posix_acl_default"])
        return f"{path} {name[:10]}", lambda s: os.removexattr(s.path + b"/" + path, name, follow_symlinks=False)

    def do_listxattr(self, weight=2):
        path = self.path()
        return f"{path}", lambda s: sorted(os.listxattr(s.path + b"/" + path, follow_symlinks=False))

    def do_acl(self, weight=4):
        path, value = self.path(), acl(self.rng)
        name = self.rng.choice(("system.posix_acl_access", "system.posix_acl_default"))
        return f"{path} {name[17:]} {value.hex()}", lambda s: os.setxattr(s.path + b"/" + path, name, value)

    # ---- content
    def do_pwrite(self, weight=12):
        slot, offset, data = self.slot(), self.offset(), self.data(self.length())
        return f"{slot} {offset} {len(data)}", lambda s: os.pwrite(s.fd(slot), data, offset)

    def do_write(self, weight=5):
        slot, data = self.slot(), self.data(self.length())
        return f"{slot} {len(data)}", lambda s: (os.write(s.fd(slot), data), os.lseek(s.fd(slot), 0, os.SEEK_CUR))

    def do_pread(self, weight=8):
        slot, offset, length = self.slot(), self.offset(), self.length()
        return f"{slot} {offset} {length}", lambda s: hashlib.sha256(os.pread(s.fd(slot), length, offset)).hexdigest()[:12]

    def do_read(self, weight=4):
        slot, length = self.slot(), self.length()

        def call(s):
            got = os.read(s.fd(slot), length)
            return len(got), hashlib.sha256(got).hexdigest()[:12]
        return f"{slot} {length}", call

    def do_seek(self, weight=6):
        slot, offset = self.slot(), self.offset()
        whence = self.rng.choice((os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, 9))
        return f"{slot} {offset} {whence}", lambda s: None if stat.S_ISDIR(os.fstat(s.fd(slot)).st_mode) else os.lseek(s.fd(slot), offset, whence)

    def do_holes(self, weight=4):
        slot = self.slot()

        def call(s):
            fd = s.fd(slot)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            os.fsync(fd)
            here = os.lseek(fd, 0, os.SEEK_CUR)
            found = outside_of_data(fd)
            os.lseek(fd, here, os.SEEK_SET)
            return found
        return f"{slot}", call

    def do_ftruncate(self, weight=5):
        slot, size = self.slot(), self.offset()
        return f"{slot} {size}", lambda s: os.ftruncate(s.fd(slot), size)

    def do_truncate(self, weight=4):
        path, size = self.path(), self.offset()
        return f"{path} {size}", lambda s: libc("truncate", s.path + b"/" + path, size)

    def do_fallocate(self, weight=6):
        slot, offset, length = self.slot(), self.offset(), self.length()
        mode = self.rng.choice((0, KEEP_SIZE, PUNCH | KEEP_SIZE, PUNCH | KEEP_SIZE, ZERO, ZERO | KEEP_SIZE, PUNCH, PUNCH | ZERO | KEEP_SIZE))
        return f"{slot} {mode} {offset} {length}", lambda s: fallocate(s.fd(slot), mode, offset, length)

    def do_copy_range(self, weight=5):
        a, b, at, to, length = self.slot(), self.slot(), self.offset(), self.offset(), self.length()
        return f"{a}@{at} {b}@{to} {length}", lambda s: os.copy_file_range(s.fd(a), s.fd(b), length, at, to)

    def do_sendfile(self, weight=2):
        a, b, at, length = self.slot(), self.slot(), self.offset(), self.length()

        def call(s):
            if not all(stat.S_ISREG(os.fstat(s.fd(x)).st_mode) for x in (a, b)):
                return None
            return os.sendfile(s.fd(b), s.fd(a), at, length)
        return f"{a}@{at} {b} {length}", call

    def do_map(self, weight=4):
        slot, offset, byte = self.slot(), self.offset(), self.rng.randrange(256)
        shared = self.rng.random() < 0.7

        def call(s):
            fd = s.fd(slot)
            size = os.fstat(fd).st_size
            if not stat.S_ISREG(os.fstat(fd).st_mode) or not 0 <= offset < size:
                return None
            with mmap.mmap(fd, size, mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) as area:
                before = area[offset:offset + 100]
                area[offset] = byte
                return hashlib.sha256(before).hexdigest()[:12]
        return f"{slot} {offset} {shared}", call

    def do_fsync(self, weight=3):
        slot = self.slot()
        return f"{slot}", lambda s: os.fsync(s.fd(slot))

    def do_fstat(self, weight=5):
        slot = self.slot()
        return f"{slot}", lambda s: facts(os.fstat(s.fd(slot)))

    def do_again(self, weight=3):
        """Opens once more what is open, by its number."""
        slot, other, flags = self.slot(), self.slot(), self.rng.choice((os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC))

        def call(s):
            if stat.S_ISFIFO(os.fstat(s.fd(slot)).st_mode):
                return None
            s.keep(other, os.open(str(s.fd(slot)), flags | os.O_NONBLOCK, dir_fd=self.own))
            return "opened"
        return f"{slot} -> {other} {flags:#o}", call


def as_caller(caller, mask, work):
    """Runs `work` in this process as somebody else."""
    uid, gid, groups = caller
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    os.umask(mask)
    try:
        return work()
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])
        os.umask(0o022)


def prepare(side):
    """Directories that are there in the beginning: everybody's, a user's, one with inherited groups."""
    for name, mode, owner in ((b"d1", 0o777, 0), (b"d1/d2", 0o777, 1001), (b"d3", 0o1777, 0), (b"s", 0o2777, 1002)):
        os.mkdir(name, dir_fd=side.root)
        os.chown(name, owner, owner, dir_fd=side.root)
        os.chmod(name, mode, dir_fd=side.root)


def differences(one, two, limit=4):
    """What of two snapshots is not the same."""
    found = []
    for path in sorted(set(one) | set(two)):
        a, b = one.get(path), two.get(path)
        if a != b:
            keys = [k for k in (a or b) if not a or not b or a.get(k) != b.get(k)]
            found.append(f"{path}: " + "; ".join(f"{k}: {a and a.get(k)} and {b and b.get(k)}" for k in keys))
    return found[:limit]


def run(seed, count, jail, plain, mount, known=lambda *_: False, every=50):
    """`count` calls on the directories `plain` and `mount`, both of them below `jail`. Returns what differed, the log of
    all calls, and how many of them succeeded."""
    down, up = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(down)
        with os.fdopen(up, "wb") as report:
            try:
                sequence = Sequence(seed)
                os.chroot(jail)
                os.chdir("/")
                inside = ["/" + os.path.relpath(path, jail) for path in (plain, mount)]
                answer = compare(sequence, count, [Side(path) for path in inside], known, every)
            except BaseException:
                answer = [("raised", traceback.format_exc(limit=-3))], [], 0
            pickle.dump(answer, report)
        os._exit(0)
    os.close(up)
    with os.fdopen(down, "rb") as report:
        answer = pickle.load(report)
    os.waitpid(child, 0)
    return answer


def compare(sequence, count, sides, known, every):
    """The calls of `sequence` on both sides, until the first difference."""
    found, log, good = [], [], 0
    for side in sides:
        prepare(side)
    for number in range(count):
        caller, mask, text, call = sequence.step()
        got = [as_caller(caller, mask, lambda: code(lambda: call(side))) for side in sides]
        log.append(f"{number}: {caller[0]} {mask:03o} {text} = {str(got[0])[:60]}")
        good += not isinstance(got[0], str) or got[0] == "opened"
        if got[0] != got[1] and not known(text, *got):
            found.append((log[-1], f"{got[0]} there, {got[1]} here"))
        # Slots that only one of them has would make all that follows differ.
        for slot in set(sides[0].fds) ^ set(sides[1].fds):
            for side in sides:
                if slot in side.fds:
                    os.close(side.fds.pop(slot))
        if number % every == every - 1 or number == count - 1 or found:
            states = differences(*map(snapshot, sides))
            states += [f"slot {slot}: {a} and {b}" for slot in sides[0].fds
                       for a, b in [[facts(os.fstat(s.fds[slot])) for s in sides]] if a != b]
            if states:
                found.append(("state", "; ".join(states)))
        if found:
            break
    return found, log, good
