"""What is asked for by hand: the agent's loop, entered by another door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.app.guard.lock import take_lock
from dmguard.core.actions import Result
from dmguard.core.model import Trigger
from dmguard.core.outcome import refusal_entry
from dmguard.core.plan import Past, Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.goals import ExtendByHand, Goal, ResizeLoop
    from dmguard.core.model import State
    from dmguard.core.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Acted:
    """What a command did by hand: each action with how it ended, or what was refused."""

    plan: Plan
    outcomes: tuple[tuple[Action, Outcome], ...] = ()


async def act_by_hand(
    loop: Loop, goal: Goal, look: Callable[[], Awaitable[State]], *, dry_run: bool
) -> Acted:
    """Do what a goal comes to by that look, up to the first act that is not done; what is refused
    is told. BusyError if the lock does not come free in time.
    """
    if dry_run:
        return Acted(make_plan(await look(), loop.settings, Past(), goal))
    with await take_lock(loop.paths) as lock:
        await loop.executor.resume(lock)
        plan = make_plan(await look(), loop.settings, Past(), goal)
        outcomes: list[tuple[Action, Outcome]] = []
        for action in plan.actions:
            outcome = await loop.executor.carry_out(action, Trigger.COMMAND, lock)
            outcomes.append((action, outcome))
            if outcome.result is not Result.DONE:
                break
        for refusal in plan.refusals:
            await loop.recorder.record(refusal_entry(refusal, Trigger.COMMAND))
    return Acted(plan, tuple(outcomes))


async def extend(loop: Loop, goal: ExtendByHand | ResizeLoop, *, dry_run: bool) -> Acted:
    """Grow a pool by hand."""
    return await act_by_hand(loop, goal, lambda: loop.observer.look(fresh=True), dry_run=dry_run)
