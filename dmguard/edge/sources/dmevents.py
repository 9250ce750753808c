"""The kernel's own dm events: poll on the control device, without dmeventd."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.dm import Control

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker


_SHARE = 10
_STORM_S, _LONGEST_S = 0.05, 0.25


class DmEvents:
    """Wakes when the event number of a thin pool, LVM's or another, moves, or one comes or goes.

    Every container that starts or stops makes the control device readable, several times. Those
    are looked at, in one list of the kernel's, and wake nobody. A list that tells of no pool is
    followed by the next one after 50 ms at the soonest, and any after ten times what it took, or a
    quarter of a second at most: where nothing comes and goes an event is seen at once, and a storm
    of devices costs little.
    """

    name = Trigger.DM_EVENT

    def __init__(self, open_control: Callable[[], Control] = Control.open) -> None:
        self._open = open_control

    async def run(self, wake: Waker) -> None:
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        with self._open() as control:
            control.arm_poll()
            seen = _numbers(control)
            pause: asyncio.TimerHandle | None = None

            def listen() -> None:
                loop.add_reader(control.fileno(), readable)

            def readable() -> None:
                nonlocal seen, pause
                began = time.monotonic()
                # It stays readable until it is armed, so that nothing is missed meanwhile.
                loop.remove_reader(control.fileno())
                try:
                    # Arm first: what happens from here on makes the device readable again.
                    control.arm_poll()
                    now = _numbers(control)
                except OSError as error:
                    if not broken.done():
                        broken.set_exception(error)
                    return
                moved = {pool for pool, _ in seen.items() ^ now.items()}
                seen = now
                for pool in sorted(moved):
                    wake(Wake(Trigger.DM_EVENT, pool))
                rest = min(_SHARE * (time.monotonic() - began), _LONGEST_S)
                rest = rest if moved else max(rest, _STORM_S)
                pause = loop.call_later(rest, listen)

            listen()
            try:
                await broken
            finally:
                if pause is not None:
                    pause.cancel()
                loop.remove_reader(control.fileno())


def _numbers(control: Control) -> dict[str, int]:
    return {device.uuid or device.name: device.event_nr for device in control.list_pools()}
