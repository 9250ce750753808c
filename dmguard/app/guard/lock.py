"""The lock of the one writer, as a command takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.loop.turn import take

if TYPE_CHECKING:
    from dmguard.edge.files import Lock
    from dmguard.loop.record import Paths

_WAIT_S = 15.0


async def take_lock(paths: Paths, within_s: float = _WAIT_S) -> Lock:
    """BusyError if the lock does not come free in time."""
    return await take(paths.lock, within_s)
