"""The cost of one event, with few and with many pools and disks, and of a storm of thin devices."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import DMEVENTD, POOL, THRESHOLD, VG, dmguard
from tests.bench.reaction import FLOOR
from tests.bench.stand import MIB, REST_S, clear_stage, inside, make_stage, pool_device
from tests.lab.lvmkit import make_pool, raw_thin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.guards import Guard
    from tests.bench.plan import Plan
    from tests.lab.machine import Machine

CASE = "scale"
STEPS = ((1, 4), (10, 40), (100, 200))
_CROSSINGS = 5
_SIZE, _THIN = 60 * MIB, 1500 * MIB
_PER_MINUTE, _ALIVE, _SECONDS = 1000, 100, 60
_STORM = f"storm of {_PER_MINUTE} devices a minute"
_COMMON = f"activation/monitoring=0 activation/thin_pool_autoextend_threshold={THRESHOLD}"
"""The pools that nothing happens to have their marks: nobody is to load their tables anew."""


def measure(m: Machine, _: Plan) -> Iterator[Measured]:
    """One pool is filled again and again beside others that nothing happens to.

    Once, however many rounds there are: what is measured is how its cost grows, and making the
    others takes minutes.
    """
    disk = m.add_disk(8192 * MIB)
    make_stage(m, [disk], _SIZE, _THIN)
    pools = disks = 1
    for wanted_pools, wanted_disks in STEPS:
        _add_pools(m, pools, wanted_pools)
        _add_disks(m, disks, wanted_disks)
        pools, disks = wanted_pools, wanted_disks
        of = f"{pools} pools, {disks} disks"
        for guard in (DMEVENTD, dmguard()):
            device = _make_anew(m)
            guard.take_over(m)
            yield from _cross(m, guard, device, of)
            m.run(_REST[guard.name])
        if pools == 1:
            yield from _storms(m)
    clear_stage(m)
    m.run("losetup -D; rm -f /var/tmp/disk*")


def _storms(m: Machine) -> Iterator[Measured]:
    _make_anew(m)
    yield _floor_in_storm(m)
    _make_anew(m)
    dmguard().take_over(m)
    yield from _rest_in_storm(m)
    m.run(_REST["dmguard"])
    for guard in (DMEVENTD, dmguard()):
        device = _make_anew(m)
        guard.take_over(m)
        yield _cross_in_storm(m, guard, device)
        m.run(_REST[guard.name])


def _make_anew(m: Machine) -> str:
    """The pool as it was at first, so that each guard has the same to do."""
    m.run(f"dmsetup remove --retry thin; lvremove -q -f {VG}/{POOL}")
    make_pool(m, VG, POOL, f"{_SIZE}b", metadata="8m", chunk="512k")
    return raw_thin(m, VG, POOL, "thin", _THIN, 0)


_REST = {
    "dmguard": "systemctl stop dmguard",
    "dmeventd": f"vgchange -q --monitor n {VG}; systemctl stop dm-event.socket dm-event.service",
}
_UNITS = {"dmguard": "dmguard", "dmeventd": "dm-event"}


def _add_pools(m: Machine, have: int, want: int) -> None:
    if have == 1 < want:
        m.run(
            f"lvcreate -y -q --type thin-pool -L 20m --poolmetadatasize 4m -c 512k -Zn"
            f" --config '{_COMMON}' -n other {VG}"
        )
        have += 1
    if want > have:
        # Those of an earlier step have their own copies.
        m.run(inside("manypools", VG, "other", want - have, want), timeout=120)
        m.run(f"vgchange -q -ay --config '{_COMMON}' {VG}; udevadm settle", timeout=600)


def _add_disks(m: Machine, have: int, want: int) -> None:
    make = "truncate -s 16M /var/tmp/disk$i && losetup -f /var/tmp/disk$i"
    m.run(
        f"for i in $(seq {have} {want - 1}); do {make} || exit 1; done; udevadm settle", timeout=600
    )


def _cross(m: Machine, guard: Guard, device: str, of: str) -> Iterator[Measured]:
    # What a guard keeps ready for a pool that is near its mark is there before it is measured.
    m.run(inside("cross", pool_device(), device, 1, 60, REST_S), timeout=200)
    before = _spent(m, guard)
    out = m.run(inside("cross", pool_device(), device, _CROSSINGS, 60, 0), timeout=400).out
    seen = [json.loads(line) for line in out.splitlines()]
    after = _spent(m, guard)
    grown = tuple(one["grown"] for one in seen)
    yield Measured(CASE, of, "event to grown", "s", guard.name, 0, grown)
    for what, key in (("agent's CPU an event", "own"), ("CPU an event", "all")):
        spent = (after[key] - before[key]) / _CROSSINGS
        yield Measured(CASE, of, what, "s", guard.name, 0, (spent,))


def _rest_in_storm(m: Machine) -> Iterator[Measured]:
    """What a minute costs in which nothing happens, and one in which devices come and go."""
    guard = dmguard()
    time.sleep(10)
    for what, seconds in (("CPU a quiet minute", 0), ("CPU a minute", _SECONDS)):
        storm = inside("storm", pool_device(), 1000, _PER_MINUTE, _ALIVE, seconds)
        before = _spent(m, guard)
        m.run(storm if seconds else f"sleep {_SECONDS}", timeout=2 * _SECONDS + 60)
        spent = _spent(m, guard)["all"] - before["all"]
        yield Measured(CASE, _STORM, what, "s", guard.name, 0, (spent,))


def _floor_in_storm(m: Machine) -> Measured:
    """What the kernel itself takes: with the pool it suspends each thin device that is in use."""
    running = m.start(inside("storm", pool_device(), 20_000, _PER_MINUTE, _ALIVE, _SECONDS))
    name = f"storm-{20_000 + _ALIVE}"
    m.wait_until(f"dmsetup info {name}", _SECONDS)
    out = m.run(inside("floor", pool_device(), _CROSSINGS), timeout=100).out
    running.wait(2 * _SECONDS + 60)
    took = tuple(float(line) for line in out.splitlines())
    return Measured(CASE, _STORM, FLOOR, "s", "kernel", 0, took)


def _cross_in_storm(m: Machine, guard: Guard, device: str) -> Measured:
    running = m.start(inside("storm", pool_device(), 9000, _PER_MINUTE, _ALIVE, 2 * _SECONDS))
    out = m.run(inside("cross", pool_device(), device, _CROSSINGS, 60, REST_S), timeout=400).out
    grown = tuple(json.loads(line)["grown"] for line in out.splitlines())
    running.wait(4 * _SECONDS)
    return Measured(CASE, _STORM, "event to grown", "s", guard.name, 0, grown)


def _spent(m: Machine, guard: Guard) -> dict[str, float]:
    pid = m.run(f"systemctl show -P MainPID {_UNITS[guard.name]}").out.strip()
    found: dict[str, float] = json.loads(m.run(inside("spent", pid)).out)
    return found
