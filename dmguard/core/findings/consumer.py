"""A consumer that is down because its pool was missing when it started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.plan.repair import is_down, pool_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for consumer in state.consumers:
        pool = pool_of(consumer, state)
        if pool is None or consumer.unit is None or not settings.guards(pool.name):
            continue
        if is_down(consumer, pool):
            how = "runs without it" if consumer.broken else f"is {consumer.unit.state}"
            yield Finding(
                "consumer-down",
                pool.name,
                f"{pool.name}: {consumer.unit.name} was started before it was there, and {how}",
            )
