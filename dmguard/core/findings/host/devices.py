"""Will LVM find the pools' disks again, and see all of them?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.model import DiskKind, split_dm_name
from dmguard.core.obstacle import guarded_vgs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import Disk, State, Vg
    from dmguard.core.settings import Settings

_MEMBER = "LVM2_member"
_KERNEL_NAME = re.compile(r"/dev/(?:(?:s|v|xv|h)d[a-z]|nvme\d|mmcblk\d|ubd[a-z])")
_BY_UUID = "/dev/disk/by-id/lvm-pv-uuid-"
_PLACE = ("path:", "name:")


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    vgs = tuple(guarded_vgs(state, settings))
    for vg in vgs:
        yield from _of_loops(vg, state)
    if vgs:
        yield from _of_filters(host)
    yield from _of_devices_file(vgs, host)
    yield from _of_unlisted(state, settings, host)
    for identity in sorted(state.ledger.ignored):
        if identity.startswith(_PLACE):
            yield Finding("disk-by-place", identity, f"{identity}: ignored by its place alone")


def _of_loops(vg: Vg, state: State) -> Iterator[Finding]:
    for pv in vg.pvs:
        disk = state.disk_at(pv.devno) if pv.devno else None
        is_loop = disk.kind is DiskKind.LOOP if disk else pv.name.startswith("/dev/loop")
        if is_loop:
            yield Finding("pv-on-loop", pv.name, f"{pv.name}: a PV of {vg.name} is a loop device")


def _of_filters(host: Host) -> Iterator[Finding]:
    filters = host.lvm.filters if host.lvm and host.lvm.devices is None else ()
    accepts = [entry for entry in filters if entry.startswith("a") and _KERNEL_NAME.search(entry)]
    if accepts and any(entry.startswith("r") for entry in filters):
        yield Finding(
            "filter-by-name", "lvm", f"lvm.conf lets LVM see disks by name: {', '.join(accepts)}"
        )


def _of_devices_file(vgs: tuple[Vg, ...], host: Host) -> Iterator[Finding]:
    entries = host.lvm.devices if host.lvm else None
    uuids = {pv.uuid.replace("-", ""): vg.name for vg in vgs for pv in vg.pvs}
    for entry in entries or ():
        vg = uuids.get(entry.pv_uuid.replace("-", ""))
        if entry.kind == "devname" and vg is not None:
            yield Finding(
                "devices-file-by-name",
                entry.name,
                f"{entry.name}: LVM's devices file knows this PV of {vg} by its name alone",
            )


def _of_unlisted(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    """Disks with a PV's label that LVM's devices file hides, where a pool's disks are wanted.

    Else they may be hidden on purpose, as disks of a guest are.
    """
    if host.lvm is None or host.lvm.devices is None or not _is_any_wanted(state, settings):
        return
    known = {pv.devno for vg in state.vgs for pv in vg.pvs}
    # One that is listed and in no group is a PV that LVM sees, too.
    listed = {entry.pv_uuid.replace("-", "") for entry in host.lvm.devices}
    for disk in state.disks:
        if disk.content == _MEMBER and disk.devno not in known and _pv_uuid(disk) not in listed:
            yield Finding(
                "devices-file-excludes",
                disk.node,
                f"{disk.node}: has LVM's label, and LVM does not see it",
            )


def _pv_uuid(disk: Disk) -> str | None:
    """As udev's link to a PV has it (lvm2, udev/69-dm-lvm.rules.in)."""
    links = (link for link in disk.links if link.startswith(_BY_UUID))
    return next((link.removeprefix(_BY_UUID).replace("-", "") for link in links), None)


def _is_any_wanted(state: State, settings: Settings) -> bool:
    there = {pool.dm_name for pool in state.pools}
    away = (
        split_dm_name(consumer.dm_name)
        for consumer in state.consumers
        if consumer.dm_name not in there
    )
    if any(name is not None and settings.guards(name) for name in away):
        return True
    return any(vg.missing for vg in guarded_vgs(state, settings))
