"""Disks with a serial and a WWN (scsi_debug): these can be pulled out while they are in use.

A disk of the machine's own (`Machine.unplug`) refuses to go while anything holds it open.
What is on a scsi_debug disk is in the machine's memory and gone with its power.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.machine import Machine

HOSTS = "ls -d /sys/bus/pseudo/drivers/scsi_debug/adapter*"
NODES = "target*/*:*/block/* 2>/dev/null"
LIST = f"{HOSTS}/host*/{NODES}"


def present(m: Machine) -> list[str]:
    """Return the nodes of the scsi_debug disks that are there."""
    found = m.run(LIST, check=False).out.split()
    return sorted(f"/dev/{path.rpartition('/')[2]}" for path in found)


def add(m: Machine, count: int, size_mb: int = 16, options: str = "") -> list[str]:
    """Add disks in one burst; size and options hold for all, as the first call sets them."""
    before = set(present(m))
    m.run(
        f"test -d /sys/bus/pseudo/drivers/scsi_debug || modprobe scsi_debug"
        f" per_host_store=1 add_host=0 dev_size_mb={size_mb} {options}"
    )
    m.run(f"echo {count} >/sys/bus/pseudo/drivers/scsi_debug/add_host")
    m.wait_until(f"test $({LIST} | wc -l) -ge {len(before) + count} && udevadm settle", 60)
    return [node for node in present(m) if node not in before]


def pull(m: Machine, node: str) -> str:
    """Pull a disk out, in use or not; return the place that it was in."""
    device = f"/sys/block/{shlex.quote(node.removeprefix('/dev/'))}/device"
    place = m.run(f"readlink -f {device} | grep -o 'host[0-9]*'").out.strip()
    m.run(f"echo 1 >{device}/delete && udevadm settle")
    return place


def back(m: Machine, place: str = "host*") -> None:
    """Put pulled disks back in, with what was on them: all, or that of one place.

    A disk has another name than before as long as something holds what it was.
    """
    m.run(f"for h in /sys/class/scsi_host/{place}; do echo '- - -' >$h/scan; done")
    # The scan returns before the kernel has made the disk's node.
    there, wanted = f"$({HOSTS}/{place}/{NODES} | wc -l)", f"$({HOSTS}/{place} | wc -l)"
    m.wait_until(f"test {there} -eq {wanted} && udevadm settle", 20, 0.1)
