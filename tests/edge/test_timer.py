"""edge/sources/timer, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.sources.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class ClockLoop(asyncio.SelectorEventLoop):
    """Waits for nothing: where it would sleep it turns its clock on to what is due next."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: ClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits and nothing is due"
        self._loop.now += timeout
        return super().select(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    loop = ClockLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        assert asyncio.all_tasks(loop) == set()
        loop.close()


class Running:
    """A timer that runs for the time of a `with`; `at` has the seconds of its wakes."""

    def __init__(self, period_s: float) -> None:
        self.timer = Timer(period_s)
        self.at: list[float] = []
        self.wakes: list[Wake] = []

    def _wake(self, wake: Wake) -> None:
        self.wakes.append(wake)
        self.at.append(round(asyncio.get_running_loop().time() - 1000.0, 3))

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(self.timer.run(self._wake))
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def test_it_wakes_once_a_period() -> None:
    async def main() -> Running:
        async with Running(30) as running:
            await asyncio.sleep(100)
        return running

    running = run(main())
    assert running.at == [30, 60, 90]
    assert running.wakes == [Wake(Trigger.TIMER)] * 3


def test_a_request_brings_the_next_wake_forward_once() -> None:
    async def main() -> list[float]:
        async with Running(30) as running:
            await asyncio.sleep(10)
            running.timer.look_within(5)
            await asyncio.sleep(60)
        return running.at

    assert run(main()) == [15, 45]


def test_a_later_request_postpones_nothing() -> None:
    async def main() -> list[float]:
        async with Running(30) as running:
            running.timer.look_within(5)
            running.timer.look_within(20)
            running.timer.look_within(500)
            await asyncio.sleep(40)
        return running.at

    assert run(main()) == [5, 35]


def test_of_two_requests_the_earlier_counts() -> None:
    async def main() -> list[float]:
        async with Running(30) as running:
            running.timer.look_within(20)
            await asyncio.sleep(1)
            running.timer.look_within(2)
            await asyncio.sleep(20)
        return running.at

    assert run(main()) == [3]


def test_a_request_for_now_wakes_at_once() -> None:
    async def main() -> list[float]:
        async with Running(30) as running:
            await asyncio.sleep(10)
            running.timer.look_within(0)
            await asyncio.sleep(1)
        return running.at

    assert run(main()) == [10]


def test_a_request_from_the_wake_itself_counts_from_then() -> None:
    async def main() -> list[float]:
        running = Running(30)
        original = running._wake

        def wake(wake: Wake) -> None:
            original(wake)
            running.timer.look_within(4)

        running._wake = wake  # type: ignore[method-assign]
        async with running:
            await asyncio.sleep(40)
        return running.at

    assert run(main()) == [30, 34, 38]


def test_a_cancelled_timer_wakes_no_more() -> None:
    async def main() -> list[float]:
        async with Running(30) as running:
            await asyncio.sleep(31)
        await asyncio.sleep(100)
        return running.at

    assert run(main()) == [30]
