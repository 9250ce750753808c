"""The lock of the one writer is waited for: with patience, but not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.edge.files import BusyError, Lock
from dmguard.edge.retry import retry

if TYPE_CHECKING:
    from pathlib import Path


async def take(path: Path, within_s: float) -> Lock:
    """BusyError if the lock does not come free in time."""

    async def acquire() -> Lock:
        return Lock.acquire(path)

    return await retry(acquire, on=(BusyError,), attempts=1000, within_s=within_s)


async def retake(lock: Lock, within_s: float) -> None:
    """The same for a lock that was let go."""

    async def acquire() -> None:
        lock.retake()

    await retry(acquire, on=(BusyError,), attempts=10_000, within_s=within_s)


def is_held(path: Path) -> bool:
    """Has anybody this lock?"""
    try:
        Lock.acquire(path).release()
    except BusyError:
        return True
    return False
