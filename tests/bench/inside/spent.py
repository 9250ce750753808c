"""Seconds of processor that a process has spent, and its children: spent.py PID.

One JSON object: `own` of all its threads, and `all` with the children that ended and those that
stay (a helper that lives as long as the agent) with theirs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_HELPERS = ("dmguard-lvm", "dmguard-journal")
_TICK = os.sysconf("SC_CLK_TCK")


def cpu(folder: Path) -> float:
    """Of all threads; in nanoseconds in schedstat, where stat counts ticks."""
    tasks = (task / "schedstat" for task in (folder / "task").iterdir())
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def fields(folder: Path) -> list[str]:
    """Of proc(5)'s stat what follows the name, which may hold anything."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def ended(folder: Path) -> float:
    """Of the children that it has waited for, and theirs (cutime and cstime)."""
    return sum(map(int, fields(folder)[13:15])) / _TICK


def helpers(pid: str) -> list[Path]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = fields(folder)[1] == pid
            if ours and (folder / "comm").read_text().strip() in _HELPERS:
                found.append(folder)
        except OSError:
            continue
    return found


def main() -> None:
    agent = Path("/proc", sys.argv[1])
    own = cpu(agent)
    whole = own + ended(agent)
    whole += sum(cpu(folder) + ended(folder) for folder in helpers(agent.name))
    print(json.dumps({"own": own, "all": whole}))


main()
