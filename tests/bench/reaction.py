"""From the kernel's low-water event to the kernel's larger pool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import CRON, DMEVENTD, dmguard
from tests.bench.stand import MIB, REST_S, clear_stage, inside, make_stage, pool_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.guards import Guard
    from tests.bench.plan import Plan
    from tests.lab.machine import Disk
    from tests.lab.stand import Stand

CASE = "reaction"
FROM_FAR = "from far"
FLOOR = "load, suspend and resume alone"
_QUANTITIES = {
    "grown": ("event to grown", "s"),
    "decided": ("event to intent", "s"),
    "started": ("event to command", "s"),
    "dmguard": ("share of dmguard", "%"),
    "begin": ("share of the command's start", "%"),
    "lvm": ("share of LVM", "%"),
}
_CROSSINGS = {"cron": 1}
_FLOORS = 5


def measure(m: Stand, plan: Plan) -> Iterator[Measured]:
    """Crossings by each guard, in turn; a pool starts with 100 MiB."""
    disk = m.add_disk(2048 * MIB)
    yield from _floor(m, disk, plan)
    for number, guard in plan.turns((DMEVENTD, dmguard(), CRON)):
        yield from _cross(m, disk, guard, number, _CROSSINGS.get(guard.name, 5), REST_S)
    for number, guard in plan.turns((DMEVENTD, dmguard())):
        yield from _cross(m, disk, guard, number, 1, 0)


def _cross(
    m: Stand, disk: Disk, guard: Guard, number: int, count: int, rest: int
) -> Iterator[Measured]:
    """Crossings of a new pool, which first lies near its mark for so many seconds."""
    device = make_stage(m, [disk], 100 * MIB, 1500 * MIB)
    guard.take_over(m)
    out = m.run(
        inside("cross", pool_device(), device, count, 90, rest),
        timeout=90 * count + rest + 60,
    ).out
    seen = [one | shares(one) for one in map(json.loads, out.splitlines())]
    of = "" if rest else FROM_FAR
    for key, (what, unit) in _QUANTITIES.items():
        values = tuple(one[key] for one in seen)
        if any(value is not None for value in values) or key == "grown":
            yield Measured(CASE, of, what, unit, guard.name, number, values)
    clear_stage(m)


def shares(crossing: Mapping[str, float | None]) -> dict[str, float | None]:
    """What of a crossing's time is whose, in percent; None without an intent.

    An executor that is resident starts no command: all that follows its intent is LVM's.
    """
    grown, decided, started = (crossing[key] for key in ("grown", "decided", "started"))
    if not grown or decided is None:
        return {"dmguard": None, "begin": None, "lvm": None}
    share = 100 / grown
    command = decided if started is None else max(decided, started)
    return {
        "dmguard": decided * share,
        "begin": None if started is None else (command - decided) * share,
        "lvm": (grown - command) * share,
    }


def _floor(m: Stand, disk: Disk, plan: Plan) -> Iterator[Measured]:
    """What the kernel itself takes for a new table, which no guard is faster than."""
    make_stage(m, [disk], 100 * MIB, 1500 * MIB)
    for number in range(plan.rounds):
        out = m.run(inside("floor", pool_device(), _FLOORS)).out
        took = tuple(float(line) for line in out.splitlines())
        yield Measured(CASE, "", FLOOR, "s", "kernel", number, took)
    clear_stage(m)
