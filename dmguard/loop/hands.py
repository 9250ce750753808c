"""What does each kind of step: the hands that the executor is given."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from dmguard.core.steps import Prove, ProveStopped, UnitStep, UnitVerb, Unmake, Wipe
from dmguard.edge import label
from dmguard.loop.dmhands import DmHands
from dmguard.loop.filehands import FILE_HANDS
from dmguard.loop.lvmhands import lvm_hands
from dmguard.loop.repairhands import repair_hands
from dmguard.loop.walk import UNREACHABLE, Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.core.model import Unit
    from dmguard.edge.run import Runner
    from dmguard.loop.lvmhands import Resident
    from dmguard.loop.walk import Hands

_LONGEST_JOB_S = 120.0
"""How long a unit is waited for."""

_POLL_S = 0.2
_STOPPED = ("inactive", "failed")


class Manager(Protocol):
    """What systemd can be asked for. Each returns when the job is queued; OSError if it is not."""

    async def reset_failed(self, name: str) -> None: ...
    async def start_unit(self, name: str) -> None: ...
    async def stop_unit(self, name: str) -> None: ...
    async def restart_unit(self, name: str) -> None: ...
    async def reload_unit(self, name: str) -> None: ...
    async def read_unit(self, name: str) -> Unit | None: ...


def make_hands(
    runner: Runner,
    *,
    prove: Callable[[Prove], Awaitable[Done]] | None = None,
    manager: Manager | None = None,
    resident: Resident | None = None,
    devices_of: Callable[[str], tuple[str, ...]] = lambda _: (),
    may_wait: Callable[[], bool] = lambda: False,
) -> Hands:
    """The real hands. What is left out is refused when a step asks for it; without a resident LVM
    each command is a process of its own. `devices_of` tells of a VG's name what its PVs are on;
    `may_wait`, whether a file of LVM's may wait for a pool to grow.
    """
    hands: dict[Any, Any] = {**FILE_HANDS, **DmHands(runner).as_table()}
    hands |= {**lvm_hands(runner, resident, devices_of, may_wait), **_blank_disks(runner)}
    hands |= repair_hands(runner)
    if prove is not None:
        hands |= _prove_disks(prove)
    if manager is not None:
        hands |= _ask_systemd(manager)
    return hands


def _blank_disks(runner: Runner) -> Hands:
    async def wipe(step: Wipe, lock: int) -> Done:
        completed = await runner.change(step.argv, stdin=lock)
        if completed.status == 0:
            await settle()
        return Done(ok=completed.status == 0, complaint=completed.complaint)

    async def unmake(step: Unmake, lock: int) -> Done:
        del lock
        try:
            # A thread, for a disk may be slow.
            if await asyncio.to_thread(label.unmake, step.disk, step.devno, step.size):
                await settle()
        except label.OtherDiskError as error:
            return Done(ok=False, complaint=str(error), code="disk-changed")
        return Done(ok=True)

    async def settle() -> None:
        """What is on a disk now is known once udev has looked at it."""
        await runner.read(("udevadm", "settle", "--timeout=30"), timeout_s=40.0, check=False)

    return {Wipe: wipe, Unmake: unmake}


def _prove_disks(prove: Callable[[Prove], Awaitable[Done]]) -> Hands:
    async def prove_disk(step: Prove, lock: int) -> Done:
        del lock
        return await prove(step)

    return {Prove: prove_disk}


def _ask_systemd(manager: Manager) -> Hands:
    ask = {
        UnitVerb.RESET_FAILED: manager.reset_failed,
        UnitVerb.START: manager.start_unit,
        UnitVerb.STOP: manager.stop_unit,
        UnitVerb.RESTART: manager.restart_unit,
        UnitVerb.RELOAD: manager.reload_unit,
    }

    async def ask_systemd(step: UnitStep, lock: int) -> Done:
        del lock
        try:
            await ask[step.verb](step.unit)
        except OSError as error:
            return _unanswered(error)
        return await _wait_for(step, manager) if step.wait else Done(ok=True)

    async def prove_stopped(step: ProveStopped, lock: int) -> Done:
        del lock
        for name in step.units:
            try:
                unit = await manager.read_unit(name)
            except OSError as error:
                return _unanswered(error)
            if unit is not None and (unit.has_job or unit.state not in _STOPPED):
                complaint = f"{name} was started meanwhile: it is {unit.state}"
                return Done(ok=False, complaint=complaint)
        return Done(ok=True)

    return {UnitStep: ask_systemd, ProveStopped: prove_stopped}


def _unanswered(error: OSError) -> Done:
    """An error that has a name is an answer; any other means that nothing was asked."""
    done = Done(ok=False, complaint=str(error))
    answered = getattr(error, "name", None) is not None
    return done if answered else replace(done, code=UNREACHABLE)


async def _wait_for(step: UnitStep, manager: Manager) -> Done:
    """Until the unit has stopped, or runs. systemd has deadlines of its own for both."""
    wanted = _STOPPED if step.verb is UnitVerb.STOP else ("active",)
    until = time.monotonic() + _LONGEST_JOB_S
    while time.monotonic() < until:
        unit = await manager.read_unit(step.unit)
        if unit is None:
            return Done(ok=False, complaint=f"{step.unit}: there is no such unit")
        if not unit.has_job and unit.state in wanted:
            return Done(ok=True)
        if not unit.has_job and unit.state in _STOPPED:
            return Done(
                ok=False, complaint=f"{step.unit} is {unit.state}: see journalctl -u {step.unit}"
            )
        await asyncio.sleep(_POLL_S)
    return Done(ok=False, complaint=f"{step.unit}: its {step.verb} does not come to an end")
