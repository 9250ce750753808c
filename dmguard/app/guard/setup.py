"""`dmguard setup`: bare disks to a guarded pool with its consumer, an action at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.app.guard.extend import Acted, act_by_hand
from dmguard.app.guard.lock import take_lock
from dmguard.core.actions import Result
from dmguard.core.model import Trigger
from dmguard.core.outcome import Outcome, act_entry, refusal_entry
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.steps import UnitStep, every_step
from dmguard.loop.turn import take

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.goals import KeepSettings, SetUp
    from dmguard.core.model import State

_SEAT_S = 300.0
_TWICE = "it was done, and is to be done once more: something takes it back, or does not show it"


@dataclass(frozen=True, slots=True)
class SetUpDone:
    """`plan` is the whole way as it was seen at first; `outcomes` what was done of it."""

    plan: Plan
    outcomes: tuple[tuple[Action, Outcome], ...] = ()

    @property
    def succeeded(self) -> bool:
        """Is all that was to be done done, or would be?"""
        done = all(outcome.result is Result.DONE for _, outcome in self.outcomes)
        return done and not self.plan.refusals

    def followed_by(self, acted: Acted) -> SetUpDone:
        actions = (*self.plan.actions, *acted.plan.actions)
        plan = Plan(actions, refusals=(*self.plan.refusals, *acted.plan.refusals))
        return SetUpDone(plan, (*self.outcomes, *acted.outcomes))


async def set_up(
    loop: Loop,
    goal: SetUp,
    *,
    dry_run: bool,
    connect: Callable[[], Awaitable[None]],
    tell: Callable[[Action, Outcome | None], None] = lambda _action, _outcome: None,
) -> SetUpDone:
    """Do what is still to be done. BusyError if the lock does not come free in time.

    `connect` reaches systemd; it is called first of all, and only if there is to be a consumer.
    `tell` is called before each action, and after it with how it ended.
    """
    plan = await _look(loop, goal)
    if dry_run:
        return SetUpDone(plan)
    if goal.consumer:
        await _reach_systemd(plan, connect)
    outcomes: list[tuple[Action, Outcome]] = []
    first = None
    while True:
        if loop.paths.apart.exists():
            # The agent may be about to settle what an interrupted set-up left.
            (await take(loop.paths.seat, _SEAT_S)).release()
        # The lock is let go after each action, for whoever must grow a pool meanwhile.
        with await take_lock(loop.paths) as lock:
            await loop.executor.resume(lock)
            await loop.executor.resume_apart(lock)
            now = await _look(loop, goal)
            first = first or now
            if not now.actions:
                break
            # What comes after the first rests on what is not there yet.
            action = now.actions[0]
            tell(action, None)
            if any((action.act, action.key) == (was.act, was.key) for was, _ in outcomes):
                outcome = Outcome(Result.FAILED, "act-failed", _TWICE)
                await loop.recorder.record(act_entry(action, outcome, Trigger.COMMAND))
            else:
                outcome = await loop.executor.carry_out(action, Trigger.COMMAND, lock)
        tell(action, outcome)
        outcomes.append((action, outcome))
        if outcome.result is not Result.DONE:
            break
    for refusal in now.refusals:
        await loop.recorder.record(refusal_entry(refusal, Trigger.COMMAND))
    return SetUpDone(Plan(first.actions, refusals=now.refusals), tuple(outcomes))


async def _reach_systemd(plan: Plan, connect: Callable[[], Awaitable[None]]) -> None:
    """An interrupted act may need it, too; but without it all can be done that needs no unit."""
    try:
        await connect()
    except OSError:
        if any(isinstance(step, UnitStep) for act in plan.actions for step in every_step(act)):
            raise


async def _look(loop: Loop, goal: SetUp) -> Plan:
    state = await loop.observer.look(fresh=True, disks=True, units=True, host=True)
    return make_plan(state, loop.settings, Past(), goal)


async def keep_settings(loop: Loop, goal: KeepSettings, *, dry_run: bool) -> Acted:
    """Write a file of dmguard's settings, and have the agent read it."""

    def look() -> Awaitable[State]:
        return loop.observer.look(fresh=True, host=True)

    return await act_by_hand(loop, goal, look, dry_run=dry_run)
