"""The planner: (state, settings, past, goal) → what to do, and why not more. Pure.

One file a goal: grow (thresholds), by_hand (extend), keep (the live table's mark and size), claim
(disks become space), activate (pools come up), repair (PVs that return, consumers that failed),
doctor (what is set wrong around the pools), offline (pools whose consumers are stopped for it),
setup (bare disks become a pool with its consumer), loops and raws (pools that are none of LVM's).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, Action
from dmguard.core.codes import CODES
from dmguard.core.goals import (
    ActivateAll,
    ClaimByHand,
    Examine,
    ExtendByHand,
    Goal,
    Guard,
    KeepSettings,
    Recover,
    ResizeLoop,
    SetUp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.findings import Finding
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something asked for that is not done, with the stable code of the reason.

    `subject` is the pool, or the node of the disk.
    """

    subject: str
    code: str
    message: str
    act: Act = Act.EXTEND_DATA


def refuse(subject: str, code: str, act: Act, detail: str = "") -> Refusal:
    """A refusal in the words of its code, with the evidence in brackets."""
    more = f" ({detail})" if detail else ""
    return Refusal(subject, code, f"{subject}: {CODES[code].clause}{more}", act)


class RefusedError(Exception):
    """Something stands in the way of all that was asked for."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order in which they are to be done, and what stands in the way of more.

    `waits`: the disks, by identity, that may be claimed in so many seconds; infinite while a look
    at one is under way.
    """

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    waits: Mapping[str, float] = field(default_factory=dict)

    @property
    def wait(self) -> float | None:
        """In how many seconds more may be due by the mere passing of time."""
        return min((wait for wait in self.waits.values() if wait < math.inf), default=None)


@dataclass(frozen=True, slots=True)
class Past:
    """What the past tells; what is absent is not known.

    `data`: fill rates in bytes a second, by LV uuid or by the name of a pool that is none of
    LVM's. `failures`: growths of data in a row that failed, by LV uuid. `steady`: for how many
    seconds a disk has been as it is, by its node. `refused`: the code of why LVM did not activate a
    pool when it was asked last, by the pool's name.
    """

    data: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    steady: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def make_plan(state: State, settings: Settings, past: Past, goal: Goal | None = None) -> Plan:
    """What is to be done for the goal; the agent's goal when none is given."""
    from dmguard.core.findings import find_all
    from dmguard.core.plan import activate, raws

    match goal:
        case ActivateAll():
            lvm = activate.plan_all(state, settings, goal.pools, needed=goal.needed)
            bare = raws.plan_raws(state, settings, goal.pools, needed=goal.needed)
            # Who names a pool wants it up, and nothing else.
            marks = () if goal.pools else activate.plan_marks(state, settings, needed=goal.needed)
            return Plan(actions=(*lvm, *bare, *marks))
        case Examine():
            return _examine(state, settings, past)
        case Recover() | Guard() | None:
            recover = goal if isinstance(goal, Recover) else None
            plan = _guard(state, settings, past, recover=recover)
            if recover is not None and recover.offline:
                plan = _with_repairs(plan, state, settings, past, recover)
            return replace(plan, findings=find_all(state, settings))
    actions, refusals = _plan_by_hand(state, settings, goal)
    return Plan(actions=actions, refusals=refusals)


def _plan_by_hand(
    state: State,
    settings: Settings,
    goal: ExtendByHand | ClaimByHand | SetUp | KeepSettings | ResizeLoop,
) -> tuple[tuple[Action, ...], tuple[Refusal, ...]]:
    """What was asked for, whole, or all that stands in its way."""
    from dmguard.core.plan import by_hand, claim, loops, settings_file, setup

    match goal:
        case ExtendByHand():
            return by_hand.plan_extend(state, settings, goal)
        case ClaimByHand():
            return claim.plan_by_hand(state, goal)
        case SetUp():
            return setup.plan_setup(state, goal, settings.consumers)
        case KeepSettings():
            return settings_file.plan_settings(state, settings, goal)
        case ResizeLoop():
            return loops.plan_resize(state, settings, goal)


def _examine(state: State, settings: Settings, past: Past) -> Plan:
    from dmguard.core.findings.host import examine
    from dmguard.core.plan.doctor import plan_cures

    plan = _guard(state, settings, past, recover=Recover())
    cures = {(action.act, action.key): action for action in plan_cures(state, settings)}
    # What is to be done anyway is not done twice for another reason. A refresh is the same whatever
    # it is for: it is told with what was found.
    due = tuple(
        action
        for action in plan.actions
        if action.act is not Act.REFRESH or (action.act, action.key) not in cures
    )
    done = {(action.act, action.key) for action in due}
    more = tuple(action for what, action in cures.items() if what not in done)
    return replace(plan, actions=(*due, *more), findings=examine(state, settings))


def _guard(state: State, settings: Settings, past: Past, *, recover: Recover | None) -> Plan:
    from dmguard.core.plan import activate, claim, grow, keep, loops, raws, repair

    stale = tuple(repair.plan_stale(state, settings))
    reloaded = {action.key for action in stale}
    growth = tuple(a for a in grow.plan_growth(state, settings, past) if a.key not in reloaded)
    reloaded |= {action.key for action in growth}
    claims, waits = claim.plan_claims(state, settings, past)
    # What an administrator took down is only brought up when one asks for it.
    activation: tuple[Action, ...] = (
        (*activate.plan_late(state, settings), *raws.plan_late(state, settings))
        if recover is None
        else (
            *activate.plan_all(state, settings, recover.pools),
            *raws.plan_raws(state, settings, recover.pools),
        )
    )
    # What writers wait for comes first, and a growth never behind refreshes, of which there may be
    # one for every pool; a PV that is back is what everything else of its VG
    # waits for. A consumer that is down waits for its pool, and for nothing that comes after it:
    # to load the pool's table anew is part of it, for that fails a consumer that is just starting.
    actions: tuple[Action, ...] = (
        *repair.plan_returned(state, settings),
        *growth,
        *loops.plan_growth(state, settings, past),
        *stale,
        *activation,
        *keep.plan_refresh(state, settings, leave=reloaded),
        *repair.plan_units(state, settings),
        *claim.plan_resizes(state, settings),
        *claims,
    )
    if recover is not None and recover.pools:
        actions = tuple(action for action in actions if _concerns(action, recover.pools))
    return Plan(actions, waits=waits)


def _with_repairs(plan: Plan, state: State, settings: Settings, past: Past, goal: Recover) -> Plan:
    """Before all else what a pool is stopped for; nothing else is done to that pool meanwhile."""
    from dmguard.core.plan.offline import plan_offline

    repairs, refusals = plan_offline(state, settings, past, goal)
    under_repair = {action.pool for action in repairs}
    rest = tuple(action for action in plan.actions if action.pool not in under_repair)
    return replace(plan, actions=(*repairs, *rest), refusals=refusals)


def _concerns(action: Action, pools: tuple[str, ...]) -> bool:
    if action.pool:
        return action.pool in pools
    return action.vg in {pool.partition("/")[0] for pool in pools}
