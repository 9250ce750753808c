"""The planner: (state, settings, rates, goal) → what to do, and why not more. Pure.

One file a goal: grow (thresholds and extend by hand), keep (the live table's mark and size).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmguard.core.actions import Action, ExtendByHand, Goal, Guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.findings import Finding
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something asked for that is not done, with the stable code of the reason."""

    pool: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order in which they are to be done, and what stands in the way of more."""

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Rates:
    """What the past tells of each pool, by LV uuid; one that is absent has nothing known.

    `data`: fill rates in bytes a second. `failures`: growths of data in a row that failed.
    """

    data: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)


def make_plan(state: State, settings: Settings, rates: Rates, goal: Goal | None = None) -> Plan:
    """What is to be done for the goal; the agent's goal when none is given."""
    from dmguard.core.findings import find_all
    from dmguard.core.plan import by_hand, grow, keep

    if isinstance(goal, ExtendByHand):
        actions, refusals = by_hand.plan_extend(state, settings, goal)
        return Plan(actions=actions, refusals=refusals)
    assert goal is None or isinstance(goal, Guard)
    growth = grow.plan_growth(state, settings, rates)
    grown = {action.lv_uuid for action in growth}
    return Plan(
        actions=(*growth, *keep.plan_refresh(state, settings, leave=grown)),
        findings=find_all(state, settings),
    )
