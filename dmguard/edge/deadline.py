"""Work that may wait for a dead disk for ever, and is waited for no longer than that."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DoubtError(Exception):
    """It could not be told: one sentence."""


_asked: set[str] = set()


async def within(seconds: float, what: str, work: Callable[[threading.Event], T]) -> T:
    """Run blocking work in a thread of its own. DoubtError if there is no answer in time.

    A thread that waits for a dead disk cannot be ended. It is a daemon, as an executor's threads
    are not: those are joined when the interpreter ends, for ever if need be. Until it has come
    back nothing else is started for the same `what`. `work` is told to stop by its event.
    """
    if what in _asked:
        raise DoubtError(f"{what}: an earlier look at it has not come back")
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    stop = threading.Event()

    def body() -> None:
        try:
            result = work(stop)
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            _asked.discard(what)
            future.set_exception(error)
        else:
            _asked.discard(what)
            future.set_result(result)

    _asked.add(what)
    try:
        threading.Thread(target=body, name=f"look {what}", daemon=True).start()
    except RuntimeError as error:  # no more threads
        _asked.discard(what)
        raise DoubtError(f"{what}: {error}") from error
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(future)
    except TimeoutError:
        raise DoubtError(f"{what}: no answer within {seconds:g} s") from None
    finally:
        stop.set()
