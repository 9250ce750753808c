"""A writer against the guard: how long does it stand still?

The pool is filled to shortly below its mark, and lies there for some seconds with its guard; then
1 MiB after the other is written at a speed.
A pool out of space fails its writers after 20 s, not after the kernel's 60.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.bench.figures import Measured, quantile
from tests.bench.guards import CRON, DEFAULTS, DMEVENTD, THRESHOLD, VG, dmguard
from tests.bench.stand import (
    MIB,
    Watch,
    clear_stage,
    fail_writers_after,
    inside,
    make_stage,
)
from tests.lab.lvmkit import vg_free

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.guards import Guard
    from tests.bench.plan import Plan
    from tests.lab.machine import Disk
    from tests.lab.stand import Stand

CASE = "race"
SIZES = (512, 2048, 8192)
SPEEDS = (100, 75, 50, 25)
# Those who are there to compare with take much longer: without --thorough they race once.
_EXTRA = (2048, 100)
GROUP = 3 * max(SIZES) * MIB
_CHUNK = 512 << 10
_SECONDS = 10
_TRIES, _TRY = 5, 384
_NO_SPACE_S = 20
_REST_S = 5
"""Guards run since the boot: none of them is raced in the second in which it was started."""

_OUT = "out_of_data_space"
# What dmguard keeps of the group for metadata, by its default.
_RESERVE = 0.01


@dataclass(frozen=True)
class Run:
    """One writer: it writes `count` MiB at `rate` MiB a second, 0 as fast as it can."""

    size: int
    percent: int
    count: int
    rate: float

    @property
    def of(self) -> str:
        return f"{self.size / 1024:g} GiB at {self.percent} %"


def measure(m: Stand, plan: Plan) -> Iterator[Measured]:
    """Every speed against every size, each guard in turn."""
    fail_writers_after(m, _NO_SPACE_S)
    disk = m.add_disk(GROUP)
    full = full_speed(m, disk)
    yield Measured(CASE, "", "full speed", "MiB/s", "nobody", 0, (full,))
    for size in SIZES:
        for percent in SPEEDS:
            rate = full * percent / 100
            # Enough to fill the pool, were it not grown, and once more what one step brings.
            count = int(min(rate * _SECONDS, max(size // 2, 512)))
            run = Run(size, percent, count, rate if percent < 100 else 0)
            extra = plan.thorough or (size, percent) == _EXTRA
            guards = (DMEVENTD, dmguard(step_only=False), *((CRON, DEFAULTS) if extra else ()))
            for number, guard in plan.turns(guards):
                yield from _race(m, disk, run, guard, number)


def full_speed(m: Stand, disk: Disk) -> float:
    """MiB a second into a pool that has room; the median of some tries."""
    device = make_stage(m, [disk], 2048 * MIB, 2048 * MIB)
    tries = []
    for number in range(_TRIES):
        write = inside("write", device, number * _TRY, _TRY, 0)
        written = json.loads(m.run(write, timeout=300).out)
        tries.append(_TRY / float(written["ended"] - written["began"]))
    clear_stage(m)
    return median(tries)


def _race(m: Stand, disk: Disk, run: Run, guard: Guard, number: int) -> Iterator[Measured]:
    device = make_stage(m, [disk], run.size * MIB, 2 * run.size * MIB)
    filled = run.size * MIB // _CHUNK * (THRESHOLD - 2) // 100
    m.run(inside("prefill", device, 0, filled, _CHUNK), timeout=300)
    guard.take_over(m)
    time.sleep(_REST_S)
    watch = Watch(m)
    first = filled * _CHUNK // MIB + 1
    written = json.loads(
        m.run(inside("write", device, first, run.count, run.rate), timeout=400).out
    )
    watch.stop()
    seen, left = watch.read(), vg_free(m, VG)
    clear_stage(m)
    for what, unit, value in _told(seen, written, left):
        yield Measured(CASE, run.of, what, unit, guard.name, number, (value,))


def _told(
    seen: list[dict[str, Any]], written: dict[str, Any], left: int
) -> Iterator[tuple[str, str, float]]:
    took = sorted(written["took"])
    began, ended = written["began"], written["ended"]
    yield "out of data space", "s", out_of_space(seen, began, ended)
    yield "longest write", "s", took[-1]
    yield "write p99", "s", quantile(took, 0.99)
    yield "write p50", "s", quantile(took, 0.5)
    yield "speed reached", "MiB/s", len(took) / (ended - began)
    yield "growths", "", len({one["size"] for one in seen}) - 1
    yield "room left", "MiB", left / MIB
    errors = len(written["errors"])
    yield "errors", "", errors
    yield "errors with room left", "", errors if left > _RESERVE * GROUP else 0


def out_of_space(seen: list[dict[str, Any]], began: float, ended: float) -> float:
    """Seconds between both that the pool spent without data space."""
    ends = [*(one["at"] for one in seen[1:]), ended]
    spells = (
        max(0.0, min(float(end), ended) - max(float(one["at"]), began))
        for one, end in zip(seen, ends, strict=True)
        if one["mode"] == _OUT
    )
    return float(sum(spells))
