"""More small programs for `posix.py`: which times every call moves, what every kind of open gives, arguments at and
behind the limits. See `corners.py`."""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import stat
import struct
import time

from corners import (AT_FDCWD, KEEP_SIZE, OTHER, PUNCH, USER, ZERO, as_user, facts, fallocate, libc, program, put, renameat2, said)


def moved(paths, work):
    """Which times of each path a call moves: a (of directories; a mount moves a file's when it is opened), m and c."""
    for path in paths:
        os.utime(path, (5, 5), follow_symlinks=False)
    time.sleep(0.012)
    before = [os.lstat(path) for path in paths]
    work()
    return ["".join(letter for letter, x, y in (("a", stat.S_ISDIR(a.st_mode) and a.st_atime_ns, stat.S_ISDIR(a.st_mode) and b.st_atime_ns), ("m", a.st_mtime_ns, b.st_mtime_ns),
                                                 ("c", a.st_ctime_ns, b.st_ctime_ns)) if x != y)
            for a, b in ((before[n], os.lstat(path)) for n, path in enumerate(paths) if os.path.lexists(path))]


@program
def times_of_every_call(top):
    file, folder, link, inner = put(top / "file", b"x" * 9000), top / "folder", top / "link", top / "folder" / "inner"
    folder.mkdir()
    inner.mkdir()
    put(folder / "a")
    os.symlink("file", link)

    def with_fd(work, flags=os.O_RDWR):
        def call():
            fd = os.open(file, flags)
            try:
                work(fd)
            finally:
                os.close(fd)
        return call

    def maps(fd):
        with mmap.mmap(fd, 9000) as area:
            area[7000] = 65
            area.flush()
    other = put(top / "other", b"y" * 5000)
    for name, work in (
            ("open", with_fd(lambda fd: None)), ("stat", lambda: os.stat(file)), ("access", lambda: os.access(file, os.W_OK)),
            ("write", with_fd(lambda fd: os.write(fd, b"z"))), ("pwrite behind", with_fd(lambda fd: os.pwrite(fd, b"z", 20_000))),
            ("write nothing", with_fd(lambda fd: os.write(fd, b""))), ("truncate", lambda: os.truncate(file, 8000)),
            ("ftruncate longer", with_fd(lambda fd: os.ftruncate(fd, 9000))), ("open O_TRUNC", with_fd(lambda fd: None, os.O_RDWR | os.O_TRUNC)),
            ("grow", lambda: os.truncate(file, 9000)), ("map and write", with_fd(maps)),
            ("fallocate", with_fd(lambda fd: fallocate(fd, 0, 0, 20_000))), ("reserve", with_fd(lambda fd: fallocate(fd, KEEP_SIZE, 30_000, 9000))),
            ("punch", with_fd(lambda fd: fallocate(fd, PUNCH | KEEP_SIZE, 0, 4096))), ("zero", with_fd(lambda fd: fallocate(fd, ZERO, 0, 4096))),
            ("fsync", with_fd(os.fsync)), ("flock", with_fd(lambda fd: fcntl.flock(fd, fcntl.LOCK_EX))),
            ("copy in", with_fd(lambda fd: os.copy_file_range(os.open(other, os.O_RDONLY), fd, 4000, 0, 0))),
            ("chmod", lambda: os.chmod(file, 0o600)), ("chmod to the same", lambda: os.chmod(file, 0o600)),
            ("chown", lambda: os.chown(file, 1, 1)), ("chown to the same", lambda: os.chown(file, 1, 1)), ("chown to nothing", lambda: os.chown(file, -1, -1)),
            ("setxattr", lambda: os.setxattr(file, "user.a", b"v")), ("setxattr of root", lambda: os.setxattr(file, "trusted.a", b"v")),
            ("getxattr", lambda: os.getxattr(file, "user.a")), ("listxattr", lambda: os.listxattr(file)),
            ("removexattr", lambda: os.removexattr(file, "user.a")),
            ("set an ACL", lambda: os.setxattr(file, "system.posix_acl_access", struct.pack("<I" + "HHI" * 5, 2, 1, 6, 2**32 - 1, 2, 4, 7, 4, 4, 2**32 - 1, 16, 4, 2**32 - 1, 32, 0, 2**32 - 1))),
            ("link", lambda: os.link(file, folder / "second")), ("unlink the second", lambda: os.unlink(folder / "second")),
            ("rename", lambda: (os.rename(file, folder / "moved"), os.rename(folder / "moved", file))),
            ("exchange", lambda: renameat2(file, other, 2)), ("exchange back", lambda: renameat2(file, other, 2))):
        yield name, moved([file, top, folder], work)
    for name, work in (
            ("create", lambda: put(folder / "new")), ("create what is there", lambda: os.close(os.open(folder / "new", os.O_CREAT | os.O_RDWR))),
            ("mkdir", lambda: (folder / "sub").mkdir()), ("mkdir in it", lambda: (folder / "sub" / "deep").mkdir()), ("rmdir in it", lambda: os.rmdir(folder / "sub" / "deep")),
            ("rename in it", lambda: os.rename(folder / "new", folder / "newer")), ("rename over", lambda: os.rename(folder / "newer", folder / "a")),
            ("move a directory in", lambda: os.rename(folder / "sub", inner / "sub")), ("symlink", lambda: os.symlink("x", folder / "l")), ("mkfifo", lambda: os.mkfifo(folder / "f")),
            ("unlink", lambda: os.unlink(folder / "l")), ("rmdir", lambda: os.rmdir(inner / "sub")), ("chmod", lambda: os.chmod(folder, 0o711)),
            ("setxattr", lambda: os.setxattr(folder, "user.a", b"v")), ("stat in it", lambda: os.stat(folder / "a")),
            ("a failing unlink", lambda: said(os.unlink, folder / "none")), ("a failing create", lambda: said(os.open, folder / "a", os.O_CREAT | os.O_EXCL))):
        yield "directory: " + name, moved([folder, inner], work)
    for name, work in (("rename", lambda: (os.rename(link, top / "l2"), os.rename(top / "l2", link))), ("chown", lambda: os.chown(link, 3, 3, follow_symlinks=False)),
                       ("link", lambda: os.link(link, top / "l3", follow_symlinks=False))):
        yield "symlink: " + name, moved([link], work)


