"""A wake says 'look again' and nothing more: the truth is read, never carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmguard.core.model import Trigger


@dataclass(frozen=True, slots=True)
class Wake:
    """One reason to look; `subject` names what moved, for the log alone."""

    trigger: Trigger
    subject: str | None = None


Waker = Callable[[Wake], None]
