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
    from dmguard.edge.files import Lock
    from dmguard.loop.observe import Observer
    from dmguard.loop.record import Ink, Paths, Recorder

log = logging.getLogger(__name__)


_BUSY_TRIES, _BUSY_PAUSE_S = 5, 0.3
_FINISH_TRIES, _FINISH_PAUSE_S = 3, 1.0
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

    async def carry_out(self, action: Action, trigger: Trigger, lock: Lock) -> Outcome:
        """Do it, or find it done. Never raises for what a command or the host answers."""
        identity = uuid.uuid4().hex
        self._settled.add(identity)
        began = time.monotonic()

        async def mark(phase: str) -> None:
            await self._intend(action, trigger, identity, phase)

        await mark(INTENDED)
        done, ran = await self._run_steps(steps_for(action), lock, mark)
        outcome = replace(await self._verify(action, done, ran), seconds=time.monotonic() - began)
        # Where the lock was held LVM did nothing, and what is there is another's.
        if outcome.result is not Result.DONE and outcome.reason != "vg-busy":
            await self._undo(action, ran, lock)
        await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
        if outcome.result is Result.DONE:
            await self._follow(action, ran, self._glance(), lock)
        await self._forget_intent()
        return outcome

    @property
    def interrupted(self) -> bool:
        """Is there an intent that nobody has settled?

        One that is on its way out, or cannot be removed, is no reason to look again and again.
        """
        return not self._ink.late and not self._unremovable and self._paths.intent.exists()

    async def resume(self, lock: Lock) -> None:
        """Settle an act that was interrupted: what became of it is told once, then forgotten."""
        # The lock is held by the caller, so no command of the interrupted act runs any more.
        values = _read_intent(self._paths)
        if values is None:
            return
        try:
            action, trigger, identity, ran = _load_intent(values)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("%s: not an intent: %s", self._paths.intent, error)
        else:
            if identity not in self._settled:
                await self._settle(action, trigger, identity, ran, lock)
        await self._forget_intent()

    async def _settle(
        self, action: Action, trigger: Trigger, identity: str, ran: int, lock: Lock
    ) -> None:
        host = action.witness is Witness.HOST
        state = await self._observer.look(fresh=True, disks=True, host=host)
        result = self._recorded(identity)
        if result is None:
            outcome = Outcome(Result.DONE, "resumed")
            if not is_met(action, state):
                outcome = await self._finish(action, ran, state, lock)
            result = outcome.result
            await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
        self._settled.add(identity)
        if result is Result.DONE:
            await self._follow(action, ran, state, lock)

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

    async def _forget_intent(self) -> None:
        removed = await self._ink.write(lambda: files.remove(self._paths.intent))
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
    ) -> tuple[Done, int]:
        """Run them until one does not succeed; how the last one ended, and how many succeeded."""
        for number, step in enumerate(steps):
            done, ran = await self._do(step, lock), number
            for _ in range(_BUSY_TRIES):
                if done.code != "vg-busy" or not step.at_once:
                    break
                # What it rests on was true before the lock was waited for: it is proved anew.
                await asyncio.sleep(_BUSY_PAUSE_S)
                done, ran = await self._do(steps[number - 1], lock), number - 1
                if not done.ok:
                    break
                done, ran = await self._do(step, lock), number
            if not done.ok:
                return done, ran
            if mark is not None:
                await mark(f"{RAN}-{number + 1}")
        return Done(ok=True), len(steps)

    async def _do(self, step: Step, lock: Lock) -> Done:
        try:
            return await self._hands[type(step)](step, lock.descriptor)
        except (RunError, ReportError, DmParseError, OSError) as error:
            return Done(ok=False, complaint=str(error))

    async def _finish(self, action: Action, ran: int, state: State, lock: Lock) -> Outcome:
        """Complete the half of an act that a crash left, or take it back."""
        done = Done(ok=False)
        for attempt in range(_FINISH_TRIES):
            steps = finish_for(action, ran, state)
            if not steps:
                break
            done, _ = await self._run_steps(steps, lock)
            outcome = await self._verify(action, done, ran)
            if outcome.result is Result.DONE:
                return Outcome(Result.DONE, "resumed")
            if done.code != "disk-changed" or attempt == _FINISH_TRIES - 1:
                break
            # Soon after a boot udev may still be at it.
            await asyncio.sleep(_FINISH_PAUSE_S)
            state = await self._observer.look(fresh=True, disks=True)
        await self._undo(action, ran, lock)
        why = CODES["act-interrupted"].clause
        detail = f"{why}: {done.complaint}" if done.complaint else ""
        return Outcome(Result.FAILED, "act-interrupted", detail)

    async def _undo(self, action: Action, ran: int, lock: Lock) -> None:
        """Take back the half of an act that did not come to its end, if it left one."""
        steps = undo_for(action, ran, self._glance())
        if not steps:
            return
        done, undone = await self._run_steps(steps, lock)
        if undone == len(steps):
            log.warning("%s: what was half done was taken back", subject(action))
        else:
            log.info("%s: nothing to take back: %s", subject(action), done.complaint)

    async def _verify(self, action: Action, done: Done, ran: int) -> Outcome:
        try:
            met = is_met(action, await self._witness(action))
        except (RunError, ReportError, DmParseError, OSError) as error:
            met, done = None, Done(ok=False, complaint=str(error))
        if met:
            return Outcome(Result.DONE, action.reason if done.ok or ran else action.elsewhere)
        self._observer.forget()
        detail = done.complaint or "the command succeeded, and the host did not follow"
        code = action.unmet if done.ok else done.code or "act-failed"
        refused = code not in ("act-failed", "vg-busy")
        return Outcome(Result.REFUSED if refused else Result.FAILED, code, detail)

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


def _read_intent(paths: Paths) -> dict[str, Any] | None:
    try:
        values = json.loads(paths.intent.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: %s", paths.intent, error)
        return {}
    return values if isinstance(values, dict) else {}


def _load_intent(values: dict[str, Any]) -> tuple[Action, Trigger, str, int]:
    action = load_action(values["action"])
    if action.reason not in CODES:
        raise ValueError(f"unknown reason {action.reason!r}")
    _, _, ran = str(values.get("phase", "")).partition(f"{RAN}-")
    return action, Trigger(values["trigger"]), str(values["id"]), int(ran or 0)
