"""Words of the tests about set-ups: run one, and see what became of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.vm.disks import wipe
from tests.vm.kit import LIB

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine

DOCKER = '{"iptables" : false,\n\t"bridge":"none",   "log-opts": {"max-size": "10m"}\n}'
"""An administrator's daemon.json. The machine has no network, so Docker need not filter any."""


def set_up(m: Machine, words: str, status: int = 0) -> str:
    """Run it to its end; what it said."""
    result = m.run(f"dmguard setup {words}", timeout=180, check=False)
    assert result.status == status, result.out + result.err
    return result.out + result.err


_REPORT = """
pvs --noheadings -o pv_name,vg_name,pv_tags; echo
lvs -a --noheadings --nosuffix --units b -o lv_name,lv_profile,lv_size,vg_size,lv_attr docker
"""


def assert_set_up(m: Machine, words: str, disks: list[Disk]) -> None:
    """The same words find nothing to do, and all is made."""
    assert "all is set up already" in set_up(m, words)
    assert_made(m, disks)


def assert_made(m: Machine, disks: list[Disk]) -> None:
    """The group is of these disks, the pool is there with its profile, and nothing is left over."""
    pvs, lvs = m.run(_REPORT).out.split("\n\n")
    rows = [line.split() for line in pvs.splitlines()]
    assert sorted(rows) == sorted([disk.device, "docker", "dmguard"] for disk in disks)
    volumes = {row[0]: row[1:] for row in map(str.split, lvs.splitlines())}
    assert set(volumes) == {"[lvol0_pmspare]", "thinpool", "[thinpool_tdata]", "[thinpool_tmeta]"}
    profile, size, vg, attributes = volumes["thinpool"]
    assert profile == "docker-thinpool"
    assert attributes.startswith("twi-a")
    assert 0.9 * int(vg) < int(size) <= 0.95 * int(vg)
    m.run(f"test ! -e {LIB}/intent.json && test ! -e {LIB}/intent-apart.json")


def tear_down(m: Machine, disks: list[Disk]) -> None:
    """Bare disks again, as if there had never been a set-up."""
    m.run("vgremove -q -ff -y docker; rm -f /etc/lvm/profile/docker-thinpool.profile")
    wipe(m, [disk.device for disk in disks])


def tear_pool_down(m: Machine) -> None:
    """A bare group again, as if there had never been a pool."""
    m.run("lvremove -q -y docker/thinpool; rm -f /etc/lvm/profile/docker-thinpool.profile")


class Bystander:
    """A disk that nobody named: every byte of it stays."""

    def __init__(self, m: Machine, disk: Disk) -> None:
        self.m, self.disk = m, disk
        m.run(f"mke2fs -q -t ext4 {disk.device} && udevadm settle")
        self.before = self.digest()

    def digest(self) -> str:
        return hashlib.sha256(self.disk.path.read_bytes()).hexdigest()

    def assert_untouched(self) -> None:
        self.m.run("sync")
        assert self.digest() == self.before
