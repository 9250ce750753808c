"""The cost of one event, with few and with many pools and disks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.guards import VG, dmguard
from tests.bench.stand import MIB, clear_stage, inside, make_stage, pool_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.machine import Machine

CASE = "scale"
STEPS = ((1, 4), (10, 40), (100, 200))
_CROSSINGS = 5


def measure(m: Machine, rounds: int) -> Iterator[Measured]:
    """One pool is filled again and again beside others that nothing happens to."""
    disk = m.add_disk(8192 * MIB)
    for number in range(rounds):
        device = make_stage(m, [disk], 100 * MIB, 1500 * MIB)
        pools = disks = 1
        for wanted_pools, wanted_disks in STEPS:
            _add_pools(m, pools, wanted_pools)
            _add_disks(m, disks, wanted_disks)
            pools, disks = wanted_pools, wanted_disks
            of = f"{pools} pools, {disks} disks"
            dmguard().take_over(m)
            yield from _cross(m, device, of, number)
            m.run("systemctl stop dmguard")
        clear_stage(m)
        m.run("losetup -D; rm -f /var/tmp/disk*")


def _add_pools(m: Machine, have: int, want: int) -> None:
    make = (
        f"lvcreate -y -q --type thin-pool -L 20m --poolmetadatasize 4m -c 512k -Zn"
        f" --config activation/monitoring=0 -n other$i {VG}"
    )
    m.run(f"for i in $(seq {have} {want - 1}); do {make} || exit 1; done", timeout=600)


def _add_disks(m: Machine, have: int, want: int) -> None:
    make = "truncate -s 16M /var/tmp/disk$i && losetup -f /var/tmp/disk$i"
    m.run(
        f"for i in $(seq {have} {want - 1}); do {make} || exit 1; done; udevadm settle", timeout=600
    )


def _cross(m: Machine, device: str, of: str, number: int) -> Iterator[Measured]:
    pid = m.run("systemctl show -P MainPID dmguard").out.strip()
    before = _cpu(m, pid)
    out = m.run(inside("cross", pool_device(), device, _CROSSINGS, 60), timeout=400).out
    seen = [json.loads(line) for line in out.splitlines()]
    spent = (_cpu(m, pid) - before) / _CROSSINGS
    grown = tuple(one["grown"] for one in seen)
    yield Measured(CASE, of, "event to grown", "s", "dmguard", number, grown)
    yield Measured(CASE, of, "agent's CPU an event", "s", "dmguard", number, (spent,))


def _cpu(m: Machine, pid: str) -> float:
    lines = m.run(f"cat /proc/{pid}/task/*/schedstat").out.splitlines()
    return sum(int(line.split()[0]) for line in lines) / 1e9
