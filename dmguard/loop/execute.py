"""Carries actions out: intent, steps, verify, record. Knows no action and no step by name.

Success is what the kernel shows afterwards, not an exit code.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Action, Result, Witness, is_met, subject
from dmguard.core.codes import CODES
from dmguard.core.model import State, Trigger
from dmguard.core.outcome import Outcome, act_entry
from dmguard.core.steps import after_for, finish_for, has_after, lets_go, steps_for, undo_for
from dmguard.edge import files
from dmguard.edge.dm import DmParseError
from dmguard.edge.files import BusyError, Lock
from dmguard.edge.lvm import ReportError
from dmguard.edge.run import RunError
from dmguard.loop.intent import INTENDED, dump_intent, load_intent, read_intent
from dmguard.loop.record import read_history
from dmguard.loop.turn import is_held
from dmguard.loop.walk import UNREACHABLE, Done, Walk, why_later

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.core.steps import Step
    from dmguard.loop.ink import Ink
    from dmguard.loop.observe import Observer
    from dmguard.loop.record import Paths, Recorder
    from dmguard.loop.walk import Hands, Mark

log = logging.getLogger(__name__)

_FINISH_TRIES, _FINISH_PAUSE_S, _LOOK_PAUSE_S = 3, 1.0, 2.0
_LOOKS = {witness: 3 if witness is Witness.HOST else 1 for witness in Witness}
"""A consumer that was started just now may not answer at once."""

_FAILURES = ("act-failed", "vg-busy", "pool-not-repaired", UNREACHABLE)
"""Codes of what was tried and did not succeed, as against what was not tried for a reason."""

_NOT_AGAIN_S = 30.0
_BUSY_AGAIN_S = 2.0
"""Writers may wait for what could not be done behind another's lock."""
_STILL_BUSY_S = 60.0
"""Tries behind a lock are never so far apart."""


@dataclass(frozen=True, slots=True)
class _Half:
    """An act that a crash left: `ran` of its steps are known to be done, `mark` notes any more."""

    action: Action
    trigger: Trigger
    ran: int
    mark: Mark