@program
def every_open(top):
    put(top / "file", b"data")
    (top / "dir").mkdir()
    os.symlink("file", top / "link")
    os.symlink("none", top / "dangling")
    os.symlink("dir", top / "dirlink")
    os.symlink("loop", top / "loop")
    os.mkfifo(top / "fifo")
    server = socket.socket(socket.AF_UNIX)
    here = os.open(".", os.O_RDONLY)
    os.chdir(top)
    server.bind("socket")
    os.fchdir(here)
    server.close()
    names = ("file", "file/", "file/x", "dir", "dir/", "dir/.", "link", "link/", "dangling", "dirlink", "dirlink/", "loop", "loop/x", "fifo", "socket", "none", "none/", "none/x", "", ".", "..")
    kinds = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_CREAT, os.O_DIRECTORY, os.O_DIRECTORY | os.O_RDWR,
             os.O_NOFOLLOW, os.O_NOFOLLOW | os.O_DIRECTORY, os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_RDONLY | os.O_TRUNC, os.O_TMPFILE | os.O_RDWR, os.O_TMPFILE | os.O_RDONLY,
             os.O_CREAT | os.O_DIRECTORY, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_NOATIME, 3)
    for name in names:
        for flags in kinds:
            fd = said(os.open, str(top) + "/" + name, flags | os.O_NONBLOCK, 0o640)
            if isinstance(fd, int):
                st = os.fstat(fd)
                yield name, oct(flags), oct(st.st_mode), fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK
                os.close(fd)
            else:
                yield name, oct(flags), fd
            for made in ("none",):
                if os.path.lexists(top / made):
                    os.unlink(top / made)
        put(top / "file", b"data")
    os.chmod(top, 0o755)
    yield as_user(USER, USER, [], lambda: [said(os.open, top / "file", flags) for flags in (os.O_NOATIME, os.O_WRONLY)])


