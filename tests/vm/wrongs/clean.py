"""The host on which things are made wrong, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab import scsi
from tests.lab.lvmkit import docker_direct_lvm, make_pool, make_vg

if TYPE_CHECKING:
    from tests.lab.machine import Machine

SIZES = (2 << 30, 3 << 30, 2 << 30)


def clean(m: Machine) -> None:
    """Docker on its manual's pool, a pool of nobody's beside it, and a disk that nothing is on.

    Without the agent each pool is given a profile: nothing is then wrong with it or without it.
    """
    docker_direct_lvm(m, m.disks[0])
    make_vg(m, "vg", m.disks[1:2], extent="1m")
    make_pool(m, "vg", "pool", "100m", monitor=True)
    scsi.add(m, 1)
    m.run("systemctl stop dmguard && dmguard doctor --fix && systemctl start dmguard", timeout=120)
