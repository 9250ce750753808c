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
_LONGEST_S = 0.25


class DmEvents:
    """Wakes when the event number of a thin pool, LVM's or another, moves, or one comes or goes.

    Every container that starts or stops makes the control device readable, several times. Those
    are looked at, in one list of the kernel's, and wake nobody. The more devices there are the
    longer a list takes, so that the next one comes after ten times what the last took, or a quarter
    of a second at most: a storm of devices costs a tenth of a processor, and on a host with few of
    them an event is seen at once.
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
