"""Corners of POSIX and Linux as small programs on a directory. Each yields what it saw; `posix.py` runs them on a
mount and on ext4 and compares. What differs between any two filesystems (inode numbers, absolute times, sizes of
directories) is not yielded."""

import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
F_OFD_SETLK = 37
USER, OTHER = 65534, 1
PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


def said(call, *args, **named):
    """The result of a call, or the name of its errno."""
    try:
        return call(*args, **named)
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)


def libc(name, *args):
    if getattr(LIBC, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, name)
    return 0


def renameat2(old, new, flags):
    return libc("renameat2", AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)


def name_it(fd, new):
    return libc("linkat", AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, os.fsencode(new), 0x400)


def fallocate(fd, mode, offset, length):
    return libc("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def facts(path):
    st = os.lstat(path)
    return oct(st.st_mode), st.st_nlink, st.st_uid, st.st_gid, None if stat.S_ISDIR(st.st_mode) else st.st_size


def as_user(uid, gid, groups, work):
    """Runs `work` as somebody else in a child; what it yields comes back."""
    down, up = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.write(up, repr(said(work)).encode())
        os._exit(0)
    os.close(up)
    os.waitpid(child, 0)
    text = os.read(down, 65536).decode()
    os.close(down)
    return text


def put(path, data=b"x", mode=0o644):
    path.write_bytes(data)
    os.chmod(path, mode)
    return path


@program
def rename_flags(top):
    a, b, folder = put(top / "a", b"aa"), put(top / "b", b"b"), top / "dir"
    folder.mkdir()
    put(folder / "inside")
    os.symlink("target", top / "link")
    yield said(renameat2, a, b, NOREPLACE)
    yield said(renameat2, a, top / "c", NOREPLACE)
    yield said(renameat2, top / "c", b, EXCHANGE), b.read_bytes(), (top / "c").read_bytes()
    yield said(renameat2, top / "c", folder, EXCHANGE), sorted(os.listdir(top / "c")), facts(folder)
    yield said(renameat2, top / "link", b, EXCHANGE), os.readlink(b), facts(top / "link")
    yield said(renameat2, b, top / "none", EXCHANGE)
    yield said(renameat2, top / "link", top / "moved", WHITEOUT), sorted(os.listdir(top))
    st = os.lstat(top / "link")
    yield stat.S_ISCHR(st.st_mode), st.st_rdev
    yield said(renameat2, top / "moved", top / "x", NOREPLACE | EXCHANGE)
    yield said(os.rename, top / "c", top / "c" / "below")
    yield said(os.rename, top / "c", top / "moved"), said(os.rename, top / "moved", top / "c")
    os.link(top / "moved", top / "same")
    yield said(os.rename, top / "moved", top / "same"), facts(top / "same")
    os.symlink("target", top / "covered")
    yield said(renameat2, top / "covered", top / "plain", WHITEOUT), stat.S_ISCHR(os.lstat(top / "covered").st_mode)
    # A symlink with three names, one of which changes and one of which is exchanged.
    for name in ("second", "third"):
        os.link(top / "plain", top / name, follow_symlinks=False)
    yield said(os.rename, top / "second", top / "other"), said(renameat2, top / "third", top / "moved", EXCHANGE)
    names = [top / name for name in ("plain", "other", "moved")]
    yield [facts(name) for name in names], {os.readlink(name) for name in names}, len({os.lstat(name).st_ino for name in names})
    # A replaced directory that is open.
    (top / "new").mkdir()
    (top / "old").mkdir()
    fd = os.open(top / "old", os.O_RDONLY)
    yield said(os.rename, top / "new", top / "old"), os.fstat(fd).st_nlink, os.listdir(fd)
    os.close(fd)


@program
def tmpfile(top):
    fd = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"nameless")
    yield os.fstat(fd).st_nlink, os.fstat(fd).st_size, os.listdir(top)
    os.fsync(fd)
    yield said(name_it, fd, top / "named")
    yield facts(top / "named"), (top / "named").read_bytes(), os.fstat(fd).st_nlink
    os.write(fd, b" no more")
    os.close(fd)
    yield (top / "named").read_bytes()
    fd = os.open(top, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    yield said(name_it, fd, top / "never")
    os.close(fd)
    fd = os.open(top, os.O_TMPFILE | os.O_WRONLY, 0o600)
    yield said(name_it, fd, top / "n")
    yield said(name_it, fd, top / ("l" * 255))
    os.close(fd)
    yield sorted(len(n) for n in os.listdir(top)), facts(top / ("l" * 255))


@program
def unlinked_but_open(top):
    folder = top / "gone"
    folder.mkdir()
    path = put(folder / "file", b"0123456789")
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    os.rmdir(folder)
    yield os.fstat(fd).st_nlink, os.fstat(fd).st_size
    os.ftruncate(fd, 4)
    yield os.pread(fd, 100, 0)
    os.pwrite(fd, b"far", 100000)
    yield os.fstat(fd).st_size, os.pread(fd, 4, 99999)
    yield said(os.fchmod, fd, 0o600), said(os.fchown, fd, USER, OTHER), oct(os.fstat(fd).st_mode), os.fstat(fd).st_uid
    yield said(os.utime, fd, (1, 2)), os.fstat(fd).st_mtime
    yield said(os.setxattr, fd, "user.a", b"v"), said(os.getxattr, fd, "user.a"), said(os.listxattr, fd)
    yield said(os.fsync, fd), said(name_it, fd, top / "back")
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    yield os.read(again, 4)
    os.close(again)
    os.close(fd)
    # Replaced, not removed.
    first, second = put(top / "first", b"first"), put(top / "second", b"second")
    fd = os.open(second, os.O_RDONLY)
    os.rename(first, second)
    yield os.read(fd, 10), os.fstat(fd).st_nlink, second.read_bytes()
    os.close(fd)


@program
def removed_working_directory(top):
    folder = top / "here"
    folder.mkdir()
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        os.rmdir(folder)
        yield said(os.listdir, "."), said(os.open, "new", os.O_CREAT | os.O_RDWR), said(os.mkdir, "sub")
        yield said(os.stat, ".").st_nlink, said(os.getcwd), said(os.stat, "..") != "ENOENT"
        yield said(os.symlink, "a", "b"), said(os.link, top, "c"), said(os.chmod, ".", 0o700)
    finally:
        os.fchdir(before)
        os.close(before)


@program
def appends_of_many(top):
    path = top / "log"
    path.touch()
    children = []
    for who in range(6):
        child = os.fork()
        if child == 0:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            for n in range(150):
                os.write(fd, b"%d:%03d%s\n" % (who, n, b"." * (n % 40)))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    lines = path.read_bytes().split(b"\n")
    yield len(lines), sorted(lines)
    for who in range(6):
        mine = [line for line in lines if line.startswith(b"%d:" % who)]
        yield mine == sorted(mine)
    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    size = os.fstat(fd).st_size
    os.pwrite(fd, b"end", 0)
    yield os.fstat(fd).st_size - size, os.pread(fd, 3, size)
    os.close(fd)


@program
def locks(top):
    path = put(top / "locked", b"x" * 100)
    mine, other = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    yield said(fcntl.flock, mine, fcntl.LOCK_EX), said(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield said(fcntl.flock, mine, fcntl.LOCK_SH), said(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(mine, fcntl.LOCK_UN)
    fcntl.lockf(mine, fcntl.LOCK_EX, 10, 5)

    def tries():
        fd = os.open(path, os.O_RDWR)
        return [said(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, n, at) for n, at in ((5, 0), (1, 5), (1, 14), (0, 15))]
    yield as_user(0, 0, [], tries)
    fcntl.lockf(mine, fcntl.LOCK_UN)
    record = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 50, 0)
    yield said(fcntl.fcntl, mine, F_OFD_SETLK, record) == record, said(fcntl.fcntl, other, F_OFD_SETLK, record)
    os.close(mine)
    yield said(fcntl.fcntl, other, F_OFD_SETLK, record) == record
    os.close(other)
    fd = os.open(path, os.O_RDONLY)
    yield said(fcntl.fcntl, fd, fcntl.F_SETLEASE, fcntl.F_RDLCK), said(fcntl.fcntl, fd, fcntl.F_GETLEASE)
    os.close(fd)


@program
def set_user_id(top):
    os.chmod(top, 0o777)

    def fresh(name, mode=0o6777):
        path = put(top / name)
        os.chown(path, USER, USER)
        os.chmod(path, mode)
        return path

    def mode(path):
        return oct(os.stat(path).st_mode)
    for who, name in ((0, "root"), (USER, "owner"), (OTHER, "other")):
        path = fresh("write-" + name)
        yield as_user(who, who, [], lambda: path.open("r+b").write(b"y")), mode(path)
        path = fresh("truncate-" + name)
        yield as_user(who, who, [], lambda: os.truncate(path, 0)), mode(path)
        path = fresh("open-truncate-" + name)
        yield as_user(who, who, [], lambda: path.open("wb").close()), mode(path)
        path = fresh("chown-" + name)
        yield as_user(who, who, [], lambda: os.chown(path, who, who)), mode(path)
        path = fresh("chmod-" + name)
        yield as_user(who, who, [], lambda: os.chmod(path, 0o6755)), mode(path)

        def maps():
            with path.open("r+b") as file, mmap.mmap(file.fileno(), 1) as area:
                area[0] = 65
                area.flush()
        path = fresh("mapped-" + name)
        yield as_user(who, who, [], maps), path.read_bytes()
    for what, how in (("extend", 0), ("reserve", KEEP_SIZE), ("punch", PUNCH | KEEP_SIZE), ("zero", ZERO)):
        path = fresh(what)
        yield what, as_user(OTHER, OTHER, [], lambda: fallocate(os.open(path, os.O_RDWR), how, 0, 8192)), mode(path)
    source, path = put(top / "source", b"s" * 5000), fresh("copied")
    yield as_user(OTHER, OTHER, [], lambda: os.copy_file_range(
        os.open(source, os.O_RDONLY), os.open(path, os.O_RDWR), 5000, 0, 0)), mode(path)
    path = fresh("locking", 0o2666)
    yield as_user(OTHER, OTHER, [], lambda: path.open("r+b").write(b"y")), mode(path)
    # A capability goes with the content it was given to.
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    for name, work in (("write", lambda p: p.open("r+b").write(b"y")), ("truncate", lambda p: os.truncate(p, 0)),
                       ("chown", lambda p: os.chown(p, OTHER, OTHER))):
        path = fresh("capability-" + name, 0o755)
        yield said(os.setxattr, path, "security.capability", capability)
        work(path)
        yield said(os.getxattr, path, "security.capability")
    # chmod by somebody outside of the file's group.
    path = fresh("group", 0o755)
    os.chown(path, USER, OTHER)
    yield as_user(USER, USER, [], lambda: os.chmod(path, 0o2755)), mode(path)
    yield as_user(USER, USER, [OTHER], lambda: os.chmod(path, 0o2755)), mode(path)


@program
def inherited_groups(top):
    shared = top / "shared"
    shared.mkdir()
    os.chown(shared, 0, OTHER)
    os.chmod(shared, 0o2777)

    def makes():
        os.umask(0o027)
        (shared / "file").touch()
        (shared / "dir").mkdir()
        (shared / "dir" / "deep").mkdir()
        os.symlink("x", shared / "link")
        os.mkfifo(shared / "fifo")
        os.close(os.open(shared / "gid", os.O_CREAT | os.O_RDWR, 0o2775))
    for groups in ([], [OTHER]):
        yield as_user(USER, USER, groups, makes)
        for name in ("file", "dir", "dir/deep", "link", "fifo", "gid"):
            yield name, facts(shared / name)
        subprocess.run(["rm", "-rf", *map(str, shared.iterdir())], check=True)
    os.chmod(shared, 0o1777)
    put(shared / "roots", b"", 0o666)
    yield as_user(USER, USER, [], lambda: os.unlink(shared / "roots"))
    yield as_user(USER, USER, [], lambda: os.rename(shared / "roots", shared / "mine"))


def acl_text(path):
    out = subprocess.run(["getfacl", "-pcn", str(path)], capture_output=True, text=True)
    return out.stdout, out.stderr


@program
def acls(top):
    folder = top / "folder"
    folder.mkdir()
    def setfacl(*args):
        return subprocess.run(["setfacl", *map(str, args)], capture_output=True).returncode
    yield setfacl("-d", "-m", f"u:{USER}:rwx,g:{OTHER}:rx,m::rwx", folder)
    os.umask(0o077)
    (folder / "file").touch()
    (folder / "sub").mkdir()
    os.close(os.open(folder / "asked", os.O_CREAT | os.O_RDWR, 0o640))
    os.mkfifo(folder / "fifo", 0o666)
    os.umask(0o022)
    for name in ("", "file", "sub", "asked", "fifo"):
        yield name, acl_text(folder / name), oct(os.stat(folder / name).st_mode)
    path = put(top / "one", b"secret", 0o600)
    yield as_user(USER, USER, [], path.read_bytes)
    yield setfacl("-m", f"u:{USER}:r", path), oct(os.stat(path).st_mode), as_user(USER, USER, [], path.read_bytes)
    os.chmod(path, 0o600)
    yield acl_text(path), as_user(USER, USER, [], path.read_bytes)
    os.chmod(path, 0o640)
    yield acl_text(path), as_user(USER, USER, [], path.read_bytes), as_user(OTHER, OTHER, [USER], path.read_bytes)
    yield setfacl("-b", path), acl_text(path), setfacl("-k", folder), acl_text(folder)
    (folder / "after").touch()
    yield acl_text(folder / "after")
    yield said(os.getxattr, path, "system.posix_acl_access"), said(os.listxattr, path)


@program
def attributes(top):
    path, folder = put(top / "file"), top / "dir"
    folder.mkdir()
    os.symlink("nowhere", top / "link")
    for target in (path, folder):
        for name in ("user.a", "user." + "n" * 240, "trusted.t", "security.s", "user."):
            yield name[:20], said(os.setxattr, target, name, b"value"), said(os.getxattr, target, name)
        yield said(os.setxattr, target, "user.a", b"w", os.XATTR_CREATE), said(os.setxattr, target, "user.z", b"w", os.XATTR_REPLACE)
        yield said(os.setxattr, target, "user.empty", b""), said(os.getxattr, target, "user.empty")
        yield said(os.setxattr, target, "user.bytes", bytes(range(256))), said(os.getxattr, target, "user.bytes")
        yield sorted(os.listxattr(target))
        yield said(os.removexattr, target, "user.a"), said(os.removexattr, target, "user.a"), said(os.getxattr, target, "user.a")
        yield said(os.setxattr, target, "nosuch.a", b"v"), said(os.getxattr, target, "nosuch.a")
        yield as_user(USER, USER, [], lambda: (said(os.getxattr, target, "trusted.t"), said(os.setxattr, target, "user.u", b"v")))
    yield said(os.setxattr, top / "link", "user.a", b"v", follow_symlinks=False)
    yield said(os.setxattr, top / "link", "trusted.a", b"v", follow_symlinks=False)
    yield said(os.getxattr, top / "link", "trusted.a", follow_symlinks=False)


@program
def links_and_names(top):
    for length in (1, 59, 60, 255, 256, 2000, 4000, 4095, 4096):
        target = ("t" * 200 + "/") * 30
        target = target[:length]
        link = top / f"link{length}"
        yield length, said(os.symlink, target, link)
        if length < 4096:
            yield os.readlink(link) == target, os.lstat(link).st_size, said(os.rename, link, top / "moved"), os.lstat(top / "moved").st_size
            yield os.readlink(top / "moved") == target, said(os.link, top / "moved", top / "hard", follow_symlinks=False)
            yield os.readlink(top / "hard") == target, facts(top / "hard")[1:2], said(os.unlink, top / "hard"), said(os.unlink, top / "moved")
    for name in (b"n" * 255, b"n" * 256, bytes(range(1, 47)), bytes(range(48, 256)), "ä".encode() * 127, b" ", b"-rf", b"\n", b".kmsfs", b"kmsfs.dir", b"~x.n", b"...", b"kmsfs.\xff"):
        path = os.fsencode(top) + b"/" + name
        yield name[:20], said(os.mkdir, path), name in os.listdir(os.fsencode(top)), said(os.rename, path, path[:-1] + b"+") if len(name) < 256 else None
        said(os.rmdir, path[:-1] + b"+")
        said(os.rmdir, path)


@program
def long_paths(top):
    here = os.open(".", os.O_RDONLY)
    depth = 0
    try:
        os.chdir(top)
        # Legal above by parts, and far beyond PATH_MAX below.
        for depth in range(40):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        pathlib.Path("file").write_bytes(b"deep")
        yield depth, pathlib.Path("file").read_bytes(), said(os.stat, "../" * 3 + "d" * 200).__class__.__name__
        os.unlink("file")
        for _ in range(40):
            os.chdir("..")
            os.rmdir("d" * 200)
        yield os.listdir(".")
    finally:
        os.fchdir(here)
        os.close(here)
    whole = os.fsencode(top)
    name = b"a" * (4095 - len(whole) - 1 - 16 * 250 if len(whole) < 90 else 10)
    yield said(os.stat, whole + b"/" + b"x" * 4096)


@program
def times(top):
    path = put(top / "file")
    os.utime(path, ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    yield os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns

    def utimens(atime, mtime):
        spec = (ctypes.c_long * 4)(*atime, *mtime)
        return libc("utimensat", AT_FDCWD, os.fsencode(path), spec, 0)
    now, omit = (0, (1 << 30) - 1), (0, (1 << 30) - 2)
    yield said(utimens, omit, (7, 8)), os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns
    yield said(utimens, (9, 10), omit), os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns
    yield said(utimens, now, omit), abs(os.stat(path).st_atime - time.time()) < 5, os.stat(path).st_mtime_ns
    yield said(utimens, omit, omit), said(utimens, (0, 1 << 31), (0, 0))
    yield said(utimens, (-5, 500), (-1_000_000, 999_999_999)), os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns
    yield said(utimens, (4_000_000_000, 1), (4_300_000_000, 2)), os.stat(path).st_mtime_ns
    before = os.stat(path)
    time.sleep(0.02)
    os.chmod(path, 0o600)
    yield os.stat(path).st_ctime_ns > before.st_ctime_ns, os.stat(path).st_mtime_ns == before.st_mtime_ns
    for name, work in (("write", lambda: path.open("ab").write(b"y")), ("truncate", lambda: os.truncate(path, 100)),
                       ("same size", lambda: os.truncate(path, 100)), ("empty write", lambda: path.open("ab").write(b""))):
        os.utime(path, (5, 5))
        before = os.stat(path).st_ctime_ns
        time.sleep(0.02)
        work()
        yield name, os.stat(path).st_mtime > 5, os.stat(path).st_ctime_ns > before
    with path.open("r+b") as file:
        file.write(b"later")
        file.flush()
        os.utime(path, (7, 7))
    yield os.stat(path).st_mtime
    for name, work in (("create", lambda: (top / "new").touch()), ("rename", lambda: os.rename(top / "new", top / "old")),
                       ("link", lambda: os.link(top / "old", top / "second")), ("unlink", lambda: os.unlink(top / "second"))):
        os.utime(top, (5, 5))
        work()
        yield name, os.stat(top).st_mtime > 5
    yield as_user(USER, USER, [], lambda: os.utime(path, (1, 1))), as_user(USER, USER, [], lambda: os.utime(path))


@program
def sizes_and_holes(top):
    path = top / "sparse"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 1 << 43)
    yield os.fstat(fd).st_size, os.fstat(fd).st_blocks, os.pread(fd, 3, (1 << 43) - 3)
    os.pwrite(fd, b"x" * 4096, 1 << 40)
    yield os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 1 << 40, os.SEEK_HOLE), said(os.lseek, fd, (1 << 40) + 4096, os.SEEK_DATA)
    yield said(os.lseek, fd, 1 << 43, os.SEEK_DATA), said(os.lseek, fd, 5, os.SEEK_HOLE)
    os.ftruncate(fd, 0)
    for size in (1, 4095, 4096, 4097, 200_000, 196_607, 196_608, 100, 0, 70_000):
        os.ftruncate(fd, size)
        os.pwrite(fd, b"e", size - 1 if size else 0)
        yield size, os.fstat(fd).st_size
    os.ftruncate(fd, 0)
    os.pwrite(fd, bytes(range(1, 251)) * 400, 0)
    for mode, offset, length in ((0, 90_000, 30_000), (KEEP_SIZE, 0, 500_000), (PUNCH | KEEP_SIZE, 4096, 8192), (PUNCH | KEEP_SIZE, 5, 100),
                                 (PUNCH, 0, 1), (ZERO, 20_000, 10_001), (ZERO | KEEP_SIZE, 100_000, 100_000), (ZERO, 130_000, 10),
                                 (0, 0, 0), (0, -1, 5), (KEEP_SIZE | PUNCH, 1 << 40, 4096)):
        yield mode, offset, length, said(fallocate, fd, mode, offset, length), os.fstat(fd).st_size, hash_of(fd)
    yield said(os.ftruncate, fd, -1), said(os.lseek, fd, -1, os.SEEK_SET)
    os.close(fd)
    yield said(os.truncate, path, 5), path.read_bytes(), said(os.truncate, top, 0), said(os.truncate, top / "none", 0)


def hash_of(fd):
    import hashlib
    return hashlib.sha256(os.pread(fd, 1 << 20, 0)).hexdigest()[:16]


@program
def direct_io(top):
    path = top / "direct"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    area = mmap.mmap(-1, 1 << 18)
    area.write(os.urandom(0) + bytes(range(256)) * 1024)
    for offset, length in ((0, 4096), (8192, 65536), (4096, 4096), (1 << 20, 1 << 18)):
        yield os.pwritev(fd, [memoryview(area)[:length]], offset), os.fstat(fd).st_size
    back = mmap.mmap(-1, 1 << 18)
    yield os.preadv(fd, [back], 0), back[:20000] == area[:4096] + area[:4096] + area[:11808]
    with path.open("r+b") as buffered:
        buffered.seek(4096)
        buffered.write(b"buffered")
    yield os.preadv(fd, [memoryview(back)[:4096]], 4096), back[:8]
    os.utime(path, (1, 1))
    yield os.fstat(fd).st_mtime, os.pwritev(fd, [memoryview(area)[:4096]], 0), os.fstat(fd).st_mtime > 5
    os.close(fd)
    path.rename(top / "direct too")
    yield (top / "direct too").stat().st_mtime > 5


@program
def vectors(top):
    fd = os.open(top / "v", os.O_RDWR | os.O_CREAT | os.O_DSYNC, 0o600)
    yield os.pwritev(fd, [b"abc", b"", b"defgh"], 3, os.RWF_DSYNC), os.preadv(fd, [bytearray(20)], 0)
    yield os.pwritev(fd, [b"end"], 0, os.RWF_APPEND), os.pread(fd, 100, 0)
    yield said(os.preadv, fd, [bytearray(1)], 0, os.RWF_HIPRI) in (1, "EOPNOTSUPP")
    other = os.open(top / "w", os.O_RDWR | os.O_CREAT, 0o600)
    yield os.copy_file_range(fd, other, 8, 3, 2), os.pread(other, 100, 0)
    yield said(os.copy_file_range, fd, fd, 5, 0, 2), said(os.copy_file_range, fd, fd, 2, 0, 8), said(os.copy_file_range, fd, other, 5, 100)
    os.lseek(fd, 0, 0)
    yield os.sendfile(other, fd, 0, 5), os.fstat(other).st_size
    os.close(fd)
    os.close(other)


@program
def mapped(top):
    path = put(top / "m", b"0" * 10000)
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 10000)
        private = mmap.mmap(file.fileno(), 10000, flags=mmap.MAP_PRIVATE)
        shared[5000:5003] = b"abc"
        private[0:3] = b"xyz"
        yield path.read_bytes()[4999:5004], path.read_bytes()[:3]
        file.seek(6000)
        file.write(b"written")
        file.flush()
        yield shared[6000:6007]
        shared.flush()
        shared.close()
        private.close()
    yield path.read_bytes()[4999:5004], os.stat(path).st_size


