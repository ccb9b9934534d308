#!/usr/bin/env python3
"""Runs a program that the kernel refuses some system calls, as a container's profile does:

    without_calls.py NUMBER[,NUMBER...] PROGRAM ARGUMENT...

They fail with EPERM. The numbers are the machine's own; those of new calls are the same everywhere.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # a word at an address; a jump if equal; the end
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def main(numbers, command):
    code = [(LOAD, 0, 0, 0)]  # the call's number is the first word
    for left, number in zip(range(len(numbers), 0, -1), numbers):
        code.append((EQUAL, left, 0, number))  # over the other numbers and ALLOW
    code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0) != 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1].split(",")], sys.argv[2:])
