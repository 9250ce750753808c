"""`dmguard setup`: bare disks become a volume group, a pool with its profile, and a consumer's.

The whole way is planned, also what rests on what is yet to be made: its sizes are then computed as
LVM will have them. Whoever carries it out does the first action, looks again, and asks for the
plan anew; what is there already is left out. So an interrupted set-up goes on, and a second one has
nothing to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, CreatePool, CreateVg, DiskRef, Monitor, WipeDisk
from dmguard.core.halfpv import LABEL_SPACE
from dmguard.core.host import Host
from dmguard.core.model import METADATA_CROPPED, TAG, Pv, Vg
from dmguard.core.names import both_fault, pool_fault, vg_fault
from dmguard.core.obstacle import obstacle, vg_obstacle
from dmguard.core.plan import Refusal, RefusedError, refuse
from dmguard.core.plan.activate import make_activation
from dmguard.core.plan.claim import find_disk, make_claim
from dmguard.core.plan.consumer import plan_consumer
from dmguard.core.plan.profile import choose_profile, is_attached, make_attachment
from dmguard.core.units import format_size, round_down, round_up
from dmguard.core.verdict import CONTENT, objections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dmguard.core.actions import Action
    from dmguard.core.goals import SetUp
    from dmguard.core.model import Disk, Pool, State
    from dmguard.core.plan.profile import ProfileFile
    from dmguard.core.settings import ConsumerPolicy

_EXTENT = 4 << 20
"""Bytes in an extent of a new VG (lvm2, lib/config/defaults.h, DEFAULT_EXTENT_SIZE)."""

_LEAST_METADATA = 4 << 20
_LASTING = ("/dev/disk/by-id/", "/dev/disk/by-path/")
"""Names that say the same after the next boot."""


def plan_setup(
    state: State, goal: SetUp, policies: Mapping[str, ConsumerPolicy]
) -> tuple[tuple[Action, ...], tuple[Refusal, ...]]:
    """What is still to be done, or all that stands in the way; then nothing is done.

    The host's files must have been read, too. `policies`: the units of the consumers.
    """
    if refusals := tuple(_against_names(goal)):
        return (), refusals
    host = state.host or Host()
    disks = {name: find_disk(state, name) for name in goal.disks}
    missing = [name for name, disk in disks.items() if disk is None]
    if missing:
        return (), tuple(_refuse(name, "no-such-disk") for name in missing)
    found = tuple(dict.fromkeys(disk for disk in disks.values() if disk is not None))
    refusals = tuple(_against_disks(found, state, goal))
    if refusals:
        return (), refusals
    try:
        return _plan(state, host, goal, found, policies), ()
    except RefusedError as error:
        return (), (error.refusal,)


def is_forced(disk: Disk, goal: SetUp) -> bool:
    """Was the disk's content given up, by its serial number or a by-id link of it?"""
    return any(word in _names(disk) for word in goal.forced)


def _names(disk: Disk) -> set[str]:
    links = {link for link in disk.links if link.startswith("/dev/disk/by-id/")}
    return links | ({disk.serial} if disk.serial else set())


def _against_names(goal: SetUp) -> Iterator[Refusal]:
    faults = {repr(goal.vg): vg_fault(goal.vg), repr(goal.pool): pool_fault(goal.pool)}
    if not any(faults.values()):
        faults = {goal.pool_name: both_fault(goal.vg, goal.pool)}
    for name, fault in faults.items():
        if fault:
            yield _refuse(name, "name-invalid", f"it {fault}")


def _against_disks(disks: tuple[Disk, ...], state: State, goal: SetUp) -> Iterator[Refusal]:
    group = goal.vg if state.vg(goal.vg) else None
    known = set().union(*map(_names, disks))
    for word in goal.forced:
        if word not in known:
            yield _refuse(word, "force-matches-nothing")
    for disk in disks:
        forced = is_forced(disk, goal)
        for reason in objections(disk, state, group, content=forced):
            if reason.code != "disk-in-vg" and not (forced and reason.code in CONTENT):
                yield _refuse(disk.node, reason.code, reason.detail)
    sectors = sorted({disk.sector for disk in disks})
    if len(sectors) > 1:
        yield _refuse(goal.vg, "disk-sector-size", ", ".join(str(sector) for sector in sectors))


def _refuse(subject: str, code: str, detail: str = "", act: Act = Act.CREATE_VG) -> Refusal:
    return refuse(subject, code, act, detail)


def _plan(
    state: State,
    host: Host,
    goal: SetUp,
    disks: tuple[Disk, ...],
    policies: Mapping[str, ConsumerPolicy],
) -> tuple[Action, ...]:
    group = state.vg(goal.vg)
    if group is None:
        begin, group = _new_group(goal, disks)
    else:
        begin, group = _old_group(group, state, goal, disks)
    pool = state.pool(goal.pool_name)
    profile = choose_profile(goal.pool_name, state, goal.threshold, goal.percent)
    if pool is None:
        middle: tuple[Action, ...] = (_new_pool(group, goal, profile, monitor=state.dmeventd),)
    else:
        middle = tuple(_old_pool(pool, state, host, profile))
    return (*begin, *middle, *plan_consumer(state, host, goal, policies))


def _new_group(goal: SetUp, disks: tuple[Disk, ...]) -> tuple[tuple[Action, ...], Vg]:
    if not disks:
        raise RefusedError(_refuse(goal.vg, "vg-unknown"))
    forced = tuple(sorted(disk.identity for disk in disks if is_forced(disk, goal)))
    make = CreateVg(goal.vg, tuple(DiskRef.of(disk) for disk in disks), forced)
    pvs = tuple(_foreseen(disk, _EXTENT) for disk in disks)
    group = Vg(goal.vg, "", 0, sum(pv.size for pv in pvs), _EXTENT, pvs, ())
    return (*_wipes(disks, goal), make), group