@program
def special_files(top):
    os.mkfifo(top / "fifo", 0o640)
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(top)
    server.bind("socket")
    os.chdir(here)
    server.close()
    for name, mode, device in (("null", stat.S_IFCHR | 0o666, os.makedev(1, 3)), ("block", stat.S_IFBLK | 0o600, os.makedev(7, 300))):
        yield said(os.mknod, top / name, mode, device)
    yield said(os.mknod, top / "plain", stat.S_IFREG | 0o600), facts(top / "plain")
    for name in ("fifo", "socket", "null", "block"):
        yield name, facts(top / name), os.lstat(top / name).st_rdev
    yield as_user(USER, USER, [], lambda: os.mknod(top / "no", stat.S_IFCHR | 0o666, os.makedev(1, 3)))
    child = os.fork()
    if child == 0:
        with open(top / "fifo", "wb") as file:
            file.write(b"through")
        os._exit(0)
    yield (top / "fifo").read_bytes()
    os.waitpid(child, 0)
    # A reader that waits comes back when a signal does.
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.open(top / "fifo", os.O_RDONLY)
        os._exit(0)
    time.sleep(0.1)
    os.kill(child, signal.SIGINT)
    yield os.waitpid(child, 0)[1]


@program
def positions_in_a_directory(top):
    for n in range(300):
        (top / f"name{n}").touch()
    fd = os.open(top, os.O_RDONLY)
    opened = LIBC.fdopendir
    opened.restype = LIBC.readdir.restype = ctypes.c_void_p
    LIBC.telldir.restype = ctypes.c_long
    stream = ctypes.c_void_p(opened(fd))

    def entry():
        at = LIBC.readdir(stream)
        return ctypes.string_at(at + 19) if at else None
    seen, places = [], []
    while True:
        places.append(LIBC.telldir(stream))
        name = entry()
        if name is None:
            break
        seen.append(name)
    yield len(seen), sorted(seen)
    good = True
    for n in range(0, 300, 7):
        LIBC.seekdir(stream, ctypes.c_long(places[n]))
        good &= entry() == seen[n]
    yield good
    # Removing what was read does not hide what comes.
    LIBC.rewinddir(stream)
    left = 0
    while name := entry():
        if name not in (b".", b".."):
            os.unlink(os.fsencode(top) + b"/" + name)
            left += 1
    yield left, os.listdir(top)
    LIBC.closedir(stream)