@program
def names_that_end_oddly(top):
    put(top / "file")
    (top / "dir").mkdir()
    os.symlink("dir", top / "dirlink")
    os.symlink("file", top / "link")
    here = str(top) + "/"
    for one in ("file", "file/", "dir/", "dir/.", "dir/..", "dirlink", "dirlink/", "none", "none/", ".", "..", "", "link/", "file/.", "n" * 255, "n" * 256, "dir/" + "n" * 256):
        yield one[:9], len(one), [said(call, here + one) for call in (os.rmdir, os.unlink, os.mkdir, os.mkfifo, os.readlink, lambda p: os.path.basename(p) != '..' and sorted(os.listdir(p)), os.chdir)], sorted(os.listdir(top))
        os.chdir("/")
        for two in ("new", "new/", "dir", "dir/", "dirlink/", ".", "link"):
            yield two, [said(call, here + one, here + two) for call in (os.rename, os.link, lambda a, b: os.symlink("t", b))], sorted(os.listdir(top))
            for name in os.listdir(top):
                if name not in ("file", "dir", "dirlink", "link"):
                    path = top / name
                    os.rmdir(path) if path.is_dir() and not path.is_symlink() else os.unlink(path)
            if not (top / "file").exists() or (top / "file").is_dir():
                said(os.rmdir, top / "file")
                put(top / "file")
            if not (top / "dir").is_dir() or (top / "dir").is_symlink():
                said(os.unlink, top / "dir")
                (top / "dir").mkdir()
            for link, to in (("dirlink", "dir"), ("link", "file")):
                if not (top / link).is_symlink():
                    said(os.rmdir, top / link)
                    said(os.unlink, top / link)
                    os.symlink(to, top / link)
    previous = "file"
    for n in range(45):
        os.symlink(previous, top / f"chain{n}")
        previous = f"chain{n}"
    yield [said(os.stat, top / f"chain{n}").__class__.__name__ for n in (38, 39, 40, 44)]


