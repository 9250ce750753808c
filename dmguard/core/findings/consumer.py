"""A consumer that is down because its pool was missing when it started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.plan.repair import home_of, is_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for consumer in state.consumers:
        home = home_of(consumer, state, settings)
        if home is None or consumer.unit is None or not home.guarded:
            continue
        if is_down(consumer, home):
            how = "runs without it" if consumer.broken else f"is {consumer.unit.state}"
            yield Finding(
                "consumer-down",
                home.name,
                f"{home.name}: {consumer.unit.name} was started before it was there, and {how}",
            )
