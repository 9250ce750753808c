"""The kernel's own dm events: poll on the control device, without dmeventd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.dm import Control

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker


class DmEvents:
    """Wakes when the event number of a thin pool, LVM's or another, moves, or one comes or goes.

    Every container that starts or stops makes the control device readable. Those are looked at,
    one list of the kernel's each, and wake nobody.
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

            def readable() -> None:
                nonlocal seen
                try:
                    # Arm first: what happens from here on makes the device readable again.
                    control.arm_poll()
                    now = _numbers(control)
                except OSError as error:
                    loop.remove_reader(control.fileno())
                    if not broken.done():
                        broken.set_exception(error)
                    return
                moved = {pool for pool, _ in seen.items() ^ now.items()}
                seen = now
                for pool in sorted(moved):
                    wake(Wake(Trigger.DM_EVENT, pool))

            loop.add_reader(control.fileno(), readable)
            try:
                await broken
            finally:
                loop.remove_reader(control.fileno())


def _numbers(control: Control) -> dict[str, int]:
    return {device.uuid or device.name: device.event_nr for device in control.list_pools()}
