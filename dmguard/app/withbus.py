"""A loop that reaches systemd's bus, if there is one: for commands that may start units."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dmguard.app.wiring import Loop
    from dmguard.edge.bus import SystemBus


@asynccontextmanager
async def open_with_bus() -> AsyncIterator[Loop]:
    """Without a bus the pools can be cured all the same, and no unit is touched."""
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.config import load_settings

    bus = SystemBus()
    try:
        with_bus = await _try_to_connect(bus)
        with open_loop(load_settings(), reach=Reach(bus=bus if with_bus else None)) as loop:
            yield loop
    finally:
        bus.close()


async def _try_to_connect(bus: SystemBus) -> bool:
    from dmguard.app.say import complain

    try:
        await bus.connect()
    except OSError as error:
        complain(f"systemd cannot be asked, so no unit is started: {error}")
        return False
    return True
