"""A pool that is full, a group that is dry, and a disk that is plugged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import DMEVENTD, VG, dmguard
from tests.bench.stand import (
    MIB,
    Watch,
    clear_stage,
    fail_writers_after,
    inside,
    make_stage,
)
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.guards import Guard
    from tests.bench.plan import Plan
    from tests.lab.machine import Disk
    from tests.lab.stand import Stand

CASE = "dry"
_CLAIM = f'[[claim]]\nvg = "{VG}"\nmatch = {{ path = "platform-*" }}\nsettle = "0"\n'
_WAIT_S, _STUCK_S = 30, 3


def measure(m: Stand, plan: Plan) -> Iterator[Measured]:
    """The writer hangs when the disk comes; who never claims one is waited for half a minute."""
    fail_writers_after(m, 2 * _WAIT_S)
    own, spare = m.add_disk(200 * MIB), m.add_disk(512 * MIB)
    for number, guard in plan.turns((DMEVENTD, dmguard(more=_CLAIM))):
        m.unplug(spare)
        _make_new(spare)
        seen = _fill(m, own, spare, guard)
        yield Measured(CASE, "", "plugged to grown", "s", guard.name, number, (seen,))


def _make_new(disk: Disk) -> None:
    """Nothing is on it: one that has anything on it is not claimed."""
    size = disk.path.stat().st_size
    with disk.path.open("r+b") as file:
        file.truncate(0)
        file.truncate(size)


def _fill(m: Stand, own: Disk, spare: Disk, guard: Guard) -> float | None:
    device = make_stage(m, [own], 100 * MIB, 400 * MIB)
    guard.take_over(m)
    watch = Watch(m)
    # More than the group has; the rest is written when the pool has grown.
    writer = m.start(inside("write", device, 0, 220, 0) + " > ~/written")
    wait_for("the pool full for good", lambda: _is_stuck(m, watch), timeout=60)
    full, plugged = watch.read()[-1]["size"], _now(m)
    m.replug(spare)
    grown = None
    try:
        wait_for("it larger", lambda: watch.read()[-1]["size"] > full, timeout=_WAIT_S)
        grown = next(float(one["at"]) for one in watch.read() if one["size"] > full) - plugged
    except AssertionError:
        # Nobody helps: the writer is let go on, so that it ends.
        m.run(f"vgextend -q {VG} {spare.device} && lvextend -q -l +100%FREE {VG}/pool")
    writer.wait(120)
    watch.stop()
    clear_stage(m)
    return grown


def _is_stuck(m: Stand, watch: Watch) -> bool:
    """A guard that has room left takes it sooner."""
    last = watch.read()[-1]
    return last["mode"] == "out_of_data_space" and _now(m) - float(last["at"]) > _STUCK_S


def _now(m: Stand) -> float:
    return float(m.run("cut -d ' ' -f 1 /proc/uptime").out)
