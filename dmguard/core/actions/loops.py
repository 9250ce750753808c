"""What is done to a pool that is none of LVM's: on loop devices, or a raw one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Told, Witness, Words
from dmguard.core.bare import SECTOR, Table
from dmguard.core.model import METADATA_BLOCK, METADATA_MAX, Resource
from dmguard.core.units import format_size, round_down

if TYPE_CHECKING:
    from dmguard.core.bare import BarePool, Inode
    from dmguard.core.model import State


@dataclass(frozen=True, slots=True)
class Bare(Told):
    """What every action on such a pool has; `name` is its device-mapper name."""

    name: str

    vg: ClassVar[str] = ""
    disk: ClassVar[str] = ""
    witness: ClassVar[Witness] = Witness.KERNEL

    @property
    def pool(self) -> str:
        return self.name

    def in_state(self, state: State) -> BarePool | None:
        """The pool that it is about, if it is up."""
        return next((pool for pool in state.bare if pool.name == self.name), None)


@dataclass(frozen=True, slots=True)
class GrowLoop(Bare):
    """Grow one resource of a pool from `size` to `target` bytes, and the file below it.

    The file is told by its inode and goes from `file_size` to `file_target` bytes; `node` is the
    loop device. `sectors` and `params` are the live table. `room` is what the file system below
    had free, `used` what the pool had in use, for the record.
    """

    resource: Resource
    size: int
    target: int
    path: str
    inode: Inode
    file_size: int
    file_target: int
    node: str
    sectors: int
    params: str
    used: int | None
    room: int
    reason: str

    act: ClassVar[Act] = Act.GROW_LOOP
    done: ClassVar[str] = "loop-grown"
    elsewhere: ClassVar[str] = "grown-elsewhere"

    @property
    def key(self) -> str:
        return f"{self.name} {self.resource}"

    @property
    def was(self) -> Table:
        return Table(self.sectors, self.params)

    @property
    def table(self) -> Table:
        """The table to be loaded. Metadata has no length in it: the kernel takes its device's."""
        return self.was.resized(self.target) if self.resource is Resource.DATA else self.was

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        if pool is None:
            return None
        kernel = pool.kernel
        if kernel.suspended:
            return False
        if self.resource is Resource.DATA:
            return kernel.holds(self.target)
        if kernel.metadata is None:
            return None
        wanted = min(round_down(self.target, METADATA_BLOCK), METADATA_MAX)
        return kernel.metadata.total >= wanted

    def words(self) -> Words:
        sizes = f"{format_size(self.size)} to {format_size(self.target)}"
        return Words(("grow", "grew", "growing"), f"{self.resource} from {sizes}")

    def why(self) -> str:
        if self.used is None or not self.size:
            used = "an unknown part was in use"
        else:
            used = f"{100 * self.used / self.size:.2f} % was in use"
        asked = "asked for; " if self.reason == "asked" else ""
        return f"{asked}{used}, {format_size(self.room)} were free below {self.path}"

    def numbers(self) -> dict[str, int]:
        numbers = {"size": self.size, "target": self.target, "room": self.room}
        return numbers | ({} if self.used is None else {"used": self.used})


@dataclass(frozen=True, slots=True)
class ActivateRaw(Bare):
    """Bring a raw pool up on what its two paths lead to; a file is first put on a loop device.

    `attaches` are the files that are on none yet.
    """

    metadata: str
    data: str
    metadata_is_file: bool
    data_is_file: bool
    size: int
    chunk: int
    low_water: int
    options: tuple[str, ...]
    attaches: tuple[str, ...] = ()
    reason: str = "pool-inactive"

    act: ClassVar[Act] = Act.ACTIVATE_RAW
    done: ClassVar[str] = "raw-activated"

    @property
    def key(self) -> str:
        return self.name

    @property
    def sectors(self) -> int:
        return self.size // SECTOR

    @property
    def rest(self) -> str:
        """The table behind its two devices."""
        words = (self.chunk // SECTOR, self.low_water, len(self.options), *self.options)
        return " ".join(str(word) for word in words)

    def is_met(self, state: State) -> bool | None:
        if all(raw.rule.name != self.name for raw in state.raws):
            return None
        pool = self.in_state(state)
        return pool is not None and not pool.kernel.suspended

    def words(self) -> Words:
        return Words(("activate", "activated", "activating"), f"raw pool on {self.data}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size}
