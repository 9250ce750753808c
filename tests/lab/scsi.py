"""Disks with a serial and a WWN (scsi_debug): these can be pulled out while they are in use.

A disk of the machine's own (`Machine.unplug`) refuses to go while anything holds it open.
What is on a scsi_debug disk is in the machine's memory and gone with its power.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.machine import Machine

DRIVER = "/sys/bus/pseudo/drivers/scsi_debug"
HOSTS = f"ls -d {DRIVER}/adapter*"
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
        f"test -d {DRIVER} || modprobe scsi_debug"
        f" per_host_store=1 add_host=0 dev_size_mb={size_mb} {options}"
    )
    m.run(f"echo {count} >{DRIVER}/add_host")
    m.wait_until(f"test $({LIST} | wc -l) -ge {len(before) + count}", 60)
    added = [node for node in present(m) if node not in before]
    # A node is there before udev hears of it.
    m.run(f"udevadm wait --timeout=60 --settle {' '.join(added)}", timeout=70)
    return added


def pull(m: Machine, node: str) -> str:
    """Pull a disk out, in use or not; return the place that it was in."""
    place = m.run(f"readlink -f {_device(node)} | grep -o 'host[0-9]*'").out.strip()
    m.run(pulling(node))
    return place


def pulling(node: str) -> str:
    """The same in words of the shell."""
    return f"echo 1 >{_device(node)}/delete && udevadm settle"


def _device(node: str) -> str:
    return f"/sys/block/{shlex.quote(node.removeprefix('/dev/'))}/device"


def back(m: Machine, place: str = "host*") -> None:
    """Put pulled disks back in, with what was on them: all, or that of one place.

    A disk has another name than before as long as something holds what it was.
    """
    m.run(returning(place))


def returning(place: str = "host*") -> str:
    """The same in words of the shell."""
    there, wanted = f"$({HOSTS}/{place}/{NODES} | wc -l)", f"$({HOSTS}/{place} | wc -l)"
    # The scan returns before the kernel has made the disk's node.
    return (
        f"for h in /sys/class/scsi_host/{place}; do echo '- - -' >$h/scan; done"
        f"; timeout 20 sh -c 'until test {there} -eq {wanted}; do sleep 0.1; done'"
        " && udevadm settle"
    )
