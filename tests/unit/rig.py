"""A reconciler with a fake host, and a clock that a test moves."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from dmguard.core.model import State, Trigger
from dmguard.core.wake import Wake
from dmguard.loop.memory import Memory
from dmguard.loop.reconcile import Reconciler
from dmguard.loop.walk import Done
from tests.unit.builders import make_pool, make_settings, make_state
from tests.unit.fakes import Bench, finish

if TYPE_CHECKING:
    from dmguard.loop.observe import Observer

FINE = make_state(make_pool(50))
TIMER = Wake(Trigger.TIMER)


class Rig:
    """A reconciler at a bench, and a clock that a test moves."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Bench(root, FINE)
        self.observer = self.bench.observer
        self.now = 100.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("dmguard.loop.reconcile.time", clock)
        self.memory = Memory()
        self.within: list[float] = []
        self.again: float | None = None
        self.cycles = 0
        self.loop = Reconciler(
            settings=make_settings(),
            observer=cast("Observer", self.observer),
            executor=self.bench.executor,
            recorder=self.bench.recorder,
            memory=self.memory,
            paths=self.bench.paths,
            books=self.bench.books,
        )
        self.loop.look_within = self.within.append
        self.near: list[bool] = []
        self.loop.expect = self.near.append
        self.loop.published = self._count

    def _count(self) -> None:
        self.cycles += 1

    def cycle(self, *states: State | Exception, wake: Wake = TIMER) -> None:
        """One cycle for each of the states, ten seconds apart."""

        async def work() -> None:
            for state in states:
                self.observer.state = state
                await self.loop.cycle(wake)
                self.now += 10.0
            again = self.loop._again
            loop = asyncio.get_running_loop()
            self.again = None if again is None else again.when() - loop.time()

        asyncio.run(finish(self.bench, work()))

    def run(self, *, cycles: int) -> None:
        """Woken once, until so many cycles are over."""

        def published() -> None:
            self._count()
            if self.cycles >= cycles:
                # Whatever else is due comes before the end.
                asyncio.get_running_loop().call_soon(self.loop.stop)

        async def work() -> None:
            self.loop.wake(TIMER)
            async with asyncio.timeout(10):
                await self.loop.run()

        self.loop.published = published
        asyncio.run(finish(self.bench, work()))

    def hand(self, state: State, *, ok: bool = True) -> None:
        def do() -> Done:
            self.observer.state = state
            return Done(ok)

        self.bench.does = do

    def told(self) -> list[str]:
        return [entry.code for entry in self.bench.told()]
