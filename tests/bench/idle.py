"""What a guard costs while its pool is healthy and nobody writes."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.figures import Measured
from tests.bench.guards import DMEVENTD, THRESHOLD, dmguard
from tests.bench.stand import MIB, clear_stage, inside, make_stage
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.guards import Guard
    from tests.bench.plan import Plan
    from tests.lab.machine import Disk
    from tests.lab.stand import Stand

CASE = "idle"
AGENTS = {"dmeventd": "dmeventd", "dmguard": "dmguard"}
EXECUTOR = "dmguard-lvm"
"""The process of dmguard's that has LVM in it, if there is one."""
_SECONDS, _QUIET_S = 120, 10
_POOL, _CHUNK = 400 * MIB, 512 << 10
_NEAR = THRESHOLD - 5


def measure(m: Stand, plan: Plan) -> Iterator[Measured]:
    """Two minutes of each, when no process was started for ten seconds; memory near the mark."""
    disk = m.add_disk(1024 * MIB)
    for number, guard in plan.turns((DMEVENTD, dmguard(step_only=False))):
        seen = _guarded(m, disk, guard, 0, _SECONDS)
        for what, unit, value in told(seen, guard.name, _SECONDS):
            yield Measured(CASE, "", what, unit, guard.name, number, (value,))
        seen = _guarded(m, disk, guard, _NEAR, _QUIET_S)
        for what, unit, value in resident(seen, guard.name):
            of = f"pool at {_NEAR} %"
            yield Measured(CASE, of, what, unit, guard.name, number, (value,))


def _guarded(m: Stand, disk: Disk, guard: Guard, percent: int, seconds: int) -> dict[str, Any]:
    """What it costs to guard a pool that is filled so far, and that nobody writes to."""
    device = make_stage(m, [disk], _POOL, _POOL)
    m.run(inside("prefill", device, 0, _POOL // _CHUNK * percent // 100, _CHUNK), timeout=120)
    guard.take_over(m)
    wait_for("the machine quiet", partial(_is_quiet, m, guard.name), timeout=180)
    seen = _watch(m, seconds, guard.name)
    clear_stage(m)
    return seen


def resident(seen: dict[str, Any], guard: str) -> Iterator[tuple[str, str, float]]:
    """The memory of the agent, of its executor if there is one, and of both."""
    agent, executor = seen[AGENTS[guard]], seen[EXECUTOR]
    yield "resident", "MiB", agent["resident"] / MIB
    if executor["processes"]:
        yield "resident, executor", "MiB", executor["resident"] / MIB
    yield "resident with executor", "MiB", (agent["resident"] + executor["resident"]) / MIB


def told(seen: dict[str, Any], guard: str, seconds: float) -> Iterator[tuple[str, str, float]]:
    """Every quantity of a guard that was watched for so many seconds."""
    agent, executor = seen[AGENTS[guard]], seen[EXECUTOR]
    hour = 3600 / seconds
    yield from resident(seen, guard)
    yield "locked", "MiB", agent["locked"] / MIB
    yield "CPU an hour", "s", agent["cpu"] * hour
    yield "CPU an hour with executor", "s", (agent["cpu"] + executor["cpu"]) * hour
    yield "switches an hour", "", agent["switches"] * hour
    # Others on the machine start one now and then, and the kernel counts its threads as processes.
    parent = agent["parents"] or executor["processes"]
    yield "processes started", "", seen["forks"] if parent else 0


def _is_quiet(m: Stand, guard: str) -> bool:
    return not _watch(m, _QUIET_S, guard)["forks"]


def _watch(m: Stand, seconds: int, guard: str) -> dict[str, Any]:
    out = m.run(inside("idle", seconds, AGENTS[guard], EXECUTOR), timeout=seconds + 60).out
    found: dict[str, Any] = json.loads(out)
    assert found[AGENTS[guard]]["processes"] == 1, found
    if guard != "dmguard":
        # One that dmguard has left is not the peer's.
        assert not found[EXECUTOR]["processes"], found
    return found
