"""An act that waits for a unit lets the lock go: pools are grown meanwhile, and it is not lost."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from dmguard.app.guard.setup import set_up
from dmguard.core import goals
from dmguard.core.actions import Result
from dmguard.core.model import Trigger
from dmguard.core.settings import Settings
from dmguard.core.steps import MovePath, ProveStopped, UnitStep, UnitVerb, steps_for
from dmguard.edge.files import BusyError, Lock
from dmguard.loop import execute, walk
from dmguard.loop.record import read_history
from dmguard.loop.walk import Done
from tests.unit.builders import make_pool, make_state
from tests.unit.disks import START
from tests.unit.fakes import Bench
from tests.unit.rig import TIMER, Rig
from tests.unit.test_settle import AFTER, BEFORE, CONFIGURE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from dmguard.app.guard.setup import SetUpDone
    from dmguard.app.wiring import Loop
    from dmguard.core.outcome import Outcome
    from dmguard.core.steps import Step

HUNGRY = make_state(make_pool(80))
GROWN = make_state(make_pool(66, size=12_000))


class SetUp(Bench):
    """A process that has a consumer use a pool; systemd does not stop the consumer for a while."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, BEFORE)
        self.is_waiting, self.may_stop = asyncio.Event(), asyncio.Event()
        self.did: list[Step] = []
        self.had_lock: list[bool] = []
        self.started_meanwhile = False

    async def _do_step(self, step: Step) -> Done:
        self.did.append(step)
        self.had_lock.append(is_locked(self))
        if isinstance(step, UnitStep) and step.verb is UnitVerb.STOP:
            self.is_waiting.set()
            await self.may_stop.wait()
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            self.observer.state = AFTER
        if isinstance(step, ProveStopped) and self.started_meanwhile:
            return Done(ok=False, complaint="docker.service was started meanwhile")
        return Done(ok=True)

    def _hand(self, step: Step, lock: int) -> Coroutine[object, object, Done]:
        del lock
        return self._do_step(step)

    async def configure(self) -> Outcome:
        with Lock.acquire(self.paths.lock) as lock:
            return await self.executor.carry_out(CONFIGURE, Trigger.COMMAND, lock)


def is_locked(bench: Bench) -> bool:
    try:
        Lock.acquire(bench.paths.lock).release()
    except BusyError:
        return True
    return False


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_LOOK_PAUSE_S", 0.0)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def run(rig: Rig, tmp_path: Path, work: Callable[[SetUp], Coroutine[object, object, None]]) -> None:
    """With another process on the same paths that sets up."""

    async def main() -> None:
        setup = SetUp(tmp_path)
        try:
            async with asyncio.timeout(20):
                await work(setup)
        finally:
            setup.ink.close()
            rig.bench.ink.close()

    asyncio.run(main())


async def grow(rig: Rig) -> None:
    """The agent looks: a pool is above its threshold."""
    rig.observer.state = HUNGRY
    rig.hand(GROWN)
    await rig.loop.cycle(TIMER)


def test_a_pool_is_grown_while_a_consumer_does_not_stop(rig: Rig, tmp_path: Path) -> None:
    async def work(setup: SetUp) -> None:
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        intent = setup.paths.apart.read_bytes()
        with Lock.acquire(setup.paths.lock):
            await grow(rig)
            assert rig.told() == [], "as long as somebody has the lock"
        await grow(rig)
        assert rig.told() == ["data-extended"]
        # The one is not settled by the other, and neither has written over the other's intent.
        assert rig.loop._settling is None
        assert setup.paths.apart.read_bytes() == intent
        assert not setup.paths.intent.exists()
        assert len(setup.did) == 1
        assert not configuring.done()

        setup.may_stop.set()
        outcome = await configuring
        assert outcome.result is Result.DONE
        assert setup.did == list(steps_for(CONFIGURE))
        waits = [step.lets_go for step in setup.did]
        assert waits == [True, True, False, False, False, False, True]
        assert setup.had_lock == [not wait for wait in waits]
        assert not setup.paths.apart.exists()
        told = [entry.code for entry in read_history(setup.paths)]
        assert told == ["data-extended", "consumer-configured"]

    run(rig, tmp_path, work)


def test_what_is_known_of_the_host_is_read_anew_after_a_wait(rig: Rig, tmp_path: Path) -> None:
    async def work(setup: SetUp) -> None:
        setup.may_stop.set()
        await setup.configure()
        assert setup.observer.forgot == 3

    run(rig, tmp_path, work)


