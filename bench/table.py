#!/usr/bin/env python3
"""Medians and ratios of what peers.sh measured.

    table.py fio FILE.json      the number of a fio run: MiB/s of large pieces, operations/s of small ones
    table.py FILE.tsv           a Markdown table; lines are place, row, unit, filesystem, value
    table.py A.tsv B.tsv        the same rows measured for two revisions, side by side
"""

import json
import statistics
import sys

BASE = "gocryptfs"
ORDER = ["kmsfs-uring", "kmsfs-device", "kmsfs-fuser", BASE, "securefs", "passthrough", "raw"]

# How many times as fast as BASE kmsfs is to be, on a tmpfs and 2 CPUs.
TO_REACH = {
    "sequential write, 1 MiB": 2.9,
    "sequential read, 1 MiB, cold": 2.0,
    "random read, 4 KiB, cold": 2.1,
    "random write, 4 KiB": 4.3,
    "sequential write, 4 jobs": 2.6,
    "sequential read, 4 jobs, cold": 2.2,
    "O_DIRECT random read, QD 16, 2 jobs": 5.3,
    "O_DIRECT random write, QD 16, 2 jobs": 8.4,
    "fsync after each 4 KiB": 3.5,
    "create + write 4 KiB + close": 3.0,
    "ls -l of 4,000, cold": 2.0,
    "open + read 4 KiB + close, cold": 5.0,
    "rename": 2.8,
    "unlink": 3.2,
    "untar 2,000 files": 2.9,
    "grep -r, cold": 2.4,
    "rm -rf": 2.6,
}


def fio(path):
    with open(path) as file:
        text = file.read()
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        sys.exit(f"{path}: error {job['error']}")
    side = max(job["read"], job["write"], key=lambda s: s["total_ios"])
    if not side["total_ios"]:
        sys.exit(f"{path}: nothing was done")
    large = int(side["io_bytes"]) / side["total_ios"] > 65536
    # The sync at the end belongs to a write: without it only memory is measured.
    seconds = max(side["runtime"], job["job_runtime"] / int(job.get("job options", {}).get("numjobs", 1))) / 1000
    print(f"{side['io_bytes'] / (1 << 20) / seconds:.1f}" if large else f"{side['total_ios'] / seconds:.1f}")


def read(path):
    """Values by place, row and filesystem; the rows and the filesystems as they came."""
    values, rows, names = {}, [], []
    with open(path) as file:
        for line in file:
            place, row, unit, name, value = line.rstrip("\n").split("\t")
            if (place, row, unit) not in rows:
                rows.append((place, row, unit))
            if name not in names:
                names.append(name)
            values.setdefault((place, row, name), []).append(float(value))
    return values, rows, names


def compare(before, after):
    one, rows, names = read(before)
    two, _, _ = read(after)
    print("\n| | on | unit | A | B | A's spread | B / A |\n|---|---|---|---:|---:|---:|---:|")
    for place, row, unit in rows:
        for name in names:
            a, b = one.get((place, row, name)), two.get((place, row, name))
            if a and b:
                old, new = statistics.median(a), statistics.median(b)
                spread = (max(a) - min(a)) / old
                print(f"| {row} | {name} | {unit} | {show(old)} | {show(new)} | {spread:.0%} | {faster(unit, new, old):.2f} |")
    print("\nA ratio above 1: B is faster.")


def table(path):
    values, rows, names = read(path)
    names.sort(key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER))
    ratios = [n for n in names if n != BASE] if BASE in names else []
    for place in dict.fromkeys(r[0] for r in rows):
        # The figures are for a lower filesystem that costs nothing.
        bar = "tmpfs" in place and ratios and ratios[0].startswith("kmsfs")
        print(f"\n{place}\n")
        head = ["", "unit", *names, *(f"{n} / {BASE}" for n in ratios), *(["to reach", ""] if bar else [])]
        print("| " + " | ".join(head) + " |")
        print("|---|---|" + "---:|" * (len(names) + len(ratios)) + ("---:|---|" if bar else ""))
        met = behind = 0
        for where, row, unit in rows:
            if where != place:
                continue
            middle = {n: statistics.median(values[place, row, n]) for n in names if (place, row, n) in values}
            cells = [show(middle.get(n)) for n in names]
            ratio = {n: faster(unit, middle[n], middle[BASE]) for n in ratios if n in middle and BASE in middle}
            cells += [f"{ratio[n]:.2f}" if n in ratio else "-" for n in ratios]
            if bar:
                figure = TO_REACH.get(row)
                reached = [n.removeprefix("kmsfs-") for n in ratio if n.startswith("kmsfs") and figure and ratio[n] >= figure]
                cells.append(f"{figure:.1f}" if figure else "")
                cells.append(("met: " + ", ".join(reached) if reached else "behind") if figure else "")
                met += bool(figure and reached)
                behind += bool(figure and not reached)
            print(f"| {row} | {unit} | " + " | ".join(cells) + " |")
        if bar:
            print(f"\nMet by a transport: {met}, behind: {behind}.")
    if ratios:
        print(f"\nA ratio above 1 is faster than {BASE}.")


def faster(unit, one, other):
    return other / one if unit == "s" else one / other


def show(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "fio":
        fio(sys.argv[2])
    elif len(sys.argv) == 3:
        compare(sys.argv[1], sys.argv[2])
    elif len(sys.argv) == 2:
        table(sys.argv[1])
    else:
        sys.exit(__doc__)
