"""Snapshots made as fast as the kernel takes them, until the metadata would be full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import DMEVENTD, dmguard
from tests.bench.stand import MIB, clear_stage, inside, make_stage, pool_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.plan import Plan
    from tests.lab.stand import Stand

CASE = "metadata"
_SNAPSHOTS, _SECONDS = 1000, 60


def measure(m: Stand, plan: Plan) -> Iterator[Measured]:
    """A pool of 2 MiB of metadata; each snapshot takes some blocks of it."""
    disk = m.add_disk(1024 * MIB)
    for number, guard in plan.turns((DMEVENTD, dmguard(step_only=False))):
        device = make_stage(m, [disk], 400 * MIB, 100 * MIB, metadata="2m", chunk="64k")
        guard.take_over(m)
        snaps = inside("snaps", pool_device(), device, _SNAPSHOTS, _SECONDS)
        seen = json.loads(m.run(snaps, timeout=_SECONDS + 60).out)
        clear_stage(m)
        yield Measured(CASE, "", "begin to grown", "s", guard.name, number, (seen["grown"],))
        for what, unit, value in (
            ("snapshots refused", "", seen["refused"]),
            ("snapshots made", "", seen["made"]),
            ("at the fullest", "%", 100 * seen["fullest"]),
        ):
            yield Measured(CASE, "", what, unit, guard.name, number, (value,))
