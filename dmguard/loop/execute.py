"""Carries actions out: intent, steps, verify, record. Knows no action and no step by name.

Its hands are passed in: for each kind of step the function that does it. Success is what the
kernel shows afterwards, not an exit code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import (
    Action,
    Result,
    Witness,
    dump_action,
    is_met,
    load_action,
    subject,
)
from dmguard.core.codes import CODES
from dmguard.core.entry import Outcome, act_entry
from dmguard.core.model import State, Trigger
from dmguard.core.steps import Step, after_for, finish_for, steps_for, undo_for
from dmguard.edge import files
from dmguard.edge.dm import DmParseError
from dmguard.edge.lvm import ReportError
from dmguard.edge.run import RunError
from dmguard.loop.record import read_history

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.edge.files import Lock
    from dmguard.loop.observe import Observer
    from dmguard.loop.record import Ink, Paths, Recorder

log = logging.getLogger(__name__)


_BUSY_TRIES, _BUSY_PAUSE_S = 5, 0.3
_FINISH_TRIES, _FINISH_PAUSE_S = 3, 1.0
_LOOK_PAUSE_S = 2.0
_LOOKS = {witness: 3 if witness is Witness.HOST else 1 for witness in Witness}
"""A consumer that was started just now may not answer at once."""

_NOT_AGAIN_S = 30.0
UNREACHABLE = "systemd-unreachable"
"""The code of a step that could not be asked for: nothing was done, and it is to be tried again."""

INTENDED, RAN = "intended", "ran"
"""How far an act has come, as the intent file has it: `ran-2` is after its second step."""


def boundaries(action: Action) -> tuple[str, ...]:
    """Every point of an act between two effects outside, in order: where a crash can fall.

    The intent file is written at the first and after each step, and removed at the last.
    """
    steps = range(1, len(steps_for(action)) + 1)
    return (
        INTENDED,
        *(name for number in steps for name in (f"step-{number}", f"{RAN}-{number}")),
        "recorded",
        "cleared",
    )


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended: it may have failed and still what was wanted be there.

    `code` says why it was not done, where that is more than a failure.
    """

    ok: bool
    complaint: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Half:
    """An act that a crash left: `ran` of its steps are known to be done, `mark` notes any more."""

    action: Action
    trigger: Trigger
    ran: int
    mark: Callable[[str], Awaitable[None]]


Hands = Mapping[type[Step], Callable[[Any, int], Awaitable[Done]]]
"""For each kind of step what does it: the step and the descriptor of the lock → how it ended."""


