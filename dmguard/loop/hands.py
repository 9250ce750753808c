"""What does each kind of step: the hands that the executor is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from dmguard.core.steps import Lvm, Prove, UnitStep, UnitVerb
from dmguard.edge import lvm
from dmguard.edge.retry import retry
from dmguard.loop.execute import Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.edge.run import Completed, Runner
    from dmguard.loop.execute import Hands


class Manager(Protocol):
    """What systemd can be asked for. Each returns when the job is queued; OSError if it is not."""

    async def reset_failed(self, name: str) -> None: ...
    async def start_unit(self, name: str) -> None: ...
    async def restart_unit(self, name: str) -> None: ...


def make_hands(
    runner: Runner,
    *,
    prove: Callable[[Prove], Awaitable[Done]] | None = None,
    manager: Manager | None = None,
) -> Hands:
    """The real hands. What is left out is refused when a step asks for it."""

    async def run_lvm(step: Lvm, lock: int) -> Done:
        """An LVM step runs as a process that holds the lock as its standard input."""
        try:
            completed = await retry(
                lambda: _run_once(runner, step, lock),
                on=(LvmBusyError,),
                attempts=1 if step.at_once else 10,
                within_s=10.0,
            )
        except LvmBusyError as error:
            return Done(ok=False, complaint=str(error), code="vg-busy")
        if completed.status == 0:
            return Done(ok=True)
        done = Done(ok=False, complaint=completed.complaint)
        # A command that a signal ended has refused nothing.
        return replace(done, code=step.refusal) if completed.status > 0 else done

    async def prove_disk(step: Prove, lock: int) -> Done:
        del lock
        assert prove is not None
        return await prove(step)

    async def ask_systemd(step: UnitStep, lock: int) -> Done:
        del lock
        assert manager is not None
        ask = {
            UnitVerb.RESET_FAILED: manager.reset_failed,
            UnitVerb.START: manager.start_unit,
            UnitVerb.RESTART: manager.restart_unit,
        }
        await ask[step.verb](step.unit)
        return Done(ok=True)

    hands: dict[Any, Any] = {Lvm: run_lvm}
    if prove is not None:
        hands[Prove] = prove_disk
    if manager is not None:
        hands[UnitStep] = ask_systemd
    return hands


class LvmBusyError(Exception):
    """Another LVM command holds the VG's lock."""


async def _run_once(runner: Runner, step: Lvm, lock: int) -> Completed:
    completed = await runner.change([lvm.LVM, *step.argv], stdin=lock)
    if lvm.is_busy(completed):
        raise LvmBusyError(completed.complaint)
    return completed
