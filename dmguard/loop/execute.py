"""Carries actions out: intent, steps, verify, record. Knows no action and no step by name.

Its hands are passed in: for each kind of step the function that does it. Success is what the
kernel shows afterwards, not an exit code.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import Action, Result, dump_action, is_met, load_action
from dmguard.core.codes import CODES
from dmguard.core.entry import Outcome, act_entry
from dmguard.core.model import Trigger
from dmguard.core.steps import Lvm, Step, steps_for
from dmguard.edge import files, lvm
from dmguard.edge.dm import DmParseError
from dmguard.edge.retry import retry
from dmguard.edge.run import RunError
from dmguard.loop.record import read_history

if TYPE_CHECKING:
    from dmguard.edge.files import Lock
    from dmguard.edge.run import Completed, Runner
    from dmguard.loop.observe import Observer
    from dmguard.loop.record import Ink, Paths, Recorder

log = logging.getLogger(__name__)


class Phase(StrEnum):
    """How far an act has come, as the intent file has it."""

    INTENDED = "intended"
    RAN = "ran"


def boundaries(action: Action) -> tuple[str, ...]:
    """Every point of an act between two effects outside, in order: where a crash can fall.

    The intent file is written at the first and after each step, and removed at the last.
    """
    steps = range(1, len(steps_for(action)) + 1)
    return (
        Phase.INTENDED,
        *(name for number in steps for name in (f"step-{number}", f"{Phase.RAN}-{number}")),
        "recorded",
        "cleared",
    )


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended: it may have failed and still what was wanted be there."""

    ok: bool
    complaint: str = ""
    busy: bool = False


Hands = Mapping[type[Step], Callable[[Step, int], Awaitable[Done]]]


def make_hands(runner: Runner) -> Hands:
    """The real hands: an LVM step runs as a process that holds the lock as its stdin."""

    async def run_lvm(step: Lvm, lock: int) -> Done:
        completed = await retry(
            lambda: _run_once(runner, step, lock), on=(LvmBusyError,), attempts=10, within_s=10.0
        )
        return Done(completed.status == 0, "" if completed.status == 0 else completed.complaint)

    return {Lvm: run_lvm}


class LvmBusyError(Exception):
    """Another LVM command holds the VG's lock."""


async def _run_once(runner: Runner, step: Lvm, lock: int) -> Completed:
    completed = await runner.change([lvm.LVM, *step.argv], stdin=lock)
    if lvm.is_busy(completed):
        raise LvmBusyError(completed.complaint)
    return completed


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
        """Do it, or find it done. Never raises for what a command or the kernel answers."""
        identity = uuid.uuid4().hex
        self._settled.add(identity)
        began = time.monotonic()
        await self._intend(action, trigger, identity, Phase.INTENDED)
        done = await self._run_steps(action, lock)
        await self._intend(action, trigger, identity, Phase.RAN)
        outcome = replace(self._verify(action, done), seconds=time.monotonic() - began)
        await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
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
        del lock  # held by the caller, so no command of the interrupted act runs any more
        values = _read_intent(self._paths)
        if values is None:
            return
        try:
            action, trigger, identity = _load_intent(values)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("%s: not an intent: %s", self._paths.intent, error)
        else:
            if not self._is_settled(identity):
                self._settled.add(identity)
                state = await self._observer.look(fresh=True)
                outcome = Outcome(Result.FAILED, "act-interrupted")
                if is_met(action, state):
                    outcome = Outcome(Result.DONE, "resumed")
                await self._recorder.record(
                    replace(act_entry(action, outcome, trigger), id=identity)
                )
        await self._forget_intent()

    def _is_settled(self, identity: str) -> bool:
        if identity in self._settled:
            return True
        return any(entry.id == identity for entry in read_history(self._paths)[-20:])

    async def _forget_intent(self) -> None:
        removed = await self._ink.write(lambda: files.remove(self._paths.intent))
        self._unremovable = not removed and not self._ink.late

    async def _intend(self, action: Action, trigger: Trigger, identity: str, phase: Phase) -> None:
        values = {"id": identity, "trigger": trigger, "phase": phase, "at": time.time()}
        values["action"] = dump_action(action)
        data = json.dumps(values).encode()
        await self._ink.write(lambda: files.write_atomic(self._paths.intent, data))

    async def _run_steps(self, action: Action, lock: Lock) -> Done:
        for step in steps_for(action):
            try:
                done = await self._hands[type(step)](step, lock.descriptor)
            except LvmBusyError as error:
                done = Done(ok=False, complaint=str(error), busy=True)
            except (RunError, OSError) as error:
                done = Done(ok=False, complaint=str(error))
            if not done.ok:
                return done
        return Done(ok=True)

    def _verify(self, action: Action, done: Done) -> Outcome:
        try:
            met = is_met(action, self._observer.glance())
        except (DmParseError, OSError) as error:
            met, done = None, Done(ok=False, complaint=str(error))
        if met:
            return Outcome(Result.DONE, action.reason if done.ok else "grown-elsewhere")
        self._observer.forget()
        detail = done.complaint or "the command succeeded, and the kernel's pool did not follow"
        return Outcome(Result.FAILED, "vg-busy" if done.busy else "act-failed", detail)


def _read_intent(paths: Paths) -> dict[str, Any] | None:
    try:
        values = json.loads(paths.intent.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: %s", paths.intent, error)
        return {}
    return values if isinstance(values, dict) else {}


def _load_intent(values: dict[str, Any]) -> tuple[Action, Trigger, str]:
    action = load_action(values["action"])
    if action.reason not in CODES:
        raise ValueError(f"unknown reason {action.reason!r}")
    return action, Trigger(values["trigger"]), str(values["id"])
