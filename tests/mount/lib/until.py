"""Reads a file again and again, through one handle and through new ones, until both fail.

usage: until.py FILE END     END: seconds since 1970, when the reader's right ends
The last line printed is JSON: how long after END each went on, and whether it worked before and came back."""

import json
import os
import sys
import time

path, end = sys.argv[1], float(sys.argv[2])


def tried(read):
    try:
        read()
        return True
    except OSError:
        return False


def anew():
    with open(path, "rb") as file:
        file.read(1)


handle = os.open(path, os.O_RDONLY)
seen = {"handle": [], "open": []}
while time.time() < end + 2.5:
    now = time.time()
    seen["handle"].append((now, tried(lambda: os.pread(handle, 1, 0))))
    seen["open"].append((now, tried(anew)))
    time.sleep(0.02)
result = {}
for name, rows in seen.items():
    good = [at for at, ok in rows if ok]
    first_bad = next((at for at, ok in rows if not ok), None)
    result[name] = {
        "before": all(ok for at, ok in rows if at < end - 0.2),
        "late": round(max(good, default=0) - end, 3),
        "back": first_bad is not None and any(at > first_bad for at in good),
        "ended": first_bad is not None,
    }
print(json.dumps(result))
good = all(r["before"] and r["ended"] and not r["back"] and r["late"] < 1 for r in result.values())
sys.exit(0 if good else 1)
