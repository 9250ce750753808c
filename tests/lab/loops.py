"""Disks that grow while they are in use: loop devices over files of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.machine import Machine


def add(m: Machine, name: str, size: int) -> str:
    """Give the machine a loop device of so many bytes; return its node."""
    file = f"/var/tmp/{name}.img"
    m.run(f"truncate -s {size} {file}")
    return m.run(f"losetup --show -f {file} && udevadm settle").out.strip()


def grow(m: Machine, device: str, size: int) -> None:
    """Make it larger: the kernel raises a change uevent with RESIZE=1, as for a real disk."""
    file = m.run(f"losetup -nO BACK-FILE {device}").out.strip()
    m.run(f"truncate -s {size} {file} && losetup -c {device} && udevadm settle")