def _old_group(
    group: Vg, state: State, goal: SetUp, disks: tuple[Disk, ...]
) -> tuple[tuple[Action, ...], Vg]:
    """A VG that is there is only used if it was named, or has some of these very disks."""
    code = vg_obstacle(group, state)
    if code is not None:
        raise RefusedError(_refuse(group.name, code))
    members = {pv.devno for pv in group.pvs}
    new = tuple(disk for disk in disks if disk.devno not in members)
    if not goal.named and len(new) == len(disks):
        raise RefusedError(_refuse(group.name, "vg-there"))
    if not goal.named or state.pool(goal.pool_name) is not None or _is_ours(group):
        # vgcreate took all disks of these words at once: whatever is not in it is no part of them,
        # or was not when they were carried out.
        for disk in new:
            _check_name(disk, goal)
    claims = tuple(
        replace(make_claim(disk, group, "asked"), forced=is_forced(disk, goal)) for disk in new
    )
    pvs = (*group.pvs, *(_foreseen(disk, group.extent) for disk in new))
    return (*_wipes(new, goal), *claims), replace(group, pvs=pvs)


def _is_ours(group: Vg) -> bool:
    return any(TAG in pv.tags for pv in group.pvs)


def _check_name(disk: Disk, goal: SetUp) -> None:
    """RefusedError if it is known by a name that may have been another disk's at the last boot."""
    # Not any link: /dev/disk/by-diskseq, for one, is numbered anew at each boot.
    if any(word in disk.links and word.startswith(_LASTING) for word in goal.disks):
        return
    lasting = sorted(link for link in disk.links if link.startswith("/dev/disk/by-id/"))
    way = f"name it {lasting[0]}" if lasting else f"dmguard claim {disk.node} --vg {goal.vg}"
    raise RefusedError(_refuse(disk.node, "disk-may-be-another", f"if it is meant: {way}"))


def _wipes(disks: tuple[Disk, ...], goal: SetUp) -> tuple[Action, ...]:
    """Only what LVM would stumble over is taken off; other old data is overwritten in time."""
    return tuple(
        WipeDisk(goal.vg, DiskRef.of(disk))
        for disk in disks
        if is_forced(disk, goal) and _is_signed(disk)
    )


def _is_signed(disk: Disk) -> bool:
    probe = disk.probe
    found = probe is not None and (probe.signatures or probe.tables or probe.pv_label)
    return bool(disk.partitions or found)


def _foreseen(disk: Disk, extent: int) -> Pv:
    """The PV that LVM will make of a disk."""
    size = round_down(disk.size - LABEL_SPACE, extent)
    return Pv(disk.node, "", size, size, allocatable=True, missing=False, devno=disk.devno)


def _new_pool(group: Vg, goal: SetUp, profile: ProfileFile, *, monitor: bool) -> CreatePool:
    if any(volume.name == goal.pool for volume in group.volumes):
        raise RefusedError(_refuse(goal.pool_name, "name-taken", act=Act.CREATE_POOL))
    size, metadata = pool_sizes(group, goal)
    # LVM makes no pool that is smaller than one chunk (lvm2, lib/metadata/lv_manip.c).
    least = max(group.extent, goal.data.size or 0, round_up(goal.chunk, group.extent))
    if size < least:
        needed = f"at least {format_size(2 * metadata + least)} is needed"
        raise RefusedError(_refuse(goal.pool_name, "vg-too-small", needed, Act.CREATE_POOL))
    return CreatePool(
        vg=goal.vg,
        lv=goal.pool,
        size=size,
        metadata_size=metadata,
        chunk=goal.chunk,
        zero=goal.zero,
        profile=profile.name,
        path=profile.path,
        text=profile.text,
        was=profile.was,
        monitor=monitor,
        before=tuple(volume.name for volume in group.volumes),
        vg_uuid=group.uuid,
    )


def pool_sizes(group: Vg, goal: SetUp) -> tuple[int, int]:
    """Bytes of data and of metadata, in whole extents, out of what the VG has free.

    Metadata has at least 64 bytes a chunk, which is what LVM gives it for data of that size
    (lvm2, lib/metadata/thin_manip.c), and its spare takes as much again.
    """
    extent, free = group.extent, group.free
    # A share is rounded down, a size up.
    wanted = goal.data.of(free) if goal.data.size is None else round_up(goal.data.size, extent)
    least = max(_LEAST_METADATA, wanted // goal.chunk * 64)
    metadata = round_up(max(goal.metadata.of(free), least), extent)
    metadata = min(metadata, round_down(METADATA_CROPPED, extent))
    spare = max(0, metadata - (group.spare or 0))
    return round_down(min(wanted, free - metadata - spare), extent), metadata


def _old_pool(pool: Pool, state: State, host: Host, profile: ProfileFile) -> Iterator[Action]:
    code = obstacle(pool, state)
    if code not in (None, "pool-inactive"):
        raise RefusedError(_refuse(pool.name, str(code), act=Act.CREATE_POOL))
    if not is_attached(pool, profile, host):
        yield make_attachment(pool, profile)
    if pool.kernel is None:
        yield make_activation(pool, state, auto=False)
    elif state.dmeventd and host.monitored.get(pool.lv.uuid) is False:
        yield Monitor(pool.vg.name, pool.lv.name, pool.lv.uuid)
