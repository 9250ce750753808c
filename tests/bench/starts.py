"""What it costs to start a process, there and here: by it figures of a lab can be judged."""

from __future__ import annotations

import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.figures import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.lab.stand import Stand

CASE = "start"
THERE, HERE = "stand", "this host"
_COMMANDS = {
    "python3 -c pass": ["/usr/bin/python3", "-c", "pass"],
    "lvm version": ["/usr/sbin/lvm", "version"],
}
_TIMES = 7
_TIMED = (
    "import subprocess, sys, time\n"
    f"for _ in range({_TIMES}):\n"
    "    began = time.monotonic()\n"
    "    subprocess.run(sys.argv[1:], capture_output=True, check=True)\n"
    "    print(time.monotonic() - began)\n"
)


def measure(m: Stand) -> Iterator[Measured]:
    """The seconds of each start on the stand and on the host that the bench runs on."""
    for what, command in _COMMANDS.items():
        words = " ".join(command)
        out = m.run(f"/usr/bin/python3 - {words}", stdin=_TIMED).out
        there = tuple(float(line) for line in out.splitlines())
        yield Measured(CASE, "", what, "s", THERE, 0, there)
        here = tuple(_timed(command) for _ in range(_TIMES))
        yield Measured(CASE, "", what, "s", HERE, 0, here)


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, capture_output=True, check=True)
    return time.monotonic() - began


def factor(measured: Iterable[Measured]) -> float | None:
    """How many times longer a start takes there: of both commands, the one that gives less."""
    values: dict[str, dict[str, list[float]]] = {}
    for one in measured:
        if one.case == CASE:
            known = [value for value in one.values if value is not None]
            values.setdefault(one.what, {}).setdefault(one.guard, []).extend(known)
    ratios = [
        median(found[THERE]) / median(found[HERE])
        for found in values.values()
        if found.get(THERE) and found.get(HERE)
    ]
    return min(ratios, default=None)
