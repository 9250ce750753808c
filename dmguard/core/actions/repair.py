"""What is done to a pool only with its consumers stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Pooled, Witness, Words
from dmguard.core.model import METADATA_MAX, Mode, dm_name
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.model import KernelPool, State


@dataclass(frozen=True, slots=True)
class RepairPool(Pooled):
    """Take a pool out of use, keep a copy of its metadata, and bring it up checked; repaired, where
    the check finds damage.

    `units` are stopped for that, and those of `starts` started again. `volumes` are LVM's volumes
    in it that are up, by their names. `up`: it was up itself. `copy` is the file that the metadata
    is kept in, `metadata_size` bytes at most. `metadata_target`: the metadata is to have so many
    bytes then, if it has fewer. `skip`, `components`, `monitor` and `threshold` as in Activate.
    """

    size: int
    metadata_size: int
    metadata_target: int
    units: tuple[str, ...]
    starts: tuple[str, ...]
    volumes: tuple[str, ...]
    components: tuple[str, ...]
    up: bool
    skip: bool
    monitor: bool
    threshold: int
    copy: str
    reason: str

    act: ClassVar[Act] = Act.REPAIR_POOL
    done: ClassVar[str] = "pool-repaired"
    witness: ClassVar[Witness] = Witness.LVM
    needs_intent: ClassVar[bool] = True
    on_consumer: ClassVar[bool] = True

    @property
    def metadata_node(self) -> str:
        """Its metadata, when that is up by itself."""
        return f"/dev/mapper/{dm_name(self.vg, self.metadata_lv)}"

    @property
    def metadata_lv(self) -> str:
        return f"{self.lv}_tmeta"

    @property
    def dm_name(self) -> str:
        return dm_name(self.vg, self.lv)

    def is_met(self, state: State) -> bool | None:
        pool = self.in_state(state)
        if pool is None:
            return None
        kernel = pool.kernel
        if kernel is None or kernel.metadata is None or not is_sound(kernel):
            return False
        return kernel.metadata.total >= min(self.metadata_target, METADATA_MAX)

    def words(self) -> Words:
        more = f", grow it to {format_size(self.metadata_target)}" if self.metadata_target else ""
        what = f"pool offline: keep its metadata in {self.copy}, check and repair it{more}"
        return Words(("repair", "repaired", "repairing"), what)

    def numbers(self) -> dict[str, int]:
        return {"size": self.size, "metadata_size": self.metadata_size}


def is_sound(kernel: KernelPool | None) -> bool:
    """Is it up, and can be written to?"""
    return (
        kernel is not None
        and kernel.mode in (Mode.RW, Mode.OUT_OF_DATA)
        and not kernel.needs_check
        and not kernel.suspended
    )
