"""The timer: what no event tells is seen within one period."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake

if TYPE_CHECKING:
    from dmguard.core.wake import Waker


class Timer:
    """Wakes every `period_s` seconds, and earlier once when it is asked to."""

    name = Trigger.TIMER

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._due = math.inf
        self._changed = asyncio.Event()

    def look_within(self, seconds: float) -> None:
        """Wake at the latest in so many seconds; a wake that is due earlier stays."""
        due = asyncio.get_running_loop().time() + seconds
        if due < self._due:
            self._due = due
            self._changed.set()

    async def run(self, wake: Waker) -> None:
        loop = asyncio.get_running_loop()
        # The reconciler may have asked for an earlier look before this began.
        self._due = min(self._due, loop.time() + self._period_s)
        while True:
            try:
                async with asyncio.timeout_at(self._due):
                    await self._changed.wait()
                self._changed.clear()
            except TimeoutError:
                self._due = loop.time() + self._period_s
                wake(Wake(Trigger.TIMER))
