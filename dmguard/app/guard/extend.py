"""`dmguard extend` and `dmguard loop resize`: the agent's loop, entered by another door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.app.guard.lock import take_lock
from dmguard.core.actions import Result
from dmguard.core.entry import refusal_entry
from dmguard.core.model import Trigger
from dmguard.core.plan import Past, Plan, make_plan

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.entry import Outcome
    from dmguard.core.goals import ExtendByHand, ResizeLoop


@dataclass(frozen=True, slots=True)
class Acted:
    """What a command did by hand: each action with how it ended, or what was refused."""

    plan: Plan
    outcomes: tuple[tuple[Action, Outcome], ...] = ()


async def extend(loop: Loop, goal: ExtendByHand | ResizeLoop, *, dry_run: bool) -> Acted:
    """Grow a pool by hand. BusyError if the lock does not come free in time."""
    if dry_run:
        state = await loop.observer.look(fresh=True)
        return Acted(make_plan(state, loop.settings, Past(), goal))
    with await take_lock(loop.paths) as lock:
        await loop.executor.resume(lock)
        state = await loop.observer.look(fresh=True)
        plan = make_plan(state, loop.settings, Past(), goal)
        outcomes: list[tuple[Action, Outcome]] = []
        for action in plan.actions:
            outcome = await loop.executor.carry_out(action, Trigger.COMMAND, lock)
            outcomes.append((action, outcome))
            if outcome.result is not Result.DONE:
                break
        for refusal in plan.refusals:
            await loop.recorder.record(refusal_entry(refusal, Trigger.COMMAND))
    return Acted(plan, tuple(outcomes))
