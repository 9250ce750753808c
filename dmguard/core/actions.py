"""The closed set of goals and of actions. An action names an absolute end, never a difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dmguard.core.model import METADATA_CROPPED, METADATA_MAX, Resource

if TYPE_CHECKING:
    from dmguard.core.model import KernelPool, State


class Act(StrEnum):
    """DMGUARD_ACTION: what kind of thing is done."""

    EXTEND_DATA = "extend-data"
    EXTEND_METADATA = "extend-metadata"
    REFRESH = "refresh"


class Result(StrEnum):
    """DMGUARD_RESULT: how it ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Extend:
    """Grow one resource of a pool from `size` to `target` bytes.

    `free` is what the VG had free, `used` what the pool had in use, for the record;
    `threshold` is the data threshold that the live table's low water mark is set to.
    """

    vg: str
    lv: str
    lv_uuid: str
    resource: Resource
    size: int
    target: int
    used: int | None
    free: int
    threshold: int
    reason: str

    @property
    def act(self) -> Act:
        return Act.EXTEND_DATA if self.resource is Resource.DATA else Act.EXTEND_METADATA

    @property
    def pool(self) -> str:
        return f"{self.vg}/{self.lv}"


@dataclass(frozen=True, slots=True)
class Refresh:
    """Load a pool's live table anew: its size as LVM has it, and a mark of `low_water` chunks."""

    vg: str
    lv: str
    lv_uuid: str
    size: int
    low_water: int
    threshold: int
    reason: str
    metadata_size: int = 0

    @property
    def act(self) -> Act:
        return Act.REFRESH

    @property
    def pool(self) -> str:
        return f"{self.vg}/{self.lv}"


Action = Extend | Refresh


def is_met(action: Action, state: State) -> bool | None:
    """Does the kernel show what the action wanted? None: the pool is not there to ask."""
    pool = next((pool for pool in state.pools if pool.lv.uuid == action.lv_uuid), None)
    if pool is None or pool.kernel is None:
        return None
    if isinstance(action, Refresh):
        metadata = pool.kernel.metadata
        behind = metadata and metadata.total < min(action.metadata_size, METADATA_CROPPED)
        sized = pool.kernel.size >= action.size and not behind
        return sized and is_marked(pool.kernel, action.low_water)
    if action.resource is Resource.DATA:
        return pool.kernel.size >= action.target
    metadata = pool.kernel.metadata
    return None if metadata is None else metadata.total >= min(action.target, METADATA_MAX)


def is_marked(kernel: KernelPool, low_water: int) -> bool:
    """Is the live mark the wanted one, to the chunk that LVM's own rounding may differ by?"""
    return abs(kernel.low_water - low_water) <= 1


def dump_action(action: Action) -> dict[str, Any]:
    """An action as plain values, for the intent file."""
    return {"act": str(action.act), **asdict(action)}


def load_action(values: dict[str, Any]) -> Action:
    """The reverse of dump_action; KeyError, TypeError or ValueError for anything else."""
    fields = {name: value for name, value in values.items() if name != "act"}
    act = Act(values["act"])
    if act is Act.REFRESH:
        return Refresh(**fields)
    return Extend(**{**fields, "resource": Resource(fields["resource"])})


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


Goal = Guard | ExtendByHand
