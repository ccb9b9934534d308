#!/usr/bin/env python3
"""Runs a program that the kernel refuses some system calls, as a container's profile does:

    without_calls.py NUMBER[>MOST][,NUMBER[>MOST]...] PROGRAM ARGUMENT...

They fail with EPERM: all of them, or only those whose second argument is above MOST. The numbers are the
machine's own; those of new calls are the same everywhere.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUAL, ABOVE, RETURN = 0x20, 0x15, 0x25, 0x06  # a word at an address; jumps if equal, if greater; the end
NUMBER, SECOND = 0, 16 + 8  # where the call's number is, and the lower half of its second argument (little-endian)
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def main(refused, command):
    code = []
    for one in refused:
        number, _, most = one.partition(">")
        code += [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 3 if most else 1, int(number))]
        if most:
            code += [(LOAD, 0, 0, SECOND), (ABOVE, 0, 1, int(most))]
        code.append((RETURN, 0, 0, REFUSE))
    code.append((RETURN, 0, 0, ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0) != 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2:])
