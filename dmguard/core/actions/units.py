"""What is done to those who keep their data in a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Told, Witness, Words

if TYPE_CHECKING:
    from dmguard.core.model import State


@dataclass(frozen=True, slots=True)
class StartUnit(Told):
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
    on_consumer: ClassVar[bool] = True
    disk: ClassVar[str] = ""
    act: ClassVar[Act] = Act.START_UNIT
    done: ClassVar[str] = "unit-started"

    @property
    def key(self) -> str:
        return self.unit

    def is_met(self, state: State) -> bool | None:
        units = (consumer.unit for consumer in state.consumers if consumer.unit is not None)
        unit = next((unit for unit in units if unit.name == self.unit), None)
        if unit is None:
            return None
        moved = unit.entered != self.entered or unit.state in ("activating", "deactivating")
        return unit.has_job or moved or (not self.restart and unit.state == "active")

    def words(self) -> Words:
        again = "restart" if self.restart else "start"
        return Words((again, f"{again}ed", f"{again}ing"), f"consumer of {self.pool}")
