"""The consumers of this host's pools, with what systemd and they themselves say of their state."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.plan.repair import home_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.core.model import Consumer, State, Unit
    from dmguard.core.settings import Settings


_SLOW_S = 1.0
_PAUSE_S = 60.0


class Clients:
    """`read_unit` and `is_broken` may be left out: then only the configuration is read."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        read_consumers: Callable[[], tuple[Consumer, ...]],
        read_unit: Callable[[str], Awaitable[Unit | None]] | None = None,
        is_broken: Callable[[], Awaitable[bool | None]] | None = None,
    ) -> None:
        self._settings = settings
        self._read_consumers = read_consumers
        self._read_unit = read_unit
        self._is_broken = is_broken
        self._asked: dict[str, tuple[object, bool | None]] = {}
        self._not_before = self._ask_again = 0.0

    async def read(self, state: State) -> tuple[Consumer, ...]:
        """All consumers; a unit that cannot be read is None, and nothing is done about it."""
        found = self._read_consumers()
        return tuple([await self._fill(consumer, state) for consumer in found])

    async def _fill(self, consumer: Consumer, state: State) -> Consumer:
        policy = self._settings().consumers.get(consumer.name)
        if policy is None or self._read_unit is None or time.monotonic() < self._not_before:
            return consumer
        began = time.monotonic()
        try:
            unit = await self._read_unit(policy.unit)
        except OSError:
            # One that is not there says so at once. One that hangs would hold up every look.
            if time.monotonic() - began > _SLOW_S:
                self._not_before = time.monotonic() + _PAUSE_S
            return consumer
        consumer = replace(consumer, unit=unit)
        return replace(consumer, broken=await self._ask(consumer, state))

    async def _ask(self, consumer: Consumer, state: State) -> bool | None:
        """Does it run without its pool? Asked only if it was started before the pool was there."""
        home = home_of(consumer, state, self._settings())
        unit, kernel = consumer.unit, home.kernel if home else None
        if consumer.name != "containerd" or self._is_broken is None or unit is None:
            return None
        if unit.state != "active" or kernel is None or kernel.appeared is None:
            return None
        if unit.tried > kernel.appeared:
            return False
        key = (unit.entered, kernel.appeared)
        asked = self._asked.get(consumer.name)
        unsure = asked is not None and asked[1] is None and time.monotonic() > self._ask_again
        if asked is None or asked[0] != key or unsure:
            asked = self._asked[consumer.name] = (key, await self._is_broken())
            self._ask_again = time.monotonic() + _PAUSE_S
        return asked[1]
