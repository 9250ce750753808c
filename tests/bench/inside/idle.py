"""What processes of some names cost while nothing happens: idle.py SECONDS COMM...

One JSON object: for each name how many there are, their bytes resident and locked now, CPU
seconds and switches meanwhile, and whether they had a child; and how many processes the whole
machine started.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def named(name: str) -> list[Path]:
    """The folders in /proc of the processes of this name."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == name:
                found.append(folder)
        except OSError:
            continue
    return found


def fields(folder: Path) -> dict[str, int]:
    """The numbers of proc(5)'s status: sizes in KiB, and counts."""
    pairs = (line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        key: int(words[0])
        for key, value in pairs
        if (words := value.split()) and words[0].isdigit()
    }


def cpu(folder: Path) -> float:
    """Seconds on the processor, of all threads."""
    tasks = (task / "schedstat" for task in (folder / "task").iterdir())
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def switches(folder: Path) -> int:
    """How often its threads were woken, or gave way."""
    tasks = [fields(task) for task in (folder / "task").iterdir()]
    return sum(t["voluntary_ctxt_switches"] + t["nonvoluntary_ctxt_switches"] for t in tasks)


def forks() -> int:
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("processes"))


def had_children(folder: Path) -> int:
    """Another number whenever a child of it ended, and was waited for.

    proc(5): cminflt in stat, the page faults of such children. There is none without any.
    """
    return int((folder / "stat").read_text().rpartition(")")[2].split()[8])


def kernel_threads() -> set[str]:
    """The kernel counts its own threads as processes: their parent is number 2."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "stat").read_text().rpartition(")")[2].split()[1] == "2":
                found.add(folder.name)
        except OSError:
            continue
    return found


def spent(folder: Path) -> tuple[float, int, int]:
    return cpu(folder), switches(folder), had_children(folder)


def main() -> None:
    seconds, names = float(sys.argv[1]), sys.argv[2:]
    found = {name: named(name) for name in names}
    threads, started = kernel_threads(), forks()
    before = {name: [spent(one) for one in found[name]] for name in names}
    time.sleep(seconds)
    after = {name: [spent(one) for one in found[name]] for name in names}
    started = forks() - started - len(kernel_threads() - threads)
    told: dict[str, object] = {"forks": started}
    for name in names:
        sizes = [fields(folder) for folder in found[name]]
        pairs = list(zip(before[name], after[name], strict=True))
        told[name] = {
            "processes": len(sizes),
            "resident": sum(size["VmRSS"] for size in sizes) << 10,
            "locked": sum(size["VmLck"] for size in sizes) << 10,
            "cpu": sum(new[0] - old[0] for old, new in pairs),
            "switches": sum(new[1] - old[1] for old, new in pairs),
            "parents": sum(new[2] != old[2] for old, new in pairs),
        }
    print(json.dumps(told))


main()
