"""systemd's signals about the units that live on a thin pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.bus import BusError, SystemBus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmguard.core.wake import Waker

_SETTLE_S = 0.2


class UnitEvents:
    """Wakes when one of the units starts, stops or fails, and once when it begins to listen.

    A start alone is half a dozen signals: those of one unit within 0.2 s are one wake, at the end
    of that time.
    """

    name = Trigger.DBUS

    def __init__(
        self, bus: SystemBus, names: Callable[[], Iterable[str]] | tuple[str, ...]
    ) -> None:
        """`bus` is this source's own: run() connects and closes it, and asks for `names`."""
        self._bus = bus
        self._names = names

    async def run(self, wake: Waker) -> None:
        """Until it is cancelled. BusError when there is no bus, when it goes away, or when systemd
        does not take the subscription."""
        loop = asyncio.get_running_loop()
        pending: dict[str, asyncio.TimerHandle] = {}

        def settled(unit: str) -> None:
            del pending[unit]
            wake(Wake(Trigger.DBUS, unit))

        def changed(unit: str) -> None:
            if unit not in pending:
                pending[unit] = loop.call_later(_SETTLE_S, settled, unit)

        try:
            await self._bus.connect()
            await self._bus.subscribe(
                self._names() if callable(self._names) else self._names, changed
            )
            wake(Wake(Trigger.DBUS))
            await self._bus.wait_for_disconnect()
            raise BusError("the connection to D-Bus is gone")
        finally:
            for handle in pending.values():
                handle.cancel()
            self._bus.close()