@program
def arguments_at_their_limits(top):
    path, folder = put(top / "file", b"0123456789"), top / "dir"
    folder.mkdir()
    read, write, both, at = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY), os.open(path, os.O_RDWR), os.open(folder, os.O_RDONLY)
    reference = os.open(path, os.O_PATH)
    for name, fd in (("read", read), ("write", write), ("both", both), ("directory", at), ("path", reference)):
        yield name, [said(work) for work in (
            lambda: os.read(fd, 3), lambda: os.pread(fd, 3, 100), lambda: os.pread(fd, 3, -1), lambda: os.pread(fd, 0, 0),
            lambda: os.pwrite(fd, b"w", 3), lambda: os.pwrite(fd, b"w", -1), lambda: os.pwrite(fd, b"", 50), lambda: os.write(fd, b""),
            lambda: os.ftruncate(fd, 10), lambda: os.ftruncate(fd, -1), lambda: fallocate(fd, 0, 0, 1), lambda: fallocate(fd, PUNCH, 0, 1),
            lambda: fallocate(fd, 0, 0, 0), lambda: fallocate(fd, KEEP_SIZE, 1 << 62, 1 << 62), lambda: fallocate(fd, 64, 0, 4096),
            lambda: os.lseek(fd, 0, 7), lambda: os.lseek(fd, -1, 0), lambda: os.fsync(fd), lambda: os.fdatasync(fd), lambda: os.fchmod(fd, 0o644),
            lambda: os.fchown(fd, 0, 0), lambda: os.utime(fd, (5, 5)), lambda: os.fstat(fd).st_nlink, lambda: os.fchdir(fd), lambda: os.listdir(fd) if fd == at else 0,
            lambda: fcntl.flock(fd, fcntl.LOCK_SH), lambda: fcntl.lockf(fd, fcntl.LOCK_SH), lambda: fcntl.lockf(fd, fcntl.LOCK_UN), lambda: fcntl.flock(fd, fcntl.LOCK_UN),
            lambda: os.getxattr(fd, "user.none"), lambda: os.setxattr(fd, "user.x", b"v"), lambda: os.listxattr(fd), lambda: mmap.mmap(fd, 4).close(), lambda: mmap.mmap(fd, 4, prot=mmap.PROT_READ).close(),
            lambda: mmap.mmap(fd, 4, mmap.MAP_PRIVATE).close(), lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED), lambda: libc("syncfs", fd), lambda: libc("sync_file_range", fd, ctypes.c_long(0), ctypes.c_long(10), 7),
            lambda: libc("readahead", fd, ctypes.c_long(0), 10), lambda: os.lseek(fd, 0, os.SEEK_DATA) if fd != at else 0, lambda: os.lseek(fd, 10, os.SEEK_DATA) if fd != at else 0, lambda: os.lseek(fd, 9, os.SEEK_HOLE) if fd != at else 0)], facts(path)
        os.chdir("/")
    libc("sync")
    # Where offsets end.
    for offset in ((1 << 43), (1 << 62), (1 << 63) - 2):
        yield offset, said(os.pread, both, 5, offset)
    # copy_file_range: of itself, into itself, of nothing, from and to what is no file.
    yield [said(os.copy_file_range, *args) for args in ((both, both, 5, 0, 5), (both, both, 5, 0, 3), (read, write, 0, 0, 0), (read, write, 5, 100, 0), (read, write, 1 << 40, 0, 20),
                                                         (write, both, 5, 0, 0), (both, read, 5, 0, 0), (at, both, 5, 0, 0), (both, at, 5, 0, 0))], path.read_bytes()
    append = os.open(path, os.O_RDWR | os.O_APPEND)
    yield said(os.copy_file_range, read, append, 5, 0, 0), said(os.sendfile, append, read, 0, 2), path.read_bytes()
    down, up = os.pipe()
    yield said(os.splice, read, up, 4, 2), os.read(down, 10), os.write(up, b"piped"), said(os.splice, down, both, 5, None, 4), path.read_bytes()
    # A limit on the size of files.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    yield [said(work) for work in (lambda: os.pwrite(both, b"x" * 4000, 3000), lambda: os.pwrite(both, b"x", 5000), lambda: os.ftruncate(both, 5001), lambda: os.ftruncate(both, 5000),
                                   lambda: fallocate(both, 0, 0, 6000), lambda: os.fstat(both).st_size, lambda: os.write(append, b"y" * 10))]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    FICLONE, FIONREAD, FIGETBSZ = 0x40049409, 0x541B, 2
    yield said(fcntl.ioctl, both, FICLONE, read), struct.unpack("i", fcntl.ioctl(read, FIONREAD, b"\0" * 4)), struct.unpack("i", fcntl.ioctl(read, FIGETBSZ, b"\0" * 4))


