"""The transports that a test goes through, and the kernel's switch for the one that needs it."""

import contextlib
import pathlib

SWITCH = pathlib.Path("/sys/module/fuse/parameters/enable_uring")


@contextlib.contextmanager
def ring_switched(on):
    """Switches enable_uring on or off, says so, and puts it back. Yields whether the kernel has it."""
    if not SWITCH.exists():
        print("this kernel has no FUSE over io_uring")
        yield False
        return
    before = SWITCH.read_text()
    SWITCH.write_text("1" if on else "0")
    print(f"{SWITCH}: was {before.strip()}, {'on' if on else 'off'} for this test")
    try:
        yield True
    finally:
        SWITCH.write_text(before)
