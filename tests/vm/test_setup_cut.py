"""The power goes at every step of a set-up; the same words complete it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.vm.bootkit import cut_and_boot
from tests.vm.boundaries import Moment, boundary
from tests.vm.kit import LIB, MIB, history
from tests.vm.lvmcut import LvmCut
from tests.vm.mortal import run_until
from tests.vm.setupkit import (
    Bystander,
    assert_made,
    assert_set_up,
    set_up,
    tear_down,
    tear_pool_down,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

_T = TypeVar("_T", bound="Moment | Inside")

# What lets go of the lock has an intent of its own.
APART = "intent-apart"


@dataclass(frozen=True)
class Inside:
    """Behind one of LVM's own writes: so many are left of the command."""

    name: str
    verb: str
    left: int


# create-vg has three steps (two proofs, vgcreate), create-pool two (the profile, lvcreate).
GROUP: list[Moment | Inside] = [
    boundary("intended", 1),
    boundary("ran", 1, 2),
    Inside("vgcreate: both disks are PVs of no VG", "vgcreate", 12),
    Inside("vgcreate: the first disk is marked as used", "vgcreate", 9),
    boundary("step", 1, 3),
    boundary("ran", 1, 3),
    boundary("recorded", 1),
    boundary("cleared", 1),
    boundary("intended", 2, before=3),
]
# The group is there. lvcreate commits three times, with six writes on two PVs each.
POOL: list[Moment | Inside] = [
    boundary("step", 1, 1),
    boundary("ran", 1, 1),
    Inside("lvcreate: the metadata has a volume", "lvcreate", 12),
    Inside("lvcreate: the data has a volume", "lvcreate", 6),
    boundary("step", 1, 2),
    boundary("ran", 1, 2),
    boundary("recorded", 1),
]


class Cutter:
    """Cuts the power at one moment after the other; each is printed, and how long it took."""

    def __init__(self, m: Machine, verb: str) -> None:
        self.m, self.disks, self.blank = m, m.disks[:2], m.disks[3]
        self.words = f"--consumer none {m.disks[0].device} {m.disks[1].device}"
        self.inside = LvmCut(m, verb)
        self.bystander = Bystander(m, m.disks[2])

    def cut(self, moment: Moment | Inside) -> None:
        if isinstance(moment, Moment):
            run_until(self.m, f"dmguard setup {self.words}", moment.stop)
        else:
            assert moment.verb == self.inside.verb
            self.inside.arm(moment.left, "SIGSTOP")
            self.m.start(f"dmguard setup {self.words} > /tmp/out 2>&1")
            self.inside.wait_until_stopped()
        self.m.power_cut()
        self.m.boot()
        self.complete()

    def complete(self) -> None:
        """The first time, learn from it how many writes there are."""
        unknown = not self.inside.calls
        if unknown:
            self.inside.arm()
        set_up(self.m, self.words)
        if unknown:
            self.inside.count()

    def assert_done(self, action: str) -> None:
        assert_made(self.m, self.disks)
        results = [entry["result"] for entry in history(self.m, action)]
        assert results.count("done") == 1, results
        self.bystander.assert_untouched()
        assert self.m.run(f"blkid -p {self.blank.device}", check=False).out == ""

    def forget(self) -> None:
        self.m.run(f"rm -rf {LIB}/*; sync")

    def clear(self) -> None:
        tear_down(self.m, self.disks)
        self.forget()

    def clear_pool(self) -> None:
        tear_pool_down(self.m)
        self.forget()


def timed(moments: Sequence[_T]) -> Iterator[_T]:
    for number, moment in enumerate(moments, 1):
        began = time.monotonic()
        yield moment
        print(f"{number}: {moment.name}: {time.monotonic() - began:.0f} s", flush=True)


DISKS = (64 * MIB, 64 * MIB, 32 * MIB, 64 * MIB)
"""Two for the set-up, one with a file system and a blank one, which it is not to touch."""


def test_a_power_cut_in_each_step_of_making_a_group(machines: Factory) -> None:
    """No agent: the command itself must see what it left."""
    m = machines(disks=DISKS, dmguard=False)
    cutter = Cutter(m, "vgcreate")
    for moment in timed(GROUP):
        cutter.cut(moment)
        cutter.assert_done("create-vg")
        if moment is not GROUP[-1]:
            cutter.clear()
    assert_set_up(m, cutter.words, cutter.disks)


def test_a_power_cut_in_each_step_of_making_a_pool(machines: Factory) -> None:
    m = machines(disks=DISKS, dmguard=False)
    cutter = Cutter(m, "lvcreate")
    cutter.complete()
    for moment in timed(POOL):
        cutter.clear_pool()
        cutter.cut(moment)
        cutter.assert_done("create-pool")
    assert_set_up(m, cutter.words, cutter.disks)
    assert len(GROUP) + len(POOL) + len(CONTAINERD) >= 20


# stop, the proof of that, the file, reset-failed, start.
CONTAINERD = [
    boundary("intended", 1, slot=APART),
    boundary("step", 1, 1, slot=APART),
    boundary("ran", 1, 1, slot=APART),
    boundary("step", 1, 3, slot=APART),
    boundary("ran", 1, 3, slot=APART),
    boundary("step", 1, 5, slot=APART),
    boundary("recorded", 1, slot=APART),
]


def test_a_power_cut_in_each_step_of_configuring(machines: Factory) -> None:
    m = machines("trixie", disks=[64 * MIB, 64 * MIB], dmguard=False)
    file = "/etc/containerd/config.toml"
    m.run(f"cp -a {file} /root/before; systemctl enable -q containerd")
    words = f"--consumer containerd {m.disks[0].device} {m.disks[1].device}"
    set_up(m, words.replace("containerd", "none", 1))
    for moment in timed(CONTAINERD):
        run_until(m, f"dmguard setup {words}", moment.stop)
        cut_and_boot(m, m.append)
        set_up(m, words)
        assert_made(m, m.disks)
        if moment is CONTAINERD[-1]:
            assert_set_up(m, words, m.disks)
        assert "ok" in m.run("ctr plugins ls | grep devmapper").out
        before = m.run("cat /root/before").out
        assert m.run(f"cat {file}").out.startswith(before.rstrip("\n"))
        assert m.run(f"cat {file}.before-dmguard").out == before
        m.run(
            f"systemctl stop containerd; cp -a /root/before {file}; rm {file}.before-dmguard; sync"
        )