@program
def sizes_of_attributes(top):
    path = put(top / "file")
    for kind, work in (("fifo", os.mkfifo), ("link", lambda p: os.symlink("x", p)), ("null", lambda p: os.mknod(p, stat.S_IFCHR | 0o666, os.makedev(1, 3)))):
        work(top / kind)
        yield kind, [said(os.setxattr, top / kind, name, b"v", follow_symlinks=False) for name in ("user.a", "trusted.a", "security.a")], \
            sorted(os.listxattr(top / kind, follow_symlinks=False)), [said(os.getxattr, top / kind, name, follow_symlinks=False) for name in ("user.a", "trusted.a", "user.none")]
    for length in (249, 250, 251):
        yield length, said(os.setxattr, path, "user." + "n" * length, b"v") in (None, "ENOSPC") if length <= 250 else said(os.setxattr, path, "user." + "n" * length, b"v")
    for name in os.listxattr(path):
        os.removexattr(path, name)
    yield said(os.setxattr, path, "user.big", b"v" * 2000), len(os.getxattr(path, "user.big")), said(os.setxattr, path, "user.big", b"v" * 65537)
    buffer = ctypes.create_string_buffer(1000)

    def get(size):
        from corners import LIBC
        got = LIBC.getxattr(os.fsencode(path), b"user.big", buffer, size)
        return got if got >= 0 else errno.errorcode[ctypes.get_errno()]

    def names(size):
        from corners import LIBC
        got = LIBC.listxattr(os.fsencode(path), buffer, size)
        return got if got >= 0 else errno.errorcode[ctypes.get_errno()]
    yield get(0), get(1000), names(0), names(3), names(1000)
    yield said(os.setxattr, path, "user.big", b"w", 3), said(os.setxattr, path, "", b"v"), said(os.setxattr, path, "user", b"v"), said(os.setxattr, path, "system.posix_acl_access", b"v"), said(os.setxattr, path, "system.other", b"v")
    os.chmod(path, 0o444)
    os.chmod(top, 0o755)
    yield as_user(USER, USER, [], lambda: (said(os.setxattr, path, "user.u", b"v"), said(os.getxattr, path, "user.big").__class__.__name__, said(os.removexattr, path, "user.big"), sorted(os.listxattr(path)),
                                           said(os.setxattr, path, "security.s", b"v"), said(os.getxattr, path, "security.none"), said(os.removexattr, path, "trusted.none")))
    sticky = top / "sticky"
    sticky.mkdir()
    os.chmod(sticky, 0o1777)
    yield as_user(USER, USER, [], lambda: (said(os.setxattr, sticky, "user.u", b"v"), said(os.getxattr, sticky, "user.u")))