def test_a_consumer_that_somebody_started_meanwhile_keeps_its_folder(
    rig: Rig, tmp_path: Path
) -> None:
    async def work(setup: SetUp) -> None:
        setup.may_stop.set()
        setup.started_meanwhile = True
        outcome = await setup.configure()
        assert outcome.result is Result.FAILED
        assert "started meanwhile" in outcome.detail
        assert not any(isinstance(step, MovePath) for step in setup.did)
        setup.started_meanwhile = False
        assert (await setup.configure()).result is Result.DONE
        assert any(isinstance(step, MovePath) for step in setup.did)

    run(rig, tmp_path, work)


def test_nobody_else_acts_on_the_consumers_meanwhile(rig: Rig, tmp_path: Path) -> None:
    async def work(setup: SetUp) -> None:
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        for executor, action in ((setup.executor, CONFIGURE), (rig.bench.executor, START)):
            with Lock.acquire(setup.paths.lock) as lock, pytest.raises(BusyError):
                await executor.carry_out(action, Trigger.COMMAND, lock)
        assert (len(setup.did), rig.bench.steps) == (1, [])
        setup.may_stop.set()
        assert (await configuring).result is Result.DONE
        with Lock.acquire(setup.paths.lock) as lock:
            await rig.bench.executor.carry_out(START, Trigger.COMMAND, lock)
        assert len(rig.bench.steps) == 2, "afterwards"

    run(rig, tmp_path, work)


def test_an_act_on_a_consumer_that_must_wait_keeps_no_pool_waiting(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(setup: SetUp) -> None:
        due = rig.memory.due
        monkeypatch.setattr(rig.memory, "due", lambda *args: (START, *due(*args)))
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        await grow(rig)
        assert rig.told() == ["data-extended"]
        configuring.cancel()

    run(rig, tmp_path, work)


@pytest.mark.parametrize("stops", [1, 2])
def test_a_death_while_it_waits_is_settled_by_the_agent_and_no_pool_waits_for_that(
    rig: Rig, tmp_path: Path, stops: int
) -> None:
    async def work(setup: SetUp) -> None:
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        configuring.cancel()
        await asyncio.gather(configuring, return_exceptions=True)
        assert json.loads(setup.paths.apart.read_text())["phase"] == "intended"
        assert not is_locked(setup)

        agent = SetUp(tmp_path)
        rig.loop._executor = agent.executor
        rig.observer.state = agent.observer.state = BEFORE
        await rig.loop.cycle(TIMER)
        await agent.is_waiting.wait()
        rig.loop._executor = rig.bench.executor
        for _ in range(stops):
            rig.loop._woken.clear()
            await grow(rig)
        assert rig.told() == ["data-extended"] * stops
        agent.may_stop.set()
        await rig.loop._woken.wait()
        assert agent.did == list(steps_for(CONFIGURE))
        assert [entry.reason for entry in agent.told()] == ["resumed"]
        assert not agent.paths.apart.exists()
        agent.ink.close()

    run(rig, tmp_path, work)


def test_a_lock_that_does_not_come_free_again_leaves_the_act_for_later(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_RETAKE_S", 0.0)

    async def work(setup: SetUp) -> None:
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        with Lock.acquire(setup.paths.lock):
            setup.may_stop.set()
            with pytest.raises(BusyError):
                await configuring
        assert len(setup.did) == 1
        assert read_history(setup.paths) == []
        assert setup.executor.unattended
        with Lock.acquire(setup.paths.lock) as lock:
            await setup.executor.resume_apart(lock)
        told = [(entry.result, entry.reason) for entry in read_history(setup.paths)]
        assert told == [("done", "resumed")]

    run(rig, tmp_path, work)


def test_a_set_up_waits_for_whoever_is_at_what_an_earlier_one_left(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmguard.app.guard.setup._SEAT_S", 0.0)

    async def again(setup: SetUp) -> SetUpDone:
        async def connect() -> None: ...

        loop = SimpleNamespace(
            paths=setup.paths,
            observer=setup.observer,
            settings=Settings(),
            executor=setup.executor,
            recorder=setup.recorder,
        )
        goal = goals.SetUp(disks=("/dev/none",))
        return await set_up(cast("Loop", loop), goal, dry_run=False, connect=connect)

    async def work(setup: SetUp) -> None:
        configuring = asyncio.create_task(setup.configure())
        await setup.is_waiting.wait()
        with pytest.raises(BusyError):
            await again(SetUp(tmp_path))
        configuring.cancel()
        await asyncio.gather(configuring, return_exceptions=True)
        later = SetUp(tmp_path)
        later.may_stop.set()
        done = await again(later)
        assert [entry.reason for entry in later.told()] == ["resumed", "no-such-disk"]
        assert [refusal.code for refusal in done.plan.refusals] == ["no-such-disk"]
        later.ink.close()

    run(rig, tmp_path, work)
