"""`dmguard recover`: what is wrong with the pools, what cures it, and the cure where it is safe."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dmguard.app.guard.lock import take_lock
from dmguard.app.guard.look import look_again, look_at_all
from dmguard.core.actions import Act, Activate, RepairPool, Result, StartUnit
from dmguard.core.goals import Examine, Recover
from dmguard.core.model import Trigger
from dmguard.core.plan import Plan, make_plan
from dmguard.loop.record import read_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.entry import Entry
    from dmguard.core.findings import Finding
    from dmguard.core.model import State
    from dmguard.core.outcome import Outcome

_ROUNDS = 12
_LONGEST_WAIT_S = 60.0
_POLL_S = 0.5
_ANEW = ("above-threshold",)
"""Reasons that an act which was done may leave in place: a pool is written to meanwhile."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """`before` and `after` are the plans with their findings, `outcomes` what was done between, and
    `state` the host at the end.
    """

    before: Plan
    after: Plan
    state: State
    outcomes: tuple[tuple[Action, Outcome], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Did something fail that did not succeed later?"""
        last = {(str(action.act), action.key): outcome for action, outcome in self.outcomes}
        return any(outcome.result is Result.FAILED for outcome in last.values())


@dataclass
class _Work:
    loop: Loop
    goal: Recover | Examine
    outcomes: list[tuple[Action, Outcome]] = field(default_factory=list)
    tried: set[tuple[str, str]] = field(default_factory=set)
    done: set[tuple[str, str, str]] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    agreed: set[str] = field(default_factory=set)

    @property
    def offline(self) -> bool:
        """Is it also for what consumers are stopped for?"""
        return isinstance(self.goal, Recover) and bool(self.goal.offline)

    async def look(self, *, locked: bool = False) -> tuple[State, Plan]:
        look = look_again if locked else look_at_all
        state = await look(self.loop, host=self.offline or isinstance(self.goal, Examine))
        self.loop.memory.sample(state, time.monotonic())
        past = replace(self.loop.memory.past, refused=self.refused)
        return state, make_plan(state, self.loop.settings, past, self.goal)

    def due(self, plan: Plan) -> list[Action]:
        return [
            action
            for action in plan.actions
            if (str(action.act), action.key) not in self.tried
            and (str(action.act), action.key, action.reason) not in self.done
        ]

    def ask(self, plan: Plan, agree: Callable[[tuple[RepairPool, ...]], bool]) -> None:
        """Before a pool is taken out of use; without the lock, for a person takes time."""
        due = (action for action in self.due(plan) if isinstance(action, RepairPool))
        repairs = tuple(action for action in due if action.key not in self.agreed)
        if not repairs:
            return
        if agree(repairs):
            self.agreed |= {action.key for action in repairs}
        else:
            self.tried |= {(str(action.act), action.key) for action in repairs}

    def is_agreed(self, action: Action) -> bool:
        return not isinstance(action, RepairPool) or action.key in self.agreed

    def note(self, action: Action, outcome: Outcome) -> None:
        """What the same inputs would bring to the same end is not done again in this run."""
        self.outcomes.append((action, outcome))
        if isinstance(action, Activate | RepairPool):
            self.refused[action.pool] = outcome.reason
        if outcome.result is not Result.DONE:
            self.tried.add((str(action.act), action.key))
        elif action.reason not in _ANEW:
            # Done, and its reason may be there again: another undoes it, and would for ever.
            self.done.add((str(action.act), action.key, action.reason))


def all_of_it(_repairs: tuple[RepairPool, ...]) -> bool:
    """Who need not be asked."""
    return True


async def recover(
    loop: Loop,
    goal: Recover | Examine,
    *,
    dry_run: bool,
    agree: Callable[[tuple[RepairPool, ...]], bool] = all_of_it,
) -> Recovered:
    """Cure what can be cured safely, in the order of the plan, until nothing is left of that kind.

    `agree` is asked before pools are taken out of use; what it does not agree to is left alone.

    A disk that must settle first is waited for, also by a dry run, and a unit that is starting: a
    minute at most. BusyError if the lock does not come free in time.
    """
    work = _Work(loop, goal)
    if work.offline:
        work.refused |= last_refusals(read_history(loop.paths))
    state, before = await work.look()
    named = goal.pools if isinstance(goal, Recover) else ()
    unknown = tuple(name for name in named if not state.knows(name))
    until = time.monotonic() + _LONGEST_WAIT_S
    if dry_run:
        before = await _settled(work, before, until)
        return Recovered(before, before, state, unknown=unknown)
    plan = before
    for _ in range(_ROUNDS):
        work.ask(plan, agree)
        if work.due(plan):
            await _act(work)
        elif plan.wait is None or time.monotonic() + plan.wait > until:
            break
        else:
            await asyncio.sleep(plan.wait)
        state, plan = await work.look()
    if await _wait_for_units(work, until):
        state, plan = await work.look()
    return Recovered(before, plan, state, tuple(work.outcomes), unknown)


def last_refusals(history: Iterable[Entry]) -> dict[str, str]:
    """For each pool the code of how it ended when it was to be brought up last."""
    acts = (Act.ACTIVATE, Act.REPAIR_POOL)
    return {entry.pool: entry.reason for entry in history if entry.action in acts}


async def _settled(work: _Work, plan: Plan, until: float) -> Plan:
    """The plan once no disk has to settle any more."""
    while plan.wait is not None and time.monotonic() + plan.wait <= until:
        await asyncio.sleep(plan.wait)
        _, plan = await work.look()
    return plan


async def _act(work: _Work) -> None:
    loop = work.loop
    with await take_lock(loop.paths) as lock:
        await loop.executor.resume(lock)
        await loop.executor.resume_apart(lock)
        _, plan = await work.look(locked=True)
        for action in filter(work.is_agreed, work.due(plan)):
            outcome = await loop.executor.carry_out(action, Trigger.COMMAND, lock)
            work.note(action, outcome)


async def _wait_for_units(work: _Work, until: float) -> bool:
    """Until what was started runs, or does not; was anything started?"""
    names = {action.unit for action, _ in work.outcomes if isinstance(action, StartUnit)}
    while names and time.monotonic() < until:
        state = await work.loop.observer.look(units=True)
        units = [c.unit for c in state.consumers if c.unit is not None and c.unit.name in names]
        if not any(unit.has_job or unit.state == "activating" for unit in units):
            break
        await asyncio.sleep(_POLL_S)
    return bool(names)


def unhealthy(findings: tuple[Finding, ...], pools: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings about pools, as against those about disks that merely were not claimed."""
    return tuple(
        finding
        for finding in findings
        if not finding.subject.startswith("/dev/")
        and finding.code != "activation-off"
        and (not pools or finding.subject in pools)
    )
