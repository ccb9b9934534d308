"""Files by handle: name_to_handle_at(2) and open_by_handle_at(2). `handles.py FILE` prints what FILE has in it when it
is opened by its handle after the kernel has forgotten it, or the name of the errno."""

import ctypes
import errno
import os
import pathlib
import sys

import corners
from corners import libc


class FileHandle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint32), ("kind", ctypes.c_int32), ("data", ctypes.c_uint8 * 128)]


def handle_of(path, flags=0):
    handle, number = FileHandle(bytes=128), ctypes.c_int()
    libc("name_to_handle_at", corners.AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(number), flags)
    return handle


def opened(top, handle, work):
    """What `work` gives for the descriptor of a handle on the filesystem of `top`, or the errno."""
    above = os.open(top, os.O_RDONLY)
    fd = corners.LIBC.open_by_handle_at(above, ctypes.byref(handle), os.O_RDONLY)
    code = ctypes.get_errno()
    os.close(above)
    if fd < 0:
        return code
    try:
        return work(fd)
    finally:
        os.close(fd)


def forgotten():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


if __name__ == "__main__":
    handle = handle_of(sys.argv[1])
    forgotten()
    got = opened(os.path.dirname(sys.argv[1]), handle, lambda fd: os.read(fd, 100).decode())
    print(errno.errorcode[got] if isinstance(got, int) else got)
