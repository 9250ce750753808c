"""What must be known of disks beyond one look, and beyond a reboot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dmguard.core.typed import check_types, texts_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.model import State, Vg


@dataclass(frozen=True, slots=True)
class Member:
    """A PV of a VG: the disk that it is on, and that disk's size in bytes when it was last full.

    `disk` is empty when nobody looked at disks.
    """

    vg_uuid: str
    disk: str
    device_size: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Disks are named by their identity (Disk.identity), PVs by their uuid.

    `ignored`: never to be asked for again. `taken_out`: were in a VG and an administrator removed
    them. Both are left alone until they are claimed by hand.
    """

    ignored: frozenset[str] = frozenset()
    taken_out: frozenset[str] = frozenset()
    members: Mapping[str, Member] = field(default_factory=dict)
    unreadable: bool = False
    """There is a ledger and it cannot be read: then no disk is known not to be an ignored one."""

    def as_values(self) -> dict[str, Any]:
        """For the file; load_ledger reads it back."""
        return {
            "ignored": sorted(self.ignored),
            "taken_out": sorted(self.taken_out),
            "members": {
                uuid: {"vg": pv.vg_uuid, "disk": pv.disk, "device_size": pv.device_size}
                for uuid, pv in sorted(self.members.items())
            },
        }


def load_ledger(values: Any) -> Ledger:
    """The reverse of Ledger.as_values; ValueError for anything else."""
    try:
        members = {
            uuid: Member(row["vg"], row["disk"], row["device_size"])
            for uuid, row in values["members"].items()
        }
        for member in members.values():
            check_types(member)
        return Ledger(
            ignored=texts_in(values["ignored"]),
            taken_out=texts_in(values["taken_out"]),
            members=members,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ledger: {error!r}") from error


def keep_books(ledger: Ledger, state: State) -> Ledger:
    """The ledger after a look.

    A PV that its VG no longer lists was taken out by someone: dmguard never does that. A VG that
    is not there tells nothing, and neither does one with a missing PV. A device that is larger
    than its PV keeps the size that it had when it was not, so that its growth is seen.
    """
    members = dict(ledger.members)
    gone: set[str] = set()
    back: set[str] = set()
    for vg in state.vgs:
        if vg.missing:
            continue
        present = {pv.uuid for pv in vg.pvs}
        for uuid, member in ledger.members.items():
            if member.vg_uuid == vg.uuid and uuid not in present:
                gone.add(member.disk)
                del members[uuid]
        for uuid, member in _members(vg, state, ledger):
            members[uuid] = member
            back.add(member.disk)
    return replace(
        ledger,
        ignored=ledger.ignored - back,
        taken_out=(ledger.taken_out | gone) - back - {""},
        members=members,
    )


def _members(vg: Vg, state: State, ledger: Ledger) -> list[tuple[str, Member]]:
    found = []
    for pv in vg.pvs:
        if pv.device_size is None:
            continue
        disk, known = state.disk_at(pv.devno), ledger.members.get(pv.uuid)
        identity = disk.identity if disk else known.disk if known else ""
        size = pv.device_size
        if known is not None and pv.growth(vg.extent) > 0:
            size = min(known.device_size, pv.device_size)
        found.append((pv.uuid, Member(vg.uuid, identity, size)))
    return found
