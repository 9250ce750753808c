"""Pools of several groups on one machine, each with a writer that crosses its threshold at will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.kit import (
    MIB,
    assert_reads_back,
    entries,
    grown,
    size_of,
    wait_for,
    wait_for_mark,
    writing,
)
from tests.vm.mortal import EXTENT

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine

SIZE = 1500 * MIB


class Filling:
    """A guarded pool of LVM's, and a thin device in it that none of LVM's words are about."""

    def __init__(self, m: Machine, vg: str, disks: list[Disk] | None, *, size: int = 100) -> None:
        """`disks`: make its group of them; None: it is there."""
        self.m, self.vg, self.size, self.written = m, vg, size * MIB, 0
        self.crossings = 0
        if disks is not None:
            make_vg(m, vg, disks)
        make_pool(m, vg, "pool", f"{size}m")
        self.device = raw_thin(m, vg, "pool", f"{vg}-thin", SIZE, 0)
        # Once, for there may be no place to put anything later.
        self._writer = writing(m, self.device, 0, 0).partition(self.device)[0]
        wait_for_mark(m, vg, "pool")

    def cross(self) -> None:
        """Write so much that it has to grow by one step."""
        upto = self.size * 76 // 100 // MIB + 1
        count = upto - self.written
        words = f"{self._writer}{self.device} {self.written} {count} 0 > /dev/null"
        result = self.m.start(words).wait(120)
        assert result.status == 0, result.err
        self.written = upto
        self.size = grown(self.size, EXTENT)
        self.crossings += 1

    def is_grown(self) -> bool:
        return size_of(self.m, self.vg, "pool") >= self.size

    def assert_grown(self, within: float = 5) -> None:
        """By that step, and by no other."""
        wait_for(f"{self.vg} grown", self.is_grown, timeout=within)
        assert size_of(self.m, self.vg, "pool") == self.size

    def assert_met(self, within: float = 5) -> None:
        self.cross()
        self.assert_grown(within)

    def assert_intact(self) -> None:
        assert_reads_back(self.m, self.device, 0, self.written)


def reasons(m: Machine, subject: str = "") -> list[str]:
    """What was told that is no act that was done, with these words in it."""
    told = [e for e in entries(m) if e["DMGUARD_RESULT"] != "done" and subject in e["MESSAGE"]]
    return [entry["DMGUARD_REASON"] for entry in told]


def cleared(m: Machine) -> list[str]:
    """What was told to be no longer so."""
    return [e["DMGUARD_REASON"] for e in entries(m) if ": no longer: " in e["MESSAGE"]]
