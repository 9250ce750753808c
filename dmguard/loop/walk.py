"""Walks through steps, one after the other. Knows none of them by name.

Its hands are passed in: for each kind of step the function that does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.steps import Step
from dmguard.edge.dm import DmParseError
from dmguard.edge.lvm import ReportError
from dmguard.edge.run import RunError
from dmguard.loop.intent import RAN
from dmguard.loop.turn import retake

if TYPE_CHECKING:
    from dmguard.edge.files import Lock
    from dmguard.loop.observe import Observer

_BUSY_TRIES, _BUSY_PAUSE_S = 5, 0.3
_RETAKE_S = 120.0
UNREACHABLE = "systemd-unreachable"
"""The code of a step that could not be asked for: nothing was done, and it is to be tried again."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended: it may have failed and still what was wanted be there.

    `code` says why it was not done, where that is more than a failure.
    """

    ok: bool
    complaint: str = ""
    code: str = ""


Mark = Callable[[str], Awaitable[bool]]
"""Note in the intent how far an act has come; False if that is not written."""


Hands = Mapping[type[Step], Callable[[Any, int], Awaitable[Done]]]
"""For each kind of step what does it: the step and the descriptor of the lock → how it ended."""


class Walk:
    """Every call needs the lock to be held; it is let go while a step waits for a unit."""

    def __init__(self, hands: Hands, observer: Observer) -> None:
        self._hands = hands
        self._observer = observer

    def can(self, steps: tuple[Step, ...]) -> bool:
        """Is there a hand for each of them?"""
        return all(type(step) in self._hands for step in steps)

    async def run(
        self,
        steps: tuple[Step, ...],
        lock: Lock,
        mark: Mark | None = None,
        *,
        least: int = 0,
    ) -> tuple[Done, int]:
        """Run them until one does not succeed; how the last one ended, and how many succeeded.

        No fewer than `least` are marked as done.
        """
        for number, step in enumerate(steps):
            done, ran = await self.do(step, lock), number
            for _ in range(_BUSY_TRIES):
                if done.code != "vg-busy" or not step.at_once:
                    break
                # What it rests on was true before the lock was waited for: it is proved anew.
                await asyncio.sleep(_BUSY_PAUSE_S)
                done, ran = await self._prove_again(steps, number, lock)
                if not done.ok:
                    break
                done, ran = await self.do(step, lock), number
            if not done.ok:
                return done, ran
            if mark is not None:
                await mark(f"{RAN}-{max(number + 1, least)}")
        return Done(ok=True), len(steps)

    async def _prove_again(
        self, steps: tuple[Step, ...], number: int, lock: Lock
    ) -> tuple[Done, int]:
        """The proofs right before a step, once more."""
        first = number
        while first > 0 and steps[first - 1].is_proof:
            first -= 1
        for proof in range(first, number):
            done = await self.do(steps[proof], lock)
            if not done.ok:
                return done, proof
        return Done(ok=True), number

    async def do(self, step: Step, lock: Lock) -> Done:
        if not step.lets_go:
            return await self._ask(step, lock.descriptor)
        # Not in a `finally`: who is cancelled is not to wait for the lock.
        lock.release()
        done = await self._ask(step, lock.descriptor)
        await retake(lock, _RETAKE_S)
        # Whatever others did meanwhile is read anew.
        self._observer.forget()
        return done

    async def _ask(self, step: Step, lock: int) -> Done:
        if not self.can((step,)):
            return Done(ok=False, complaint=f"not by this command: {step}")
        try:
            return await self._hands[type(step)](step, lock)
        except (RunError, ReportError, DmParseError, OSError) as error:
            return Done(ok=False, complaint=str(error))


def why_later(step: Step, done: Done) -> str:
    """The code of why what is to be undone waits for this step; empty if it does not."""
    if done.code == "vg-busy":
        return done.code
    return UNREACHABLE if step.holds_back and not done.ok else ""
