"""What the agent has in place of the outside on a simulated host: LVM, the kernel, its own files.

Each call is a point where the agent can die.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dmguard.core.complaints import may_pass
from dmguard.edge import lvm
from dmguard.edge.run import Completed
from dmguard.loop.observe import Observer
from tests.unit.faults import Crash, KilledError
from tests.unit.simkernel import read_kernel
from tests.unit.simulated import LvmError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from dmguard.core.model import KernelPool, State, Vg
    from tests.unit.faults import Eyes
    from tests.unit.guarded import Guarded
    from tests.unit.simulated import Points

_COMMAND_S = 0.05
_REPORT_S = 0.1
_REPORT_PATIENCE_S, _REPORT_PAUSE_S = 3.0, 0.25


class Watched(Observer):
    """Shows others what it sees: what is planned is planned from that."""

    eyes: Eyes

    async def look(self, **how: Any) -> State:
        state = await super().look(**how)
        self.eyes.see(state)
        return state


class Inline:
    """Writes at once, and not on a thread."""

    late = False

    def __init__(self, world: Guarded) -> None:
        self._world = world

    async def write(self, operation: Callable[[], None]) -> bool:
        self._world.boundary()
        operation()
        self._world.boundary()
        return True

    def begin(self, operation: Callable[[], None]) -> None:
        operation()


class Journal:
    """Keeps every entry."""

    def __init__(self, world: Guarded) -> None:
        self._world = world

    def send(self, message: str, **fields: str) -> Future[None]:
        self._world.eyes.hear({"MESSAGE": message, **fields})
        done: Future[None] = Future()
        done.set_result(None)
        return done


class Lvms:
    """Runs LVM: `change` as in dmguard.edge.run."""

    def __init__(self, world: Guarded) -> None:
        self._world = world

    async def change(self, argv: Sequence[str], *, stdin: int | None = None) -> Completed:
        del stdin
        world, words = self._world, tuple(argv[1:])
        world.boundary()
        world.commands.append((world.loop.time(), words))
        world.eyes.before_command(words)
        others, world.faults.meanwhile = world.faults.meanwhile, []
        for do in others:
            do()
        status, said = 0, ""
        try:
            await self._run(words)
        except LvmError as error:
            status, said = 5, str(error)
        except KilledError:
            status = -9
        passes = "lock" in said or may_pass(said)
        world.eyes.after_command(refused=status > 0 and not passes)
        world.boundary()
        return Completed(tuple(argv), status, "", said, 0.0)

    async def _run(self, words: tuple[str, ...]) -> None:
        world = self._world
        if world.faults.fails:
            world.faults.fails -= 1
            raise LvmError("Error writing device /dev/sda at 4096 length 512.")
        command = world.host.lvm(words)
        with closing(command):
            await self._walk(command, words)

    async def _walk(self, command: Points, words: tuple[str, ...]) -> None:
        world = self._world
        for _ in command:
            if world.faults.kills:
                world.faults.kills -= 1
                raise KilledError
            try:
                world.boundary()
            except Crash:
                # LVM does not die with the agent.
                for _ in command:
                    pass
                world.eyes.after_command(refused=False)
                raise
            await asyncio.sleep(_COMMAND_S)
        world.touched(words)


class Kernel:
    """The control device: `list_devices` and `read_pools` as in dmguard.edge.dm."""

    def __init__(self, world: Guarded) -> None:
        self._world = world

    def list_devices(self) -> tuple[Any, ...]:
        return ()

    def read_bare(self, devices: object) -> tuple[()]:
        del devices
        return ()

    def read_pools(
        self, devices: object, *, anew: bool = True, kept: Iterable[KernelPool] = ()
    ) -> tuple[KernelPool, ...]:
        del devices, anew
        host = self._world.host
        as_they_are = {(pool.ids, pool.event_nr): pool for pool in kept}
        seen = [read_kernel(vg, pool) for vg in host.vgs for pool in vg.pools]
        there = [pool for pool in seen if pool is not None]
        return tuple(as_they_are.get((pool.ids, pool.event_nr)) or pool for pool in there)

    def close(self) -> None:
        pass


class Reports:
    """LVM's reports: what the observer takes of dmguard.edge.lvm."""

    ReportError = lvm.ReportError
    ReportBusyError = lvm.ReportBusyError

    def __init__(self, world: Guarded) -> None:
        self._world = world

    def fingerprint(self) -> int:
        return 0

    settings_fingerprint = fingerprint

    def backups(self) -> dict[str, int]:
        return {vg.name: vg.seqno for vg in self._world.host.vgs}

    async def read_profile(self, *_: object) -> None:
        """None is attached to any pool."""

    async def read_vgs(
        self,
        _runner: object,
        names: Collection[str] = (),
        devices: Collection[str] = (),
        *,
        attempts: int = 20,
        timeout_s: float = 20.0,
    ) -> tuple[Vg, ...]:
        host = self._world.host
        self._world.boundary()
        await asyncio.sleep(_REPORT_S)
        waited = 0.0
        while self._locked(names) and waited < _REPORT_PATIENCE_S and attempts > 1:
            await asyncio.sleep(_REPORT_PAUSE_S)
            waited += _REPORT_PAUSE_S
        locked = self._locked(names)
        wanted = [vg for vg in host.vgs if not names or vg.name in names]
        read = [host.read_vg(vg) for vg in wanted if vg.name not in locked]
        found = tuple(_narrow(vg, devices) for vg in read if vg is not None)
        if locked:
            raise lvm.ReportBusyError(Completed(("lvm",), 5, "", "Can't get lock", 0.0), found)
        return found

    def _locked(self, names: Collection[str]) -> set[str]:
        locked = self._world.host.locked
        return {name for name in locked if not names or name in names}


def _narrow(vg: Vg, devices: Collection[str]) -> Vg:
    """As an LVM sees it that looks at these devices alone."""
    if not devices:
        return vg
    pvs = (pv if pv.name in devices else replace(pv, missing=True, devno=None) for pv in vg.pvs)
    return replace(vg, pvs=tuple(pvs))