@program
def access_by_others(top):
    os.chmod(top, 0o755)
    folder = top / "mine"
    folder.mkdir()
    os.chown(folder, USER, USER)

    def makes():
        os.umask(0)
        fd = os.open(folder / "write-only", os.O_WRONLY | os.O_CREAT, 0o200)
        os.write(fd, b"a" * 5000)
        os.pwrite(fd, b"b", 100)
        os.close(fd)
        fd = os.open(folder / "write-only", os.O_WRONLY)
        os.pwrite(fd, b"c", 200)
        os.close(fd)
        os.mkdir(folder / "closed", 0o000)
        os.close(os.open(folder / "nothing", os.O_RDWR | os.O_CREAT, 0o000))
        return said(os.open, folder / "nothing", os.O_RDONLY), said(os.listdir, folder / "closed"), said(os.mkdir, folder / "closed" / "x")
    yield as_user(USER, USER, [], makes)
    for name in ("write-only", "closed", "nothing"):
        yield name, facts(folder / name)
    yield hash_of(os.open(folder / "write-only", os.O_RDONLY))
    path = put(top / "group", b"g", 0o640)
    os.chown(path, 0, OTHER)
    yield as_user(USER, USER, [], path.read_bytes), as_user(USER, USER, [OTHER], path.read_bytes)
    yield as_user(USER, USER, [], lambda: os.access(path, os.R_OK)), as_user(USER, USER, [OTHER], lambda: os.access(path, os.R_OK | os.W_OK))
    yield as_user(USER, USER, [], lambda: os.chown(folder, USER, OTHER)), as_user(USER, USER, [OTHER], lambda: os.chown(folder, USER, OTHER))
    yield said(os.open, folder, os.O_WRONLY), said(os.open, path / "x", os.O_RDONLY), said(os.rmdir, top), said(os.rmdir, path), said(os.unlink, folder)
