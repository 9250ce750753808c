"""From the kernel's low-water event to the kernel's larger pool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import CRON, DMEVENTD, dmguard
from tests.bench.stand import MIB, clear_stage, inside, make_stage, pool_device, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.machine import Machine

CASE = "reaction"
_QUANTITIES = {
    "grown": "event to grown",
    "decided": "event to intent",
    "started": "event to command",
}
_CROSSINGS = {"cron": 1}


def measure(m: Machine, rounds: int) -> Iterator[Measured]:
    """Crossings by each guard, in turn; a pool starts with 100 MiB."""
    disk = m.add_disk(2048 * MIB)
    guards = {guard.name: guard for guard in (DMEVENTD, dmguard(), CRON)}
    for number, name in turns(list(guards), rounds):
        device = make_stage(m, [disk], 100 * MIB, 1500 * MIB)
        guards[name].take_over(m)
        count = _CROSSINGS.get(name, 5)
        out = m.run(
            inside("cross", pool_device(), device, count, 90),
            timeout=90 * count + 60,
        ).out
        seen = [json.loads(line) for line in out.splitlines()]
        for key, what in _QUANTITIES.items():
            values = tuple(one[key] for one in seen)
            if any(value is not None for value in values) or key == "grown":
                yield Measured(CASE, "", what, "s", name, number, values)
        clear_stage(m)