class Executor:
    """The one place that changes the host. Every call needs the lock to be held.

    An act that waits for a unit lets the lock go meanwhile, so that no pool waits for it. Its
    intent then has a file of its own, and a second lock shows that somebody is at it.
    """

    def __init__(
        self,
        hands: Hands,
        observer: Observer,
        recorder: Recorder,
        ink: Ink,
        paths: Paths,
    ) -> None:
        self._walk = Walk(hands, observer)
        self._observer = observer
        self._recorder = recorder
        self._ink = ink
        self._paths = paths
        self._settled: set[str] = set()
        self._busy: dict[tuple[str, str], float] = {}
        self._unremovable = False
        self._not_before = 0.0
        self._apart_not_before = 0.0

    async def carry_out(self, action: Action, trigger: Trigger, lock: Lock) -> Outcome:
        """Do it, or find it done. Never raises for what a command or the host answers.

        BusyError if another act on the consumers is under way, or if the lock that was let go does
        not come free again: then it is still to be settled.
        """
        with Lock.acquire(self._paths.seat) if action.on_consumer else nullcontext():
            identity = uuid.uuid4().hex
            self._settled.add(identity)
            try:
                return await self._carry_out(action, trigger, identity, lock)
            except BusyError:
                self._settled.discard(identity)
                raise

    async def _carry_out(
        self, action: Action, trigger: Trigger, identity: str, lock: Lock
    ) -> Outcome:
        began = time.monotonic()
        path = self._paths.apart if lets_go(action) else self._paths.intent
        if path == self._paths.apart and path.exists():
            told = "an act that was interrupted is to be settled first"
            return Outcome(Result.FAILED, UNREACHABLE, told)

        mark = self._marker(path, action, trigger, identity)
        if not await mark(INTENDED) and action.needs_intent:
            outcome = Outcome(Result.REFUSED, "intent-not-written", str(path))
            await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
            # It may still be written, if the disk is only slow.
            await self._forget_intent(path)
            return outcome
        done, ran = await self._walk.run(steps_for(action), lock, mark)
        met, outcome = await self._verify(action, done, ran)
        outcome = replace(outcome, seconds=time.monotonic() - began)
        if done.code == UNREACHABLE and ran and finish_for(action, ran, self._glance()):
            # systemd went away in the middle: it is gone on with once it can be asked again.
            self._settled.discard(identity)
            return outcome
        # Where the lock was held LVM did nothing, and what is there is another's; but a consumer
        # may have been stopped for it. What cannot be told is not taken back: it may be in use.
        unknown = (met is None and done.ok) or done.code == UNREACHABLE
        nothing = outcome.reason == "vg-busy" and not action.on_consumer
        is_half = outcome.result is not Result.DONE and not nothing and not unknown
        if is_half and (later := await self._undo(action, ran, trigger, lock)):
            self._settled.discard(identity)
            if later != "vg-busy":
                return outcome
            self._not_before = self._apart_not_before = time.monotonic() + _BUSY_AGAIN_S
            await self._leave(path)
            return replace(outcome, result=Result.FAILED, reason=later)
        if is_half and self._is_complete(action):
            outcome = Outcome(Result.DONE, action.reason, seconds=outcome.seconds)
        if not self._is_told(action, outcome):
            await self._recorder.record(replace(act_entry(action, outcome, trigger), id=identity))
        if outcome.result is Result.DONE and has_after(action):
            await self._follow(action, ran, self._glance(), lock)
        await self._forget_intent(path)
        return outcome

    def _is_told(self, action: Action, outcome: Outcome) -> bool:
        """Was it told that its group is locked, and is that so still? Tries are seconds apart."""
        key, now = (str(action.act), action.key), time.monotonic()
        before = self._busy.pop(key, -_STILL_BUSY_S)
        if outcome.reason != "vg-busy":
            return False
        self._busy[key] = now
        return now - before < _STILL_BUSY_S

    @property
    def interrupted(self) -> bool:
        """Is there an intent that nobody has settled, and that is to be settled now?

        One that is on its way out, or cannot be removed, is no reason to look again and again; nor
        is one that could not be settled just now.
        """
        if self._ink.late or self._unremovable or time.monotonic() < self._not_before:
            return False
        return self._is_left()

    def _is_left(self) -> bool:
        return self._paths.intent.exists() or self._paths.left.exists()

    @property
    def settle_in(self) -> float | None:
        """Seconds until one is to be settled that could not be just now; None if there is none."""
        wait = self._not_before - time.monotonic()
        return wait if wait > 0 and self._is_left() else None

    @property
    def unattended(self) -> bool:
        """The same for an act that lets go of the lock: is there one that nobody is at?"""
        if self._ink.late or self._unremovable or time.monotonic() < self._apart_not_before:
            return False
        return self._paths.apart.exists() and not is_held(self._paths.seat)

    async def resume(self, lock: Lock) -> None:
        """Settle an act that was interrupted: what became of it is told once, then forgotten.

        One that these hands cannot settle is left for those who can.
        """
        # The lock is held by the caller, so no command of the interrupted act runs any more.
        for path in (self._paths.intent, self._paths.left):
            if pause := await self._resume_from(path, lock):
                self._not_before = time.monotonic() + pause
                await self._leave(path)
                return

    async def resume_apart(self, lock: Lock) -> None:
        """The same for an act that lets go of the lock, unless somebody is at it. BusyError if the
        lock does not come free again.
        """
        if not self._paths.apart.exists():
            return
        try:
            seat = Lock.acquire(self._paths.seat)
        except BusyError:
            return
        with seat:
            # Until it is settled, another one waits.
            self._apart_not_before = time.monotonic() + _NOT_AGAIN_S
            pause = await self._resume_from(self._paths.apart, lock)
            self._apart_not_before = time.monotonic() + pause if pause else 0.0

    async def _resume_from(self, path: Path, lock: Lock) -> float:
        """Seconds until it is to be tried again; 0 if it is settled."""
        values = read_intent(path)
        if values is None:
            return 0.0
        try:
            action, trigger, identity, ran = load_intent(values)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("%s: not an intent: %s", path, error)
        else:
            if identity not in self._settled:
                if not self._walk.can(steps_for(action)):
                    return _NOT_AGAIN_S
                mark = self._marker(path, action, trigger, identity)
                later = await self._settle(identity, _Half(action, trigger, ran, mark), lock)
                if later:
                    return _BUSY_AGAIN_S if later == "vg-busy" else _NOT_AGAIN_S
        await self._forget_intent(path)
        return 0.0

    async def _leave(self, path: Path) -> None:
        """Keep an intent from being written over by that of an act of our own."""
        if path == self._paths.intent:
            await self._ink.write(lambda: files.move(path, self._paths.left))

    async def _settle(self, identity: str, half: _Half, lock: Lock) -> str:
        """The code of why it is still to be done, empty if it is not: systemd or the consumer could
        not be asked, or another holds the group's lock.
        """
        action, ran = half.action, half.ran
        host = action.witness is Witness.HOST
        state = await self._observer.look(fresh=True, disks=not host, host=host)
        result = self._recorded(identity)
        if result is None:
            outcome = Outcome(Result.DONE, "resumed")
            met = is_met(action, state)
            if met is None and action.on_consumer:
                # To stop it once more, or to put back what it uses, would be a guess.
                return UNREACHABLE
            if not met:
                outcome = await self._finish(half, state, lock)
            if outcome.reason in (UNREACHABLE, "vg-busy"):
                return outcome.reason
            result = outcome.result
            entry = act_entry(action, outcome, half.trigger)
            await self._recorder.record(replace(entry, id=identity))
        self._settled.add(identity)
        if result is Result.DONE:
            await self._follow(action, ran, state, lock)
        return ""

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
        done, _ = await self._walk.run(steps, lock)
        if not done.ok:
            log.warning("%s: %s: %s", subject(action), steps[-1], done.complaint)

    async def _forget_intent(self, path: Path) -> None:
        removed = await self._ink.write(lambda: files.remove(path))
        self._unremovable = not removed and not self._ink.late

    def _marker(self, path: Path, action: Action, trigger: Trigger, identity: str) -> Mark:
        async def mark(phase: str) -> bool:
            data = dump_intent(action, trigger, identity, phase)
            if not action.urgent:
                return await self._ink.write(lambda: files.write_atomic(path, data))
            # Whoever takes over from us finds it; it is on the disk a moment later.
            written = await self._ink.write(lambda: files.write_atomic(path, data, sync=False))
            self._ink.begin(lambda: files.sync_whole(path))
            return written

        return mark

    async def _finish(self, half: _Half, state: State, lock: Lock) -> Outcome:
        """Complete the half of an act that a crash left, or take it back."""
        action, ran = half.action, half.ran
        done = Done(ok=False)
        for attempt in range(_FINISH_TRIES):
            steps = finish_for(action, half.ran, state)
            if not steps:
                break
            # What was done before stays done: another crash must not make it look undone.
            done, again = await self._walk.run(steps, lock, half.mark, least=ran)
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
        if later := await self._undo(action, ran, half.trigger, lock):
            return Outcome(Result.FAILED, later, done.complaint)
        if self._is_complete(action):
            return Outcome(Result.DONE, "resumed")
        why = CODES["act-interrupted"].clause
        detail = f"{why}: {done.complaint}" if done.complaint else ""
        return Outcome(Result.FAILED, "act-interrupted", detail)

    async def _undo(self, action: Action, ran: int, trigger: Trigger, lock: Lock) -> str:
        """Take back the half of an act that did not come to its end, if it left one.

        A step that does not succeed keeps none but those from being done that rest on it. If that
        was all the rest, the code of why: it is to be tried again.
        """
        steps = undo_for(action, ran, self._glance())
        complaints = []
        later = ""
        done = Done(ok=True)
        for step in steps:
            if step.at_once and not done.ok:
                continue
            done = await self._undo_step(step, lock)
            later = why_later(step, done)
            if later:
                complaints.append(done.complaint)
                break
            if not done.ok and step.is_proof:
                log.warning("%s: nothing is taken back: %s", subject(action), done.complaint)
            elif not done.ok:
                complaints.append(f"{str(step).splitlines()[0]}: {done.complaint}")
        if complaints:
            code = later if later == "vg-busy" else "undo-failed"
            outcome = Outcome(Result.FAILED, code, "; ".join(complaints))
            if not self._is_told(action, outcome):
                await self._recorder.record(act_entry(action, outcome, trigger))
        elif steps and done.ok and not self._is_complete(action):
            log.warning("%s: what was half done was taken back", subject(action))
        return later

    def _is_complete(self, action: Action) -> bool:
        """Did it come to its end when its half was to be taken back? LVM loads what it committed,
        and a command that died may have committed.
        """
        return action.witness is Witness.KERNEL and bool(is_met(action, self._glance()))

    async def _undo_step(self, step: Step, lock: Lock) -> Done:
        for _ in range(_FINISH_TRIES - 1):
            done = await self._walk.do(step, lock)
            if not step.is_proof or done.code != "disk-changed":
                return done
            # udev still looks at a disk that LVM let go just now.
            await asyncio.sleep(_FINISH_PAUSE_S)
        return await self._walk.do(step, lock)

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
        refused = code not in _FAILURES
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
        return self._observer.glance(action.pool)
