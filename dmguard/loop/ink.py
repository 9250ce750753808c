"""Writes on a thread of their own, so that one that hangs holds up nobody."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    _Queue = SimpleQueue[tuple[Callable[[], None], Future[None]] | None]

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0


class Ink:
    """Writes files that may lie on the very pool that has stopped: waits for them, but not long.

    A write that is late stays queued and those behind it too, in their order.
    """

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._queue: _Queue = SimpleQueue()
        self._thread: Thread | None = None
        self._patience_s = patience_s
        self.late = False

    async def write(self, operation: Callable[[], None]) -> bool:
        """Run a write; False if it failed, or is still not done. Never raises for either."""
        done = asyncio.wrap_future(self._put(operation))
        try:
            async with asyncio.timeout(0.0 if self.late else self._patience_s):
                await asyncio.shield(done)
        except TimeoutError:
            if not self.late:
                log.warning("writing to disk takes longer than %.0f s: going on", self._patience_s)
            self.late = True
            done.add_done_callback(self._caught_up)
            return False
        except OSError as error:
            log.warning("%s", error)
            return False
        return True

    def begin(self, operation: Callable[[], None]) -> None:
        """Run a write that nobody waits for, in its turn; that it failed is told."""
        self._put(operation).add_done_callback(_tell_failure)

    def _put(self, operation: Callable[[], None]) -> Future[None]:
        if self._thread is None:
            # A daemon: whoever ends is not held back by a write that hangs.
            self._thread = Thread(target=_work, args=(self._queue,), name="ink", daemon=True)
            self._thread.start()
        future: Future[None] = Future()
        self._queue.put((operation, future))
        return future

    def _caught_up(self, future: asyncio.Future[None]) -> None:
        self.late = False
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """After what is queued, unless that hangs: then it may never be written."""
        self._queue.put(None)
        if self._thread is not None and not self.late:
            self._thread.join()
        self._queue, self._thread = SimpleQueue(), None


def _tell_failure(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        log.warning("%s", error)


def _work(queue: _Queue) -> None:
    while (writing := queue.get()) is not None:
        operation, future = writing
        future.set_running_or_notify_cancel()
        try:
            operation()
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            future.set_exception(error)
        else:
            future.set_result(None)
