"""The sources of events: each wakes and does nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dmguard.core.model import Trigger
    from dmguard.core.wake import Waker


class Source(Protocol):
    """`run` lives until it is cancelled, which is how it stops; it raises when it broke."""

    name: Trigger

    async def run(self, wake: Waker) -> None: ...
