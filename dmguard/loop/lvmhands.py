"""What does the steps that are LVM's. It holds the lock as its standard input."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from dmguard.core.complaints import is_unarchived, may_pass, meaning_of
from dmguard.core.steps import Lvm
from dmguard.core.steps.config import narrowed, unarchived, uncopied
from dmguard.edge import lvm
from dmguard.edge.retry import retry
from dmguard.loop.walk import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dmguard.edge.run import Completed, Runner
    from dmguard.loop.walk import Hands


log = logging.getLogger(__name__)

_PATIENTLY_S, _BRIEFLY_S = 10.0, 1.0
"""How long a lock is waited for; briefly by the agent, which comes again: pools of other groups may
fill meanwhile.
"""


class Resident(Protocol):
    """An LVM that is there already. None if it cannot be asked, and a negative status if it died
    meanwhile: then a command of its own does the same, which finds done what is done.
    """

    async def change(self, words: Sequence[str], *, stdin: int) -> Completed | None: ...


class LvmBusyError(Exception):
    """Another LVM command holds the VG's lock."""


def lvm_hands(
    runner: Runner,
    resident: Resident | None,
    devices_of: Callable[[str], tuple[str, ...]],
    may_wait: Callable[[], bool],
) -> Hands:
    """For the one kind of step what does it: see make_hands."""
    return {Lvm: _Hand(runner, resident, devices_of, may_wait).run}


class _Hand:
    def __init__(
        self,
        runner: Runner,
        resident: Resident | None,
        devices_of: Callable[[str], tuple[str, ...]],
        may_wait: Callable[[], bool],
    ) -> None:
        self._runner = runner
        self._resident = resident
        self._devices_of = devices_of
        self._may_wait = may_wait

    async def run(self, step: Lvm, lock: int) -> Done:
        try:
            completed = await self._patiently(step, lock)
            if _ails(step, completed):
                return await self._cure(step, lock)
        except LvmBusyError as error:
            return Done(ok=False, complaint=str(error), code="vg-busy")
        return _done(step, completed)

    async def _cure(self, step: Lvm, lock: int) -> Done:
        completed = await self._patiently(replace(step, argv=step.cure), lock)
        if completed.status == 0:
            completed = await self._patiently(step, lock)
        done = Done(ok=completed.status == 0, complaint=completed.complaint)
        # What a signal ended may still be done.
        return replace(done, code="pool-not-repaired") if completed.status > 0 else done

    async def _patiently(self, step: Lvm, lock: int) -> Completed:
        return await retry(
            lambda: self._once(step, lock),
            on=(LvmBusyError,),
            attempts=1 if step.at_once else 10,
            within_s=_BRIEFLY_S if self._resident and step.urgent else _PATIENTLY_S,
        )

    async def _once(self, step: Lvm, lock: int) -> Completed:
        # No other disk of the host is looked at while a writer may wait: one that does not answer
        # would hold up LVM for ever.
        argv = narrowed(step.argv, self._devices_of(step.urgent)) if step.urgent else step.argv
        completed = await self._try(argv, step, lock)
        if argv != step.argv and _is_refused(completed):
            # It may have been for what LVM did not see.
            completed = await self._try(step.argv, replace(step, urgent=""), lock)
        if lvm.is_busy(completed):
            raise LvmBusyError(completed.complaint)
        return completed

    async def _try(self, argv: tuple[str, ...], step: Lvm, lock: int) -> Completed:
        completed = await self._do(argv, step, lock)
        if step.twice and _is_refused(completed):
            completed = await self._do(argv, step, lock)
        return completed

    async def _do(self, argv: tuple[str, ...], step: Lvm, lock: int) -> Completed:
        if self._may_wait():
            # LVM would wait there for the room that it is to make, and hold the lock meanwhile.
            log.info("without copies in /etc/lvm, which may be on the pool: vgcfgbackup makes one")
            return await self._run(uncopied(argv), step, lock)
        completed = await self._run(argv, step, lock)
        if completed.status > 0 and is_unarchived(completed.stderr):
            # A full or read-only /etc is none of the pool's faults, and may come of its being full.
            log.warning("done without LVM's copy in its archive: %s", completed.complaint)
            completed = await self._run(unarchived(argv), step, lock)
        return completed

    async def _run(self, argv: tuple[str, ...], step: Lvm, lock: int) -> Completed:
        completed = await self._ask(argv, lock) if step.urgent else None
        if completed is None:
            completed = await self._runner.change([lvm.LVM, *argv], stdin=lock)
        return completed

    async def _ask(self, argv: tuple[str, ...], lock: int) -> Completed | None:
        """The resident LVM's answer; None where LVM as a process is to give it."""
        if self._resident is None:
            return None
        completed = await self._resident.change(argv, stdin=lock)
        return None if completed is None or completed.status < 0 else completed


def _is_refused(completed: Completed) -> bool:
    """Did LVM not do it, and not merely for a lock that another has?"""
    return completed.status > 0 and not lvm.is_busy(completed)


def _ails(step: Lvm, completed: Completed) -> bool:
    """Was it refused for what the step has a cure for?"""
    refused = bool(step.cure) and completed.status > 0
    return refused and meaning_of(completed.stderr) == step.ails


def _done(step: Lvm, completed: Completed) -> Done:
    if completed.status == 0:
        return Done(ok=True)
    if completed.status < 0:
        # A command that a signal ended has refused nothing.
        return Done(ok=False, complaint=completed.complaint)
    refusal = "" if may_pass(completed.stderr) else step.refusal
    meaning = refusal or meaning_of(completed.stderr)
    return Done(ok=False, complaint=completed.complaint, code=meaning)
