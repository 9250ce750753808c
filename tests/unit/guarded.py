"""The agent's real loop over a simulated host: its reconciler, observer, executor, survey, hands.

What is not real: LVM, the kernel, udev, time, and the thread that writes files. The agent can die
at each point where it reaches outside.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from dmguard.core.model import Probe, Trigger
from dmguard.core.steps import Unmake
from dmguard.core.verdict import needs_probe
from dmguard.core.wake import Wake
from dmguard.edge.sources.timer import Timer
from dmguard.loop.books import Books
from dmguard.loop.execute import Executor
from dmguard.loop.hands import make_hands
from dmguard.loop.memory import Memory
from dmguard.loop.observe import Senses
from dmguard.loop.reconcile import Reconciler
from dmguard.loop.record import Paths, Recorder
from dmguard.loop.survey import Survey
from dmguard.loop.walk import Done
from tests.unit.faults import Crash, Faults
from tests.unit.outside import Inline, Journal, Kernel, Lvms, Reports, Watched
from tests.unit.simulated import parse
from tests.unit.virtual import VirtualLoop

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from dmguard.core.model import Disk, State
    from dmguard.core.settings import Settings
    from dmguard.edge.dm import Control
    from dmguard.edge.run import Runner
    from dmguard.edge.systemd import JournalWriter
    from dmguard.loop.ink import Ink
    from tests.unit.faults import Eyes
    from tests.unit.simkernel import SimPool, SimVg
    from tests.unit.simulated import Simulated

TICK_S, _IDLE_TICK_S = 0.25, 2.0
_DOWN_S = 0.5
_LOOK_S = 0.05
_CLOCKS = ("dmguard.loop.reconcile", "dmguard.loop.execute", "dmguard.loop.survey")


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
        monkeypatch.setattr("dmguard.loop.observe.lvm", Reports(self))

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
            await asyncio.sleep(_LOOK_S)
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


def _silent(*_: object) -> None:
    pass