def ends_by(work):
    """How a child that does `work` ends: 0, or the signal."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


@program
def maps_and_sizes(top):
    path = put(top / "m", b"a" * 5000)
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 16384)
    area = mmap.mmap(fd, 16384)
    os.ftruncate(fd, 5000)
    yield ends_by(lambda: area[4999]), ends_by(lambda: area[8191]), ends_by(lambda: area[8192]), area[5000:5010]
    os.ftruncate(fd, 3000)
    yield ends_by(lambda: area[3500]), ends_by(lambda: area[4096]), area[2990:3010]
    os.ftruncate(fd, 12000)
    yield area[2990:3010], ends_by(lambda: area[11999]), area[11999]
    area[11990:11993] = b"xyz"
    os.ftruncate(fd, 11991)
    os.ftruncate(fd, 12000)
    yield os.pread(fd, 20, 11985), area[11985:12000]
    fallocate(fd, PUNCH | KEEP_SIZE, 0, 4096)
    yield area[0:10], area[2999:3001]
    os.pwrite(fd, b"direct", 100)
    yield area[100:106]
    private = mmap.mmap(fd, 12000, mmap.MAP_PRIVATE)
    yield private[100:106]
    private[100:103] = b"mine"[:3]
    os.pwrite(fd, b"THEIRS", 100)
    yield private[100:106], area[100:106]
    os.unlink(path)
    area[200:203] = b"gon"
    area.flush()
    yield os.pread(fd, 3, 200), os.fstat(fd).st_nlink
    other = put(top / "o", b"q" * 100)
    read = os.open(other, os.O_RDONLY)
    yield said(mmap.mmap, read, 50, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE), said(mmap.mmap, os.open(other, os.O_WRONLY), 50, mmap.MAP_PRIVATE)


@program
def counts_of_links(top):
    def links():
        return {name: os.lstat(top / name).st_nlink for name in sorted(os.listdir(top))}, os.stat(top).st_nlink
    for n in range(5):
        (top / f"d{n}").mkdir()
    put(top / "f")
    yield links()
    os.rename(top / "d0", top / "d1" / "d0")
    os.rename(top / "d2", top / "d3")
    yield links()
    renameat2(top / "f", top / "d4", 2)
    yield links()
    renameat2(top / "d1" / "d0", top / "d4", 2)
    yield links(), os.lstat(top / "d1").st_nlink
    fd = os.open(top / "d3", os.O_RDONLY)
    os.rmdir(top / "d3")
    yield os.fstat(fd).st_nlink, said(os.listdir, fd), said(os.open, "x", os.O_CREAT | os.O_RDWR, dir_fd=fd), said(os.mkdir, "y", dir_fd=fd), links()
    for n in range(300):
        os.link(top / "d4", top / f"l{n}") if (top / "d4").is_file() else None
    (top / "many").mkdir()
    for n in range(200):
        os.mkdir(top / "many" / str(n))
    yield os.stat(top / "many").st_nlink
    file = put(top / "linked")
    for n in range(300):
        os.link(file, top / "many" / f"l{n}")
    yield os.stat(file).st_nlink, len({os.stat(top / "many" / f"l{n}").st_ino for n in range(300)})
    for n in range(0, 300, 2):
        os.unlink(top / "many" / f"l{n}")
    yield os.stat(file).st_nlink, os.stat(top / "many" / "l1").st_nlink
    os.symlink("x", top / "s")
    os.link(top / "s", top / "s2", follow_symlinks=False)
    yield os.lstat(top / "s").st_nlink, said(os.link, top / "many", top / "no"), as_user(USER, USER, [], lambda: os.link(file, top / "no"))


@program
def what_watchers_hear(top):
    from corners import LIBC
    watcher = LIBC.inotify_init1(os.O_NONBLOCK)
    folder = top / "watched"
    folder.mkdir()
    LIBC.inotify_add_watch(watcher, os.fsencode(folder), 0xfff)
    path = put(folder / "file", b"abc")
    path.read_bytes()
    os.rename(path, folder / "other")
    os.link(folder / "other", folder / "second")
    (folder / "sub").mkdir()
    os.truncate(folder / "other", 1)
    os.utime(folder / "other", (5, 5))
    os.setxattr(folder / "other", "user.a", b"v")
    os.rename(folder / "other", top / "out")
    os.rename(top / "out", folder / "in")
    os.unlink(folder / "in")
    os.unlink(folder / "second")
    os.rmdir(folder / "sub")
    os.rmdir(folder)
    data, events = os.read(watcher, 65536), []
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        events.append((hex(mask), data[16:16 + length].rstrip(b"\0")))
        data = data[16 + length:]
    # Equal ones in a row are one or several, as it happens.
    yield [e for n, e in enumerate(events) if not n or events[n - 1] != e]


@program
def leases_and_locks(top):
    path = put(top / "leased", b"x" * 100)
    fd = os.open(path, os.O_RDWR)
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield said(fcntl.fcntl, fd, fcntl.F_SETLEASE, fcntl.F_WRLCK), said(fcntl.fcntl, fd, fcntl.F_GETLEASE)

    def opens(flags):
        return lambda: said(os.open, path, flags | os.O_NONBLOCK)
    yield as_user(0, 0, [], opens(os.O_RDONLY)), said(fcntl.fcntl, fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    record = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 10, 20, 0)
    fcntl.fcntl(fd, fcntl.F_SETLK, record)

    def asks():
        other = os.open(path, os.O_RDWR)
        kind, whence, start, length, _ = struct.unpack("hhqqi4x", fcntl.fcntl(other, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)))
        waits = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 15, 1, 0)
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError(errno.EINTR, "alarm")))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        return kind, whence, start, length, said(fcntl.fcntl, other, fcntl.F_SETLKW, waits), said(fcntl.fcntl, other, fcntl.F_SETLK, waits)
    yield as_user(0, 0, [], asks)
    # Closing any descriptor of the file gives up what the process has locked.
    os.close(os.open(path, os.O_RDONLY))
    yield as_user(0, 0, [], lambda: said(fcntl.lockf, os.open(path, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB))
    one, two = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    fcntl.flock(one, fcntl.LOCK_SH)
    fcntl.flock(two, fcntl.LOCK_SH)
    yield said(fcntl.flock, one, fcntl.LOCK_EX | fcntl.LOCK_NB), said(fcntl.flock, two, fcntl.LOCK_UN), said(fcntl.flock, one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    again = os.dup(one)
    os.close(one)
    yield said(fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(again)
    yield said(fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)


@program
def programs_that_run(top):
    script = put(top / "script", b"#!/bin/sh\nexit 7\n", 0o755)
    yield ends_by(lambda: os.execv(script, ["script"])) >> 8
    binary = top / "sleep"
    binary.write_bytes(open("/bin/sleep", "rb").read())
    os.chmod(binary, 0o755)
    child = os.fork()
    if child == 0:
        os.execv(binary, ["sleep", "5"])
    for _ in range(200):
        if os.readlink(f"/proc/{child}/exe") == str(binary):
            break
        time.sleep(0.01)
    yield said(os.open, binary, os.O_WRONLY), said(os.truncate, binary, 0), said(os.unlink, binary)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    writer = os.open(script, os.O_WRONLY)
    yield said(lambda: os.posix_spawn(script, ["script"], {})) in ("ETXTBSY",)
    os.close(writer)
    os.chmod(script, 0o644)
    yield said(lambda: os.posix_spawn(script, ["script"], {}))


@program
def what_is_in_a_directory(top):
    put(top / "file")
    (top / "dir").mkdir()
    os.symlink("x", top / "link")
    os.mkfifo(top / "fifo")
    fd = os.open(top, os.O_RDONLY)
    buffer = ctypes.create_string_buffer(65536)
    from corners import LIBC
    seen, at, got = [], 0, LIBC.syscall(217, fd, buffer, 65536)
    while at < got:
        _, _, length, kind = struct.unpack_from("QqHB", buffer, at)
        seen.append((buffer.raw[at + 19:at + length].split(b"\0")[0], kind))
        at += length
    yield sorted(seen), LIBC.syscall(217, fd, buffer, 65536)
    put(top / "later")
    # Whether an open directory shows what came after its end was read is left open by POSIX.
    yield LIBC.syscall(217, fd, buffer, 65536) >= 0, os.lseek(fd, 0, 0), LIBC.syscall(217, fd, buffer, 65536) > got
    os.lseek(fd, 0, 0)
    yield LIBC.syscall(217, fd, buffer, 10) < 0 and errno.errorcode[ctypes.get_errno()]
    yield said(os.read, fd, 10), said(os.lseek, fd, -1, 0), select.poll().register(fd)
    yield os.stat(str(top) + "/.").st_ino == os.stat(top).st_ino, os.stat(top / "dir" / "..").st_ino == os.stat(top).st_ino
    name = os.pathconf(top, "PC_NAME_MAX"), os.pathconf(top, "PC_PATH_MAX"), os.pathconf(top, "PC_LINK_MAX") > 1, os.pathconf(top, "PC_SYMLINK_MAX")
    yield name


@program
def renames_of_all_kinds(top):
    def make(kind, path):
        {"file": lambda: put(path, path.name.encode()), "dir": path.mkdir, "full": lambda: (path.mkdir(), put(path / "in")), "link": lambda: os.symlink("t", path),
         "fifo": lambda: os.mkfifo(path), "none": lambda: None}[kind]()
    for one in ("file", "dir", "full", "link", "fifo", "none"):
        for two in ("file", "dir", "full", "link", "fifo", "none"):
            for flags in (0, 1, 2, 4):
                place = top / f"{one}-{two}-{flags}"
                place.mkdir()
                make(one, place / "a")
                make(two, place / "b")
                yield one, two, flags, said(renameat2, place / "a", place / "b", flags), sorted((n, facts(place / n)) for n in os.listdir(place)), os.stat(place).st_nlink


@program
def names_of_every_byte(top):
    made = 0
    for byte in range(1, 256):
        if byte == ord("/"):
            continue
        for name in (bytes([byte]), bytes([byte]) * 255, b"x" + bytes([byte])):
            if name in (b".", b".."):
                continue
            path = os.fsencode(top) + b"/" + name
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            made += 1
    yield made, len(os.listdir(top)), sorted(os.listdir(os.fsencode(top)))[::97]
