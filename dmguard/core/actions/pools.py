"""What is done to a pool of LVM's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Pooled, Witness, Words
from dmguard.core.model import METADATA_CROPPED, METADATA_MAX, Resource
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.model import KernelPool, Pool, State


@dataclass(frozen=True, slots=True)
class Extend(Pooled):
    """Grow one resource of a pool from `size` to `target` bytes.

    `free` is what the VG had free, `used` what the pool had in use, for the record;
    `threshold` is the data threshold that the live table's low water mark is set to.
    """

    resource: Resource
    size: int
    target: int
    used: int | None
    free: int
    threshold: int
    reason: str

    elsewhere: ClassVar[str] = "grown-elsewhere"
    urgent: ClassVar[bool] = True

    @property
    def act(self) -> Act:
        return Act.EXTEND_DATA if self.resource is Resource.DATA else Act.EXTEND_METADATA

    @property
    def done(self) -> str:
        return "data-extended" if self.resource is Resource.DATA else "metadata-extended"

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        if pool is None:
            return None
        if pool.kernel is None:
            # It is down, as after a power cut: then it is what LVM will bring up that counts.
            lv = pool.lv
            size = lv.size if self.resource is Resource.DATA else lv.metadata_size
            return True if size >= self.target else None
        if self.resource is Resource.DATA:
            return pool.kernel.holds(self.target)
        metadata = pool.kernel.metadata
        return None if metadata is None else metadata.total >= min(self.target, METADATA_MAX)

    def words(self) -> Words:
        sizes = f"{format_size(self.size)} to {format_size(self.target)}"
        verbs = ("extend", "extended", "extending")
        return Words(verbs, f"{self.resource} from {sizes}")

    def why(self) -> str:
        if self.used is None or not self.size:
            used = "an unknown part was in use"
        else:
            used = f"{100 * self.used / self.size:.2f} % was in use"
        asked = "asked for; " if self.reason == "asked" else ""
        return f"{asked}{used}, {self.vg} had {format_size(self.free)} free"

    def numbers(self) -> dict[str, int]:
        numbers = {"size": self.size, "target": self.target, "vg_free": self.free}
        return numbers | ({} if self.used is None else {"used": self.used})


@dataclass(frozen=True, slots=True)
class Refresh(Pooled):
    """Load a pool's live table anew: as LVM has it, and with a mark of `low_water` chunks.

    With the reason `stale-table` it points at devices that are gone: what counts is that it
    points at the VG's own again.
    """

    size: int
    low_water: int
    threshold: int
    reason: str
    metadata_size: int = 0

    act: ClassVar[Act] = Act.REFRESH
    done: ClassVar[str] = "refreshed"
    urgent: ClassVar[bool] = True

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        if pool is None or pool.kernel is None:
            return None
        if self.reason == "stale-table":
            return not is_stale(pool)
        kernel = pool.kernel
        metadata = kernel.metadata
        behind = metadata and metadata.total < min(self.metadata_size, METADATA_CROPPED)
        sized = kernel.holds(self.size)
        return sized and not behind and is_marked(kernel, self.low_water)

    def words(self) -> Words:
        mark = f"its low water mark at {self.low_water} chunks free"
        return Words(("refresh", "refreshed", "refreshing"), f"live table, {mark}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size, "low_water": self.low_water}


@dataclass(frozen=True, slots=True)
class Activate(Pooled):
    """Bring a pool up. `components` are its hidden volumes that must be put down first.

    `skip`: its activation skip flag is set. `monitor`: LVM may hand it to dmeventd. `auto`: only
    if LVM would activate it by itself. `threshold`: the percentage at which its low water mark is
    set; None for LVM's own.
    """

    size: int
    components: tuple[str, ...]
    skip: bool
    monitor: bool
    auto: bool = False
    threshold: int | None = None
    reason: str = "pool-inactive"

    act: ClassVar[Act] = Act.ACTIVATE
    done: ClassVar[str] = "pool-activated"

    @property
    def unmet(self) -> str:
        return "activation-off" if self.auto else "act-failed"

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        return None if pool is None else pool.kernel is not None

    def words(self) -> Words:
        first = f", {', '.join(self.components)} put down first" if self.components else ""
        return Words(("activate", "activated", "activating"), f"pool{first}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size}


@dataclass(frozen=True, slots=True)
class AttachProfile(Pooled):
    """Have a pool follow an LVM profile of its own: `text` in the file `path`.

    `was` is the SHA-256 of what the file has now, as hex; empty if there is none.
    """

    profile: str
    path: str
    text: str
    was: str
    reason: str = "profile-missing"

    act: ClassVar[Act] = Act.ATTACH_PROFILE
    done: ClassVar[str] = "profile-attached"
    witness: ClassVar[Witness] = Witness.HOST

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        if pool is None or state.host is None:
            return None
        return pool.lv.profile == self.profile and (
            state.host.profiles.get(self.profile) == self.text
        )

    def words(self) -> Words:
        return Words(("attach", "attached", "attaching"), f"profile {self.profile}")


@dataclass(frozen=True, slots=True)
class Monitor(Pooled):
    """Have dmeventd watch a pool."""

    reason: str = "pool-not-monitored"

    act: ClassVar[Act] = Act.MONITOR
    done: ClassVar[str] = "pool-monitored"
    witness: ClassVar[Witness] = Witness.HOST

    def is_met(self, state: State) -> bool | None:
        return None if state.host is None else state.host.monitored.get(self.lv_uuid)

    def words(self) -> Words:
        return Words(("hand", "handed", "handing"), "pool to dmeventd")


@dataclass(frozen=True, slots=True)
class ClearSkip(Pooled):
    """Take a pool's activation skip flag away, so that LVM activates it as any other."""

    reason: str = "activation-skipped"

    act: ClassVar[Act] = Act.CLEAR_SKIP
    done: ClassVar[str] = "skip-cleared"
    witness: ClassVar[Witness] = Witness.LVM

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        return None if pool is None else not pool.lv.skips_activation

    def words(self) -> Words:
        return Words(("clear", "cleared", "clearing"), "activation skip flag")


def is_marked(kernel: KernelPool, low_water: int) -> bool:
    """Is the live mark the wanted one, to the chunk that LVM's own rounding may differ by?"""
    return abs(kernel.low_water - low_water) <= 1


def is_stale(pool: Pool) -> bool:
    """Does the live table point at devices that are none of the VG's any more?

    A disk that went and came back has another number. A device of the VG that is away is no
    sign: its number is not known until it is back.
    """
    if pool.kernel is None or pool.vg.missing or not pool.kernel.leaves:
        return False
    own = {pv.devno for pv in pool.vg.pvs if pv.devno is not None}
    return bool(own) and not pool.kernel.leaves <= own
