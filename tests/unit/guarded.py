"""The agent's real loop over a simulated host: its reconciler, observer, executor, survey, hands.

What is not real: LVM, the kernel, udev, time, and the thread that writes files. The agent can die
at each point where it reaches outside.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

from dmguard.core.model import Probe, Trigger
from dmguard.core.steps import Unmake
from dmguard.core.verdict import needs_probe
from dmguard.core.wake import Wake
from dmguard.edge import lvm
from dmguard.edge.run import Completed
from dmguard.edge.sources.timer import Timer
from dmguard.loop.books import Books
from dmguard.loop.execute import Executor
from dmguard.loop.hands import make_hands
from dmguard.loop.memory import Memory
from dmguard.loop.observe import Observer, Senses
from dmguard.loop.reconcile import Reconciler
from dmguard.loop.record import Paths, Recorder
from dmguard.loop.survey import Survey
from dmguard.loop.walk import Done
from tests.unit.simkernel import read_kernel
from tests.unit.simulated import LvmError, Simulated, parse
from tests.unit.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    import pytest

    from dmguard.core.model import Disk, KernelPool, State, Vg
    from dmguard.core.settings import Settings
    from dmguard.edge.dm import Control
    from dmguard.edge.run import Runner
    from dmguard.edge.systemd import JournalWriter
    from dmguard.loop.ink import Ink
    from tests.unit.simkernel import SimPool, SimVg
    from tests.unit.simulated import Points

TICK_S, _IDLE_TICK_S = 0.25, 2.0
_DOWN_S = 0.5
_COMMAND_S = 0.05
_REPORT_S = 0.1
_REPORT_PATIENCE_S = 3.0
_CLOCKS = ("dmguard.loop.reconcile", "dmguard.loop.execute", "dmguard.loop.survey")


class Crash(BaseException):
    """The agent dies here: nothing that it would do follows."""


class KilledError(Exception):
    """An LVM command is killed where it stands."""


@dataclass
class Faults:
    """What goes wrong from now on.

    `fuse`: boundaries that are left until the agent dies; None: it does not. `kills`: commands of
    the agent's that change something and are killed halfway. `fails`: those that fail, and do
    nothing. `meanwhile`: what others do at the very moment of the next one. `lag_s`: how long after
    its event a chunk is allocated. `delays`: in how many seconds an event is told, each time once;
    empty: it is lost.
    """

    fuse: int | None = None
    kills: int = 0
    fails: int = 0
    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    lag_s: float = 0.001
    delays: tuple[float, ...] = (0.0,)


class Eyes(Protocol):
    """Who sees what the agent reads, does and tells."""

    def before_command(self, words: tuple[str, ...]) -> None: ...
    def after_command(self, *, refused: bool) -> None: ...
    def hear(self, fields: dict[str, str]) -> None: ...
    def see(self, state: State) -> None: ...


class Guarded:
    """A host with an agent. `rates`: chunks that are written in each tick, by the pool's uuid."""

    eyes: Eyes

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, host: Simulated, settings: Settings
    ) -> None:
        self.host = host
        self.settings = settings
        self.paths = Paths(run=root / "run", lib=root / "lib")
        self.loop = VirtualLoop()
        self.faults = Faults()
        self.rates: dict[str, int] = {}
        self.commands: list[tuple[float, tuple[str, ...]]] = []
        self.cycles: list[float] = []
        self.broken: BaseException | None = None
        self.memory = Memory()
        self.deaths = 0
        self._back_at = 0.0
        self._agent: list[asyncio.Task[None]] = []
        self._reconciler: Reconciler | None = None
        host.raised = self._raised
        self.loop.rule(monkeypatch, *_CLOCKS)
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, lambda _: None)
        log = SimpleNamespace(debug=_silent, warning=_silent, exception=self._note_failure)
        monkeypatch.setattr("dmguard.loop.reconcile.log", log)
        monkeypatch.setattr("dmguard.loop.observe.lvm", self._reports())

    def close(self) -> None:
        self._end()
        self.loop.close()

    # Time

    def pass_time(self, seconds: float) -> None:
        """Everything goes on for so long."""
        self.loop.run_until_complete(self._live(seconds))
        if self.broken is not None:
            raise self.broken

    async def _live(self, seconds: float) -> None:
        until = self.loop.time() + seconds
        while (now := self.loop.time()) < until:
            if self._reconciler is None and now >= self._back_at:
                self._start()
            tick = TICK_S if any(self.rates.values()) else _IDLE_TICK_S
            tick = min(tick, until - now)
            await asyncio.sleep(tick)
            for task in self._agent:
                if task.done():
                    self._bury(task)
                    break
            self.host.pass_time(tick)
            for vg in self.host.vgs:
                for pool in vg.pools:
                    self.host.write(vg, pool, self.rates.get(pool.uuid, 0))

    def _bury(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if not isinstance(error, Crash):
            raise error or AssertionError("the agent ended")
        self.deaths += 1
        self._end()
        self._back_at = self.loop.time() + _DOWN_S

    def _end(self) -> None:
        for task in self._agent:
            task.cancel()
        self.loop.call_soon(lambda: None)
        agent, self._agent, self._reconciler = self._agent, [], None
        if agent and not self.loop.is_running():
            self.loop.run_until_complete(asyncio.gather(*agent, return_exceptions=True))

    def boundary(self) -> None:
        """The agent reaches outside, or is back from there."""
        if self.faults.fuse is not None:
            self.faults.fuse -= 1
            if self.faults.fuse < 0:
                self.faults.fuse = None
                raise Crash

    def _note_failure(self, *_: object) -> None:
        self.broken = sys.exc_info()[1]

    # The agent

    def _start(self) -> None:
        """As dmguard.app.wiring puts it together."""
        ink = cast("Ink", Inline(self))
        runner = cast("Runner", Lvms(self))
        books = Books(self.paths, ink)
        self.memory = Memory()

        async def look_at(disk: Disk) -> Probe:
            await asyncio.sleep(_COMMAND_S)
            there = self.host.disks.get(disk.node)
            return (there and there.probe) or Probe(error="gone")

        def wants(disk: Disk, state: State) -> bool:
            return needs_probe(disk, state, self.settings)

        def wake_for_disk() -> None:
            reconciler.wake(Wake(Trigger.UDEV, "a close look came back"))

        survey = Survey(
            self._read_disks, look_at, look_at, wants, patience_s=1.0, answered=wake_for_disk
        )
        senses = Senses(survey=survey, ledger=books.read_ledger)
        observer = Watched(runner, lambda: cast("Control", Kernel(self)), senses)
        observer.eyes = self.eyes
        hands = dict(
            make_hands(
                runner,
                prove=lambda step: survey.prove(step, lambda: observer.look(fresh=True)),
                devices_of=observer.devices_of,
            )
        )
        hands[Unmake] = self._unmake
        recorder = Recorder(self.paths, cast("JournalWriter", Journal(self)), ink)
        reconciler = Reconciler(
            settings=self.settings,
            observer=observer,
            executor=Executor(hands, observer, recorder, ink, self.paths),
            recorder=recorder,
            memory=self.memory,
            paths=self.paths,
            books=books,
        )
        timer = Timer(self.settings.resync)
        reconciler.look_within = timer.look_within
        reconciler.published = lambda: self.cycles.append(self.loop.time())
        self._reconciler = reconciler
        self._agent = [
            self.loop.create_task(reconciler.run()),
            self.loop.create_task(timer.run(reconciler.wake)),
        ]
        reconciler.wake(Wake(Trigger.START))

    @property
    def findings(self) -> set[tuple[str, str]]:
        return {finding.key for finding in self.memory.findings}

    def _read_disks(self) -> tuple[Disk, ...]:
        return tuple(replace(disk, probe=None) for disk in self.host.disks.values())

    async def _unmake(self, step: Unmake, lock: int) -> Done:
        del lock
        self.boundary()
        disk = self.host.disks.get(step.disk)
        if disk is None or disk.devno != step.devno:
            return Done(ok=False, complaint="another disk", code="disk-changed")
        if disk.probe is not None and disk.probe.half_pv:
            new = replace(disk, stamp=disk.stamp + 1, content=None, probe=Probe())
            self.host.disks[step.disk] = new
        self.boundary()
        return Done(ok=True)

    # What wakes it

    def _raised(self, vg: SimVg, pool: SimPool) -> None:
        self.loop.call_later(self.faults.lag_s, self.host.go_on)
        self.tell(Wake(Trigger.DM_EVENT, f"LVM-{vg.uuid}{pool.uuid}-tpool"))
        self.tell(Wake(Trigger.JOURNAL, f"253:{pool.minor}"))

    def tell(self, wake: Wake) -> None:
        for delay in self.faults.delays:
            self.loop.call_later(delay, self._wake, wake)

    def touched(self, words: tuple[str, ...]) -> None:
        """udev tells of every PV of a group whose metadata was written."""
        _, _, named = parse(words)
        group = named[0].partition("/")[0]
        for vg in self.host.vgs:
            if group == vg.name:
                disks = [self.host.disk_of(pv) for pv in vg.pvs]
                for disk in disks:
                    if disk is not None:
                        self.tell(Wake(Trigger.UDEV, disk.name))

    def by_another(self, *words: str) -> bool:
        """Somebody else's command; did LVM do it?"""
        if not self.host.run(*words):
            return False
        self.touched(words)
        return True

    def power_cut(self) -> None:
        """Everything ends where it stands, and the host comes up again."""
        self._end()
        for vg in self.host.vgs:
            self.host.locked.discard(vg.name)
            for pool in vg.pools:
                if not self.host.is_broken(vg):
                    self.host.activate(vg, pool)
        self._back_at = self.loop.time() + _DOWN_S

    def _wake(self, wake: Wake) -> None:
        if self._reconciler is not None:
            self._reconciler.wake(wake)

    # LVM's reports

    def _reports(self) -> SimpleNamespace:
        async def read_profile(*_: object) -> None:
            return None

        return SimpleNamespace(
            fingerprint=lambda: 0,
            settings_fingerprint=lambda: 0,
            backups=lambda: {vg.name: vg.seqno for vg in self.host.vgs},
            read_vgs=self._read_vgs,
            read_profile=read_profile,
            ReportError=lvm.ReportError,
            ReportBusyError=lvm.ReportBusyError,
        )

    async def _read_vgs(
        self, runner: Runner, names: Collection[str] = (), devices: Collection[str] = ()
    ) -> tuple[Vg, ...]:
        del runner
        self.boundary()
        await asyncio.sleep(_REPORT_S)
        waited = 0.0
        while self._locked(names) and waited < _REPORT_PATIENCE_S:
            await asyncio.sleep(TICK_S)
            waited += TICK_S
        locked = self._locked(names)
        wanted = [vg for vg in self.host.vgs if not names or vg.name in names]
        read = [self.host.read_vg(vg) for vg in wanted if vg.name not in locked]
        found = tuple(_narrow(vg, devices) for vg in read if vg is not None)
        if locked:
            raise lvm.ReportBusyError(Completed(("lvm",), 5, "", "Can't get lock", 0.0), found)
        return found

    def _locked(self, names: Collection[str]) -> set[str]:
        return {name for name in self.host.locked if not names or name in names}


def _narrow(vg: Vg, devices: Collection[str]) -> Vg:
    """As an LVM sees it that looks at these devices alone."""
    if not devices:
        return vg
    pvs = (pv if pv.name in devices else replace(pv, missing=True, devno=None) for pv in vg.pvs)
    return replace(vg, pvs=tuple(pvs))


def _silent(*_: object) -> None:
    pass


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
        world.eyes.after_command(refused=status > 0 and "lock" not in said)
        world.boundary()
        return Completed(tuple(argv), status, "", said, 0.0)

    async def _run(self, words: tuple[str, ...]) -> None:
        world = self._world
        if world.faults.fails:
            world.faults.fails -= 1
            raise LvmError("Input/output error")
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
