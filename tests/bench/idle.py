"""What a guard costs while its pool is healthy and nobody writes."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import DMEVENTD, dmguard
from tests.bench.stand import MIB, clear_stage, inside, make_stage, turns
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.machine import Machine

CASE = "idle"
_PROCESSES = {"dmeventd": "dmeventd", "dmguard": "dmguard"}
_SECONDS = 120
_HOUR = 3600 / _SECONDS


def measure(m: Machine, rounds: int) -> Iterator[Measured]:
    """Two minutes of each, after ten seconds in which no process was started."""
    disk = m.add_disk(1024 * MIB)
    guards = {guard.name: guard for guard in (DMEVENTD, dmguard(step_only=False))}
    for number, name in turns(list(guards), rounds):
        make_stage(m, [disk], 400 * MIB, 400 * MIB)
        guards[name].take_over(m)
        wait_for("the machine quiet", partial(_is_quiet, m, name), timeout=180)
        seen = _watch(m, _SECONDS, name)
        clear_stage(m)
        for what, unit, value in (
            ("resident", "MiB", seen["resident"] / MIB),
            ("locked", "MiB", seen["locked"] / MIB),
            ("CPU an hour", "s", seen["cpu"] * _HOUR),
            ("switches an hour", "", seen["switches"] * _HOUR),
            ("processes started", "", seen["forks"]),
        ):
            yield Measured(CASE, "", what, unit, name, number, (value,))


def _is_quiet(m: Machine, name: str) -> bool:
    return not _watch(m, 10, name)["forks"]


def _watch(m: Machine, seconds: int, name: str) -> dict[str, float]:
    out = m.run(inside("idle", seconds, _PROCESSES[name]), timeout=seconds + 60).out
    found: dict[str, float] = json.loads(out)
    assert found["processes"] == 1, found
    return found
