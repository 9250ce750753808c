"""The procedures of Docker's manual for devicemapper, by their numbers, and who tests each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

PROCEDURES = {
    "P1": "direct-lvm made by Docker itself, from daemon.json",
    "P2": "stop Docker",
    "P3": "install LVM and the thin provisioning tools",
    "P4": "pvcreate",
    "P5": "vgcreate",
    "P6": "lvcreate for data and metadata",
    "P7": "lvconvert to a thin pool",
    "P8": "write the LVM profile",
    "P9": "attach the profile",
    "P10": "see that the pool is monitored, or have it monitored",
    "P11": "keep what /var/lib/docker has",
    "P12": "daemon.json",
    "P13": "look at the structure with lsblk",
    "P14": "watch the pool with lvs, or by a monitor",
    "P15": "follow dm-event's journal",
    "P16": "dm.min_free_space",
    "P17": "resize a loop-lvm pool with device_tool",
    "P18": "find the loop files",
    "P19": "truncate the data file",
    "P20": "have the loop device see its new size",
    "P21": "find the pool's name",
    "P22": "read the pool's table",
    "P23": "compute the new length in sectors",
    "P24": "suspend, reload and resume",
    "P25": "find the volume group",
    "P26": "vgextend with a new disk",
    "P27": "lvextend the pool",
    "P28": "extend its metadata",
    "P29": "see the new size in docker info",
    "P30": "activate the pool after a reboot",
    "P31": "inspect devices and mounts",
    "P32": "what the metadata and mount directories hold",
    "P33": "best practices",
}
TOLD = ("P1", "P32", "P33")
"""Those that README says why not of."""

F = TypeVar("F", bound="Callable[..., object]")


def procedures(*names: str) -> Callable[[F], F]:
    """Mark a test that does these procedures through dmguard."""
    unknown = set(names) - set(PROCEDURES)
    if unknown:
        raise ValueError(f"no such procedures: {unknown}")

    def mark(test: F) -> F:
        return test

    return mark
