"""udev's events: a disk that appears, grows, returns or goes."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.udev import BlockMonitor, LostEventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker

log = logging.getLogger(__name__)

_SAID_EVERY_S = 60.0


class UdevEvents:
    """Wakes once when it begins to listen, and then for every event of the monitor's.

    That events were lost is a wake like another, for all is read then; it is said now and then.

    A monitor that fails otherwise than by losing events ends it with the OSError.
    """

    name = Trigger.UDEV

    def __init__(self, open_monitor: Callable[[], BlockMonitor] = BlockMonitor.open) -> None:
        self._open = open_monitor
        self._said = -math.inf

    async def run(self, wake: Waker) -> None:
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        with self._open() as monitor:

            def readable() -> None:
                # One bounded piece of a burst: the loop calls again while there is more, after
                # all others have had their turn.
                try:
                    names = monitor.drain()
                except LostEventsError:
                    wake(Wake(Trigger.UDEV, "events were lost"))
                    self._say_that_events_were_lost(loop.time())
                    return
                except OSError as error:
                    loop.remove_reader(monitor.fileno())
                    if not broken.done():
                        broken.set_exception(error)
                    return
                for name in names:
                    wake(Wake(Trigger.UDEV, name))

            loop.add_reader(monitor.fileno(), readable)
            wake(Wake(Trigger.UDEV))  # what changed before it listened is seen by this look
            try:
                await broken
            finally:
                loop.remove_reader(monitor.fileno())

    def _say_that_events_were_lost(self, now: float) -> None:
        if now - self._said >= _SAID_EVERY_S:
            self._said = now
            log.warning(
                "udev: more came than could be heard, and events were lost: all is read anew"
            )
