"""What is done to a disk of a volume group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Grouped, Words
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.model import Devno, Pv, State


@dataclass(frozen=True, slots=True)
class Claim(Grouped):
    """Make a blank disk a PV of a VG. The disk is told by all that it can be told by; `size` in
    bytes. `forced`: it may have old data, which was given up.
    """

    identity: str
    devno: Devno
    diskseq: int | None
    size: int
    reason: str
    forced: bool = False

    act: ClassVar[Act] = Act.CLAIM_DISK
    done: ClassVar[str] = "disk-claimed"

    @property
    def key(self) -> str:
        return self.identity

    def is_met(self, state: State) -> bool | None:
        vg = self.group_in(state)
        disk = next((disk for disk in state.disks if disk.identity == self.identity), None)
        if vg is None or disk is None:
            return None
        return any(pv.devno == disk.devno for pv in vg.pvs)

    def words(self) -> Words:
        verbs = ("add", "added", "adding")
        return Words(verbs, f"{format_size(self.size)} to {self.vg}, {self.identity}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size}


@dataclass(frozen=True, slots=True)
class _Member(Grouped):
    """The same of every action on a PV; `size` in bytes."""

    pv_uuid: str
    size: int

    @property
    def key(self) -> str:
        return self.pv_uuid

    def pv_in(self, state: State) -> Pv | None:
        vg = self.group_in(state)
        return next((pv for pv in vg.pvs if pv.uuid == self.pv_uuid), None) if vg else None


@dataclass(frozen=True, slots=True)
class ResizePv(_Member):
    """Let a PV have all of its device, which grew to `target` bytes."""

    target: int
    reason: str = "disk-grown"

    act: ClassVar[Act] = Act.RESIZE_PV
    done: ClassVar[str] = "pv-resized"

    def is_met(self, state: State) -> bool | None:
        vg, pv = self.group_in(state), self.pv_in(state)
        if vg is None or pv is None:
            return None
        return pv.size > self.size or pv.growth(vg.extent) == 0

    def words(self) -> Words:
        sizes = f"{format_size(self.size)} to that of its disk, {format_size(self.target)}"
        return Words(("resize", "resized", "resizing"), f"PV of {self.vg} from {sizes}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size, "target": self.target}


@dataclass(frozen=True, slots=True)
class RestorePv(_Member):
    """Take a PV back that returned after its VG was changed without it."""

    reason: str = "pv-returned"

    act: ClassVar[Act] = Act.RESTORE_PV
    done: ClassVar[str] = "pv-restored"

    def is_met(self, state: State) -> bool | None:
        pv = self.pv_in(state)
        return None if pv is None else not pv.missing

    def words(self) -> Words:
        verbs = ("take back", "took back", "taking back")
        return Words(verbs, f"PV of {self.vg}, {self.pv_uuid}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size}
