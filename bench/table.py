#!/usr/bin/env python3
"""Medians and ratios of what peers.sh measured.

    table.py fio FILE.json      the number of a fio run: MiB/s of large pieces, operations/s of small ones
    table.py FILE.tsv           a Markdown table; lines are place, row, unit, filesystem, value
"""

import json
import statistics
import sys

OURS = "kmsfs"


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


def table(path):
    values, rows, names = {}, [], []
    with open(path) as file:
        for line in file:
            place, row, unit, name, value = line.rstrip("\n").split("\t")
            if (place, row, unit) not in rows:
                rows.append((place, row, unit))
            if name not in names:
                names.append(name)
            values.setdefault((place, row, name), []).append(float(value))
    names.sort(key=lambda n: not n.startswith(OURS))
    first = names[0]
    peers = names[1:]
    behind = 0
    for place in dict.fromkeys(r[0] for r in rows):
        print(f"\n{place}\n")
        print("| | unit | " + " | ".join(names) + " | " + " | ".join(f"{first} / {p}" for p in peers) + " |")
        print("|---|---|" + "---:|" * (len(names) + len(peers)))
        for where, row, unit in rows:
            if where != place:
                continue
            middle = {n: statistics.median(values[place, row, n]) for n in names if (place, row, n) in values}
            cells = [show(middle.get(n)) for n in names]
            for peer in peers:
                if first not in middle or peer not in middle:
                    cells.append("-")
                    continue
                ratio = middle[first] / middle[peer]
                if unit == "s":
                    ratio = 1 / ratio
                behind += ratio < 1
                cells.append(f"{ratio:.2f}" + (" (behind)" if ratio < 1 else ""))
            print(f"| {row} | {unit} | " + " | ".join(cells) + " |")
    print(f"\nRatios above 1: {first} is ahead. Behind: {behind}.")


def show(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "fio":
        fio(sys.argv[2])
    elif len(sys.argv) == 2:
        table(sys.argv[1])
    else:
        sys.exit(__doc__)
