"""What goes wrong on a simulated host, and who sees what the agent does there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.model import State


class Crash(BaseException):
    """The agent dies here: nothing that it would do follows."""


class KilledError(Exception):
    """An LVM command is killed where it stands."""


@dataclass
class Faults:
    """What goes wrong from now on.

    `fuse`: boundaries that are left until the agent dies; None: it does not. `kills`: commands of
    the agent's that change something and are killed halfway. `fails`: those that fail, and do
    nothing. `meanwhile`: what others do at the very moment of the next one. `lag_s`: how long after
    its event a chunk is allocated. `delays`: in how many seconds an event is told, each time once;
    empty: it is lost.
    """

    fuse: int | None = None
    kills: int = 0
    fails: int = 0
    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    lag_s: float = 0.001
    delays: tuple[float, ...] = (0.0,)


class Eyes(Protocol):
    """Who sees what the agent reads, does and tells."""

    def before_command(self, words: tuple[str, ...]) -> None: ...
    def after_command(self, *, refused: bool) -> None: ...
    def hear(self, fields: dict[str, str]) -> None: ...
    def see(self, state: State) -> None: ...
