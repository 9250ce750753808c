"""The power goes at every step of a set-up; the same words complete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm.bootkit import cut_and_boot
from tests.vm.kit import MIB, history
from tests.vm.setupkit import (
    Bystander,
    Moment,
    assert_set_up,
    boundary,
    set_up,
    stop_set_up,
    tear_down,
)

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine
    from tests.vm.conftest import Factory

# What lets go of the lock has an intent of its own.
APART = "intent-apart"

# create-vg has three steps (two proofs, vgcreate), create-pool two (the profile, lvcreate).
VG_STEPS = 3
GROUP_AND_POOL = [
    boundary("intended", 1),
    boundary("ran", 1, 2),
    boundary("step", 1, 3),
    boundary("ran", 1, 3),
    boundary("recorded", 1),
    boundary("cleared", 1),
    boundary("intended", 2, before=VG_STEPS),
    boundary("step", 2, 1, before=VG_STEPS),
    boundary("ran", 2, 1, before=VG_STEPS),
    Moment("lvcreate: the metadata has a volume", "lvcreate", "docker-lvol0"),
    Moment("lvcreate: the data has a volume", "lvcreate", "docker-thinpool"),
    boundary("step", 2, 2, before=VG_STEPS),
    boundary("ran", 2, 2, before=VG_STEPS),
    boundary("recorded", 2),
]


def clear(m: Machine, *disks: Disk) -> None:
    tear_down(m, list(disks))
    m.run("rm -rf /var/lib/dmguard/*; sync")


def test_a_power_cut_in_each_step_of_making_group_and_pool(machines: Factory) -> None:
    """No agent: the command itself must see what it left."""
    m = machines(disks=[64 * MIB, 64 * MIB, 32 * MIB, 64 * MIB], dmguard=False)
    first, second, third, blank = m.disks
    bystander = Bystander(m, third)
    words = f"--consumer none {first.device} {second.device}"
    for number, moment in enumerate(GROUP_AND_POOL, 1):
        print(f"{number}: {moment.name}")
        for _ in range(3):
            if stop_set_up(m, words, moment):
                break
            clear(m, first, second)
        else:
            pytest.fail("three times LVM was at its end before it was stopped")
        m.power_cut()
        m.boot()
        set_up(m, words)
        assert_set_up(m, words, [first, second])
        told = [entry["result"] for entry in history(m, "create-vg")]
        assert told.count("done") == 1, told
        bystander.assert_untouched()
        assert m.run(f"blkid -p {blank.device}", check=False).out == ""
        clear(m, first, second)
    assert len(GROUP_AND_POOL) + len(CONTAINERD) >= 20


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
    for number, moment in enumerate(CONTAINERD, 1):
        print(f"{number}: {moment.name}")
        assert stop_set_up(m, words, moment)
        cut_and_boot(m, m.append)
        set_up(m, words)
        assert_set_up(m, words, m.disks)
        assert "ok" in m.run("ctr plugins ls | grep devmapper").out
        before = m.run("cat /root/before").out
        assert m.run(f"cat {file}").out.startswith(before.rstrip("\n"))
        assert m.run(f"cat {file}.before-dmguard").out == before
        m.run(
            f"systemctl stop containerd; cp -a /root/before {file}; rm {file}.before-dmguard; sync"
        )
