"""The closed set of goals and of actions. An action names an absolute end, never a difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from dmguard.core.model import METADATA_CROPPED, METADATA_MAX, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.model import Devno, KernelPool, Pool, State


class Act(StrEnum):
    """DMGUARD_ACTION: what kind of thing is done."""

    EXTEND_DATA = "extend-data"
    EXTEND_METADATA = "extend-metadata"
    REFRESH = "refresh"
    CLAIM_DISK = "claim-disk"
    RESIZE_PV = "resize-pv"
    RESTORE_PV = "restore-pv"
    ACTIVATE = "activate"
    START_UNIT = "start-unit"


class Result(StrEnum):
    """DMGUARD_RESULT: how it ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    PLANNED = "planned"


class Witness(StrEnum):
    """Who shows that an action took effect."""

    KERNEL = "kernel"
    LVM = "lvm"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True)
class _Pooled:
    """What every action on a pool has. `key` tells it from others of its kind.

    `elsewhere` is the code of its having been done already, `unmet` that of its commands having
    succeeded for nothing.
    """

    vg: str
    lv: str
    lv_uuid: str

    witness: ClassVar[Witness] = Witness.KERNEL
    disk: ClassVar[str] = ""
    elsewhere: ClassVar[str] = "done-elsewhere"

    @property
    def unmet(self) -> str:
        return "act-failed"

    @property
    def pool(self) -> str:
        return f"{self.vg}/{self.lv}"

    @property
    def key(self) -> str:
        return self.lv_uuid


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The same of every action on a disk of a VG."""

    vg: str
    vg_uuid: str
    disk: str

    witness: ClassVar[Witness] = Witness.LVM
    pool: ClassVar[str] = ""
    elsewhere: ClassVar[str] = "done-elsewhere"
    unmet: ClassVar[str] = "act-failed"


@dataclass(frozen=True, slots=True)
class Extend(_Pooled):
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

    @property
    def act(self) -> Act:
        return Act.EXTEND_DATA if self.resource is Resource.DATA else Act.EXTEND_METADATA


@dataclass(frozen=True, slots=True)
class Refresh(_Pooled):
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


@dataclass(frozen=True, slots=True)
class Activate(_Pooled):
    """Bring a pool up. `components` are its hidden volumes that must be put down first.

    `skip`: its activation skip flag is set. `monitor`: LVM may hand it to dmeventd. `auto`: only
    if LVM would activate it by itself.
    """

    size: int
    components: tuple[str, ...]
    skip: bool
    monitor: bool
    auto: bool = False
    reason: str = "pool-inactive"

    act: ClassVar[Act] = Act.ACTIVATE

    @property
    def unmet(self) -> str:
        return "activation-off" if self.auto else "act-failed"


@dataclass(frozen=True, slots=True)
class Claim(_Grouped):
    """Make a blank disk a PV of a VG. The disk is told by all that it can be told by; `size` in
    bytes.
    """

    identity: str
    devno: Devno
    diskseq: int | None
    size: int
    reason: str

    act: ClassVar[Act] = Act.CLAIM_DISK

    @property
    def key(self) -> str:
        return self.identity


@dataclass(frozen=True, slots=True)
class _Member(_Grouped):
    """The same of every action on a PV; `size` in bytes."""

    pv_uuid: str
    size: int

    @property
    def key(self) -> str:
        return self.pv_uuid


@dataclass(frozen=True, slots=True)
class ResizePv(_Member):
    """Let a PV have all of its device, which grew to `target` bytes."""

    target: int
    reason: str = "disk-grown"

    act: ClassVar[Act] = Act.RESIZE_PV


@dataclass(frozen=True, slots=True)
class RestorePv(_Member):
    """Take a PV back that returned after its VG was changed without it."""

    reason: str = "pv-returned"

    act: ClassVar[Act] = Act.RESTORE_PV


@dataclass(frozen=True, slots=True)
class StartUnit:
    """Start a consumer that failed for want of its pool, or restart one that runs without it.

    `entered` is when it last became active (see Unit).
    """

    consumer: str
    unit: str
    restart: bool
    vg: str
    pool: str
    entered: int
    reason: str = "consumer-down"

    witness: ClassVar[Witness] = Witness.SYSTEMD
    disk: ClassVar[str] = ""
    act: ClassVar[Act] = Act.START_UNIT
    elsewhere: ClassVar[str] = "done-elsewhere"
    unmet: ClassVar[str] = "act-failed"

    @property
    def key(self) -> str:
        return self.unit


Action = Extend | Refresh | Claim | ResizePv | RestorePv | Activate | StartUnit


def subject(action: Action) -> str:
    """What the action is about, in one word for a person."""
    if isinstance(action, StartUnit):
        return action.unit
    return action.pool or action.disk


def is_met(action: Action, state: State) -> bool | None:
    """Does the host show what the action wanted? None: what it is about is not there to ask."""
    match action:
        case Claim():
            return _is_claimed(action, state)
        case ResizePv() | RestorePv():
            return _is_pv_met(action, state)
        case StartUnit():
            return _is_started(action, state)
    pool = next((pool for pool in state.pools if pool.lv.uuid == action.lv_uuid), None)
    if isinstance(action, Activate):
        return None if pool is None else pool.kernel is not None
    if pool is None or pool.kernel is None:
        return None
    if isinstance(action, Refresh):
        return _is_refreshed(action, pool, pool.kernel)
    if action.resource is Resource.DATA:
        return pool.kernel.size >= action.target
    metadata = pool.kernel.metadata
    return None if metadata is None else metadata.total >= min(action.target, METADATA_MAX)


def _is_refreshed(action: Refresh, pool: Pool, kernel: KernelPool) -> bool:
    if action.reason == "stale-table":
        return not is_stale(pool)
    metadata = kernel.metadata
    behind = metadata and metadata.total < min(action.metadata_size, METADATA_CROPPED)
    sized = kernel.size >= action.size and not behind
    return sized and is_marked(kernel, action.low_water)


def _is_claimed(action: Claim, state: State) -> bool | None:
    vg = next((vg for vg in state.vgs if vg.uuid == action.vg_uuid), None)
    disk = next((disk for disk in state.disks if disk.identity == action.identity), None)
    if vg is None or disk is None:
        return None
    return any(pv.devno == disk.devno for pv in vg.pvs)


def _is_pv_met(action: ResizePv | RestorePv, state: State) -> bool | None:
    vg = next((vg for vg in state.vgs if vg.uuid == action.vg_uuid), None)
    pv = next((pv for pv in vg.pvs if pv.uuid == action.pv_uuid), None) if vg else None
    if vg is None or pv is None:
        return None
    if isinstance(action, RestorePv):
        return not pv.missing
    return pv.size > action.size or pv.growth(vg.extent) == 0


def _is_started(action: StartUnit, state: State) -> bool | None:
    units = (consumer.unit for consumer in state.consumers if consumer.unit is not None)
    unit = next((unit for unit in units if unit.name == action.unit), None)
    if unit is None:
        return None
    moved = unit.entered != action.entered or unit.state in ("activating", "deactivating")
    return unit.has_job or moved or (not action.restart and unit.state == "active")


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


def dump_action(action: Action) -> dict[str, Any]:
    """An action as plain values, for the intent file."""
    return {"act": str(action.act), **asdict(action)}


_KINDS: dict[Act, type[Action]] = {
    Act.EXTEND_DATA: Extend,
    Act.EXTEND_METADATA: Extend,
    Act.REFRESH: Refresh,
    Act.CLAIM_DISK: Claim,
    Act.RESIZE_PV: ResizePv,
    Act.RESTORE_PV: RestorePv,
    Act.ACTIVATE: Activate,
    Act.START_UNIT: StartUnit,
}
_RESTORE: dict[str, Callable[[Any], object]] = {
    "resource": Resource,
    "devno": lambda pair: (int(pair[0]), int(pair[1])),
    "components": tuple,
}


def load_action(values: dict[str, Any]) -> Action:
    """The reverse of dump_action; KeyError, TypeError or ValueError for anything else."""
    fields: dict[str, Any] = {
        name: _RESTORE[name](value) if name in _RESTORE else value
        for name, value in values.items()
        if name != "act"
    }
    return _KINDS[Act(values["act"])](**fields)


@dataclass(frozen=True, slots=True)
class Guard:
    """The goal of the agent: every guarded pool below its thresholds."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size asked for by hand: absolute, or a difference, or all there is (`value` None)."""

    value: int | None
    relative: bool = False


@dataclass(frozen=True, slots=True)
class ExtendByHand:
    """The goal of `dmguard extend`: this pool, so large."""

    pool: str
    data: Size | None = None
    metadata: Size | None = None


@dataclass(frozen=True, slots=True)
class ActivateAll:
    """The goal of `dmguard activate`: these pools are up, or all that are guarded.

    `needed`: only those that a consumer has, or that this boot waited for in vain.
    """

    pools: tuple[str, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Recover:
    """The goal of `dmguard recover`: all that is wrong with these pools and can be cured is."""

    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimByHand:
    """The goal of `dmguard claim`: this disk is a PV of this VG."""

    disk: str
    vg: str


Goal = Guard | ExtendByHand | ActivateAll | Recover | ClaimByHand
