"""`dmguard doctor`: everything on this host that would make a pool stop, and what cures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.app.guard.look import look_at_all
from dmguard.app.guard.recover import Recovered, recover
from dmguard.core.findings.host import counts
from dmguard.core.findings.host.consumers import is_ordered, unit_of
from dmguard.core.goals import Examine
from dmguard.core.plan import make_plan
from dmguard.core.plan.repair import pool_of

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.findings import Finding
    from dmguard.core.model import State
    from dmguard.core.plan import Plan
    from dmguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Order:
    """A consumer, its unit, its pool, and whether a start of it waits for the pool to come up.

    `pool` is None if LVM does not list it; `ordered` if systemd does not tell.
    """

    name: str
    unit: str
    pool: str | None
    ordered: bool | None


async def examine(loop: Loop) -> Recovered:
    """One look, and what is found by it. Changes nothing, and waits for nothing."""
    state = await look_at_all(loop, host=True)
    plan = make_plan(state, loop.settings, loop.memory.past, Examine())
    return Recovered(plan, plan, state)


async def cure(loop: Loop) -> Recovered:
    """Do what is safe, as recover does, until nothing is left of that kind."""
    return await recover(loop, Examine(), dry_run=False)


def orders(state: State, settings: Settings) -> tuple[Order, ...]:
    """Every consumer of a pool, and whether it is started behind it."""
    found = []
    for consumer in state.consumers:
        unit, pool = unit_of(consumer, settings), pool_of(consumer, state)
        if unit is not None:
            ordered = is_ordered(unit, state.host) if state.host else None
            found.append(Order(consumer.name, unit, pool.name if pool else None, ordered))
    return tuple(found)


def left(plan: Plan) -> tuple[Finding, ...]:
    """The findings that something must be done about."""
    return tuple(finding for finding in plan.findings if counts(finding))
