"""How often an activation looks, and with the lock or without: it is what a boot waits for."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from dmguard.app.guard.activate import Activated, activate
from dmguard.core.model import Pool, State, Trigger
from dmguard.core.settings import Settings
from dmguard.edge.files import Lock
from dmguard.loop.turn import is_held
from dmguard.loop.walk import Done
from tests.unit.builders import make_pool, make_state
from tests.unit.fakes import Bench, finish

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop

UP = make_pool()
DOWN = replace(UP, kernel=None)
OTHER = replace(UP, lv=replace(UP.lv, name="other", uuid="other"))


class Boot:
    """A host with these pools, whose activation brings up all of them."""

    def __init__(self, root: Path, *pools: Pool) -> None:
        self.bench = Bench(root, make_state(*pools))
        self.bench.does = self._come_up
        self.held: list[bool] = []
        self.look = self.bench.observer.look
        self.bench.observer.look = self._look  # type: ignore[method-assign, assignment]

    def _come_up(self) -> Done:
        self.bench.observer.state = make_state(UP, OTHER)
        return Done(ok=True)

    async def _look(self, *, fresh: bool) -> State:
        """The lock is held by the one that looks, or by nobody: nobody else has it here."""
        self.held.append(is_held(self.bench.paths.lock))
        return await self.look(fresh=fresh)

    def activate(self) -> Activated:
        bench = self.bench
        loop = SimpleNamespace(
            settings=Settings(), paths=bench.paths, observer=bench.observer, books=bench.books,
            executor=bench.executor, recorder=bench.recorder,
            reconciler=SimpleNamespace(state=None),
        )  # fmt: skip
        work = activate(cast("Loop", loop), (), timeout_s=0, trigger=Trigger.COMMAND)
        return asyncio.run(finish(bench, work))


@pytest.fixture
def boot(tmp_path: Path) -> Callable[..., Boot]:
    return lambda *pools: Boot(tmp_path, *pools)


def test_while_the_kernel_runs_no_pool_one_look_with_the_lock_is_enough(
    boot: Callable[..., Boot],
) -> None:
    host = boot(DOWN)
    result = host.activate()
    assert result.complete
    assert host.bench.steps != []
    assert host.held == [True]
    assert not is_held(host.bench.paths.lock)


def test_while_a_pool_may_have_to_grow_the_lock_is_taken_for_an_act_alone(
    boot: Callable[..., Boot],
) -> None:
    host = boot(DOWN, OTHER)
    assert host.activate().complete
    assert host.held == [False, True]


def test_where_nothing_is_to_be_done_the_lock_is_not_waited_for(
    boot: Callable[..., Boot],
) -> None:
    host = boot()
    with Lock.acquire(host.bench.paths.lock):
        assert host.activate().complete
    assert host.held == [True]  # by another
