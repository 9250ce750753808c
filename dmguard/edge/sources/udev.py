"""udev's events: a disk that appears, grows, returns or goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.udev import BlockMonitor, LostEventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker


class UdevEvents:
    """Wakes once when it begins to listen, and then for every event of the monitor's.

    A monitor that fails otherwise than by losing events ends it with the OSError.
    """

    name = Trigger.UDEV

    def __init__(self, open_monitor: Callable[[], BlockMonitor] = BlockMonitor.open) -> None:
        self._open = open_monitor

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
