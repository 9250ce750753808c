"""The lock of the one writer, as a command takes it: with patience, but not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.edge.files import BusyError, Lock
from dmguard.edge.retry import retry

if TYPE_CHECKING:
    from dmguard.loop.record import Paths

_WAIT_S = 15.0


async def take_lock(paths: Paths, within_s: float = _WAIT_S) -> Lock:
    """BusyError if the lock does not come free in time."""

    async def acquire() -> Lock:
        return Lock.acquire(paths.lock)

    return await retry(acquire, on=(BusyError,), attempts=1000, within_s=within_s)