class Executor:
    """The one place that changes the host. Every call needs the lock to be held."""

    def __init__(
        self,
        hands: Hands,
        observer: Observer,
        recorder: Recorder,
        ink: Ink,
        paths: Paths,
    ) -> None:
        self._hands = hands
        self._observer = observer
        self._recorder = recorder
        self._ink = ink
        self._paths = paths
        self._settled: set[str] = set()
        self._unremovable = False
        self._not_before = 0.0

    async def carry_out(self, action: Action, trigger: Trigger, lock: Lock) -> Outcome:
        """Do it, or find it done. Never raises for what a command or the host answers."""
        identity = uuid.uuid4().hex
        self._settled.add(identity)
        began = time.monotonic()

        async def mark(phase: str) -> None:
            await self._intend(action, trigger, identity, phase)

        await mark(INTENDED)
        done, ran = await self._run_steps(steps_for(action), lock, mark)
        met, outcome = await self._verify(action, done, ran)
        outcome = replace(outcome, seconds=time.monotonic() - began)
        if done.code == UNREACHABLE and ran and finish_for(action, ran, self._glance()):
            # systemd went away in the middle: it is gone on with once it can be asked again.
            self._settled.discard(identity)
            return outcome
        # Where the lock was held LVM did nothing, and what is there is another's. What cannot be
        # told is not taken back: it may be in use by now.
        unknown = (met is None and done.ok) or done.code == UNREACHABLE
        if outcome.result is not Result.DONE and outcome.reason != "vg-busy" and not unknown:
            await self._undo(action, ran, trigger, lock)
        await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
        if outcome.result is Result.DONE:
            await self._follow(action, ran, self._glance(), lock)
        await self._forget_intent()
        return outcome

    @property
    def interrupted(self) -> bool:
        """Is there an intent that nobody has settled, and that is to be settled now?

        One that is on its way out, or cannot be removed, is no reason to look again and again; nor
        is one that could not be settled just now.
        """
        if self._ink.late or self._unremovable or time.monotonic() < self._not_before:
            return False
        return self._paths.intent.exists() or self._paths.left.exists()

    async def resume(self, lock: Lock) -> None:
        """Settle an act that was interrupted: what became of it is told once, then forgotten.

        One that these hands cannot settle is left for those who can.
        """
        # The lock is held by the caller, so no command of the interrupted act runs any more.
        for path in (self._paths.intent, self._paths.left):
            values = _read_intent(path)
            if values is None:
                continue
            try:
                action, trigger, identity, ran = _load_intent(values)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("%s: not an intent: %s", path, error)
            else:
                if not await self._is_settled(action, trigger, identity, ran, lock):
                    self._not_before = time.monotonic() + _NOT_AGAIN_S
                    await self._leave(path)
                    return
            await self._forget_intent(path)

    async def _is_settled(
        self, action: Action, trigger: Trigger, identity: str, ran: int, lock: Lock
    ) -> bool:
        if identity in self._settled:
            return True
        if not all(type(step) in self._hands for step in steps_for(action)):
            return False
        return await self._settle(action, trigger, identity, ran, lock)

    async def _leave(self, path: Path) -> None:
        """Keep an intent from being written over by that of an act of our own."""
        if path == self._paths.intent:
            await self._ink.write(lambda: files.move(path, self._paths.left))

    async def _settle(
        self, action: Action, trigger: Trigger, identity: str, ran: int, lock: Lock
    ) -> bool:
        """False: systemd could not be asked, so that it is still to be done."""
        host = action.witness is Witness.HOST
        state = await self._observer.look(fresh=True, disks=True, host=host)
        result = self._recorded(identity)
        if result is None:
            outcome = Outcome(Result.DONE, "resumed")
            if not is_met(action, state):

                async def mark(phase: str) -> None:
                    await self._intend(action, trigger, identity, phase)

                outcome = await self._finish(_Half(action, trigger, ran, mark), state, lock)
            if outcome.reason == UNREACHABLE:
                return False
            result = outcome.result
            await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
        self._settled.add(identity)
        if result is Result.DONE:
            await self._follow(action, ran, state, lock)
        return True

    def _recorded(self, identity: str) -> Result | None:
        """How an act ended of which it was told already."""
        known = read_history(self._paths)[-20:]
        return next((Result(entry.result) for entry in known if entry.id == identity), None)

    def _glance(self) -> State:
        """The host as it was read last, with the kernel's pools of now."""
        try:
            return self._observer.glance()
        except (DmParseError, OSError) as error:
            log.warning("%s", error)
            return State((), ())

    async def _follow(self, action: Action, ran: int, state: State, lock: Lock) -> None:
        """What comes after an act that is done; that it failed is no failure of the act."""
        steps = after_for(action, ran, state)
        done, _ = await self._run_steps(steps, lock)
        if not done.ok:
            log.warning("%s: %s: %s", subject(action), steps[-1], done.complaint)

    async def _forget_intent(self, path: Path | None = None) -> None:
        removed = await self._ink.write(lambda: files.remove(path or self._paths.intent))
        self._unremovable = not removed and not self._ink.late

    async def _intend(self, action: Action, trigger: Trigger, identity: str, phase: str) -> None:
        values = {"id": identity, "trigger": trigger, "phase": phase, "at": time.time()}
        values["action"] = dump_action(action)
        data = json.dumps(values).encode()
        await self._ink.write(lambda: files.write_atomic(self._paths.intent, data))

    async def _run_steps(
        self,
        steps: tuple[Step, ...],
        lock: Lock,
        mark: Callable[[str], Awaitable[None]] | None = None,
        *,
        least: int = 0,
    ) -> tuple[Done, int]:
        """Run them until one does not succeed; how the last one ended, and how many succeeded.

        No fewer than `least` are marked as done.
        """
        for number, step in enumerate(steps):
            done, ran = await self._do(step, lock), number
            for _ in range(_BUSY_TRIES):
                if done.code != "vg-busy" or not step.at_once:
                    break
                # What it rests on was true before the lock was waited for: it is proved anew.
                await asyncio.sleep(_BUSY_PAUSE_S)
                done, ran = await self._prove_again(steps, number, lock)
                if not done.ok:
                    break
                done, ran = await self._do(step, lock), number
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
            done = await self._do(steps[proof], lock)
            if not done.ok:
                return done, proof
        return Done(ok=True), number

    async def _do(self, step: Step, lock: Lock) -> Done:
        if type(step) not in self._hands:
            return Done(ok=False, complaint=f"not by this command: {step}")
        try:
            return await self._hands[type(step)](step, lock.descriptor)
        except (RunError, ReportError, DmParseError, OSError) as error:
            return Done(ok=False, complaint=str(error))

    async def _finish(self, half: _Half, state: State, lock: Lock) -> Outcome:
        """Complete the half of an act that a crash left, or take it back."""
        action, ran = half.action, half.ran
        done = Done(ok=False)
        for attempt in range(_FINISH_TRIES):
            steps = finish_for(action, half.ran, state)
            if not steps:
                break
            # What was done before stays done: another crash must not make it look undone.
            done, again = await self._run_steps(steps, lock, half.mark, least=ran)
            ran = max(ran, again)
            met, outcome = await self._verify(action, done, ran)
            if outcome.result is Result.DONE:
                return Outcome(Result.DONE, "resumed")
            if done.code == UNREACHABLE or (met is None and done.ok):
                return Outcome(Result.FAILED, UNREACHABLE, done.complaint)
            if done.code != "disk-changed" or attempt == _FINISH_TRIES - 1:
                break
            # Soon after a boot udev may still be at it.
            await asyncio.sleep(_FINISH_PAUSE_S)
            state = await self._observer.look(fresh=True, disks=True)
        await self._undo(action, ran, half.trigger, lock)
        why = CODES["act-interrupted"].clause
        detail = f"{why}: {done.complaint}" if done.complaint else ""
        return Outcome(Result.FAILED, "act-interrupted", detail)

    async def _undo(self, action: Action, ran: int, trigger: Trigger, lock: Lock) -> None:
        """Take back the half of an act that did not come to its end, if it left one.

        A step that does not succeed keeps none but those from being done that rest on it.
        """
        steps = undo_for(action, ran, self._glance())
        complaints = []
        done = Done(ok=True)
        for step in steps:
            if step.at_once and not done.ok:
                continue
            done = await self._undo_step(step, lock)
            if not done.ok and step.is_proof:
                log.warning("%s: nothing is taken back: %s", subject(action), done.complaint)
            elif not done.ok:
                complaints.append(f"{str(step).splitlines()[0]}: {done.complaint}")
        if complaints:
            outcome = Outcome(Result.FAILED, "undo-failed", "; ".join(complaints))
            await self._recorder.record(act_entry(action, outcome, trigger))
        elif steps and done.ok:
            log.warning("%s: what was half done was taken back", subject(action))

    async def _undo_step(self, step: Step, lock: Lock) -> Done:
        for _ in range(_FINISH_TRIES - 1):
            done = await self._do(step, lock)
            if not step.is_proof or done.code != "disk-changed":
                return done
            # udev still looks at a disk that LVM let go just now.
            await asyncio.sleep(_FINISH_PAUSE_S)
        return await self._do(step, lock)

    async def _verify(self, action: Action, done: Done, ran: int) -> tuple[bool | None, Outcome]:
        """Does the host show it (None: that cannot be told), and so how it ended."""
        met: bool | None = None
        complaint = ""
        for attempt in range(_LOOKS[action.witness]):
            if attempt:
                await asyncio.sleep(_LOOK_PAUSE_S)
            try:
                met, complaint = is_met(action, await self._witness(action)), ""
            except (RunError, ReportError, DmParseError, OSError) as error:
                met, complaint = None, str(error)
            if met or not done.ok:
                break
        if met:
            return met, Outcome(Result.DONE, action.reason if done.ok or ran else action.elsewhere)
        self._observer.forget()
        told = complaint or done.complaint
        detail = told or "the command succeeded, and the host did not follow"
        code = action.unmet if done.ok and not complaint else done.code or "act-failed"
        refused = code not in ("act-failed", "vg-busy", UNREACHABLE)
        return met, Outcome(Result.REFUSED if refused else Result.FAILED, code, detail)

    async def _witness(self, action: Action) -> State:
        match action.witness:
            case Witness.LVM:
                return await self._observer.look(fresh=True)
            case Witness.SYSTEMD:
                return await self._observer.look(units=True)
            case Witness.HOST:
                return await self._observer.look(fresh=True, host=True)
            case Witness.DISKS:
                return await self._observer.look(fresh=True, disks=True)
        return self._observer.glance()


def _read_intent(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: %s", path, error)
        return {}
    return values if isinstance(values, dict) else {}


def _load_intent(values: dict[str, Any]) -> tuple[Action, Trigger, str, int]:
    action = load_action(values["action"])
    if action.reason not in CODES:
        raise ValueError(f"unknown reason {action.reason!r}")
    _, _, ran = str(values.get("phase", "")).partition(f"{RAN}-")
    return action, Trigger(values["trigger"]), str(values["id"]), int(ran or 0)
