"""An act that was interrupted, or failed, is completed, taken back, or kept for who can."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from dmguard.core.actions import Configure, Result, dump_action
from dmguard.core.host import FileText, Host
from dmguard.core.model import State, Trigger
from dmguard.core.steps import (
    Lvm,
    MoveBack,
    MovePath,
    ProveStopped,
    PutFile,
    Step,
    UnitStep,
    UnitVerb,
    digest,
    steps_for,
    undo_for,
)
from dmguard.edge.files import Lock, write_atomic
from dmguard.edge.run import CommandMissingError
from dmguard.loop import execute, walk
from dmguard.loop.execute import Executor
from dmguard.loop.intent import INTENDED, boundaries, dump_intent
from dmguard.loop.record import read_history
from dmguard.loop.walk import UNREACHABLE, Done
from tests.unit.builders import in_kernel, make_extend, make_pool, make_state
from tests.unit.fakes import Bench, finish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dmguard.core.actions import Action
    from dmguard.core.outcome import Outcome
    from dmguard.loop.observe import Observer

CONFIGURE = Configure(
    consumer="docker",
    units=("docker.socket", "docker.service"),
    vg="docker",
    pool="docker/thinpool",
    dm_name="docker-thinpool",
    path="/etc/docker/daemon.json",
    text="new",
    old="old",
    data="/var/lib/docker",
    aside="/var/lib/docker.before-docker-thinpool",
)
BEFORE = State((), (), host=Host(files={CONFIGURE.path: FileText("old")}))
AFTER = replace(
    BEFORE,
    host=Host(files={CONFIGURE.path: FileText("new")}, serving={"docker": "docker-thinpool"}),
)


class Watched(Bench):
    """A bench whose hand says how each step ends, and keeps the steps."""

    def __init__(self, root: Path, ends: Callable[[Step], Done]) -> None:
        super().__init__(root, BEFORE)
        self.ends = ends
        self.did: list[Step] = []

    def _hand(self, step: Step, lock: int) -> asyncio.Future[Done]:
        del lock
        self.did.append(step)
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self.ends(step))
        except OSError as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_PAUSE_S", "_FINISH_PAUSE_S"):
        monkeypatch.setattr(execute, name, 0.0)
    monkeypatch.setattr(walk, "_BUSY_PAUSE_S", 0.0)


def start_fails(step: Step) -> Done:
    """Docker does not start with the pool, and starts without it."""
    if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
        return Done(ok=False, complaint="docker.service is failed")
    return Done(ok=True)


def act(bench: Bench, action: Action = CONFIGURE) -> Outcome:
    async def work() -> Outcome:
        with Lock.acquire(bench.paths.lock) as lock:
            return await bench.executor.carry_out(action, Trigger.COMMAND, lock)

    return asyncio.run(finish(bench, work()))


def resume(bench: Bench) -> None:
    async def work() -> None:
        with Lock.acquire(bench.paths.lock) as lock:
            await bench.executor.resume(lock)
            await bench.executor.resume_apart(lock)

    asyncio.run(finish(bench, work()))


def leave_intent(bench: Bench, phase: str) -> None:
    values = {"id": "1234", "trigger": "command", "phase": phase, "at": 1.0}
    write_atomic(
        bench.paths.apart, json.dumps(values | {"action": dump_action(CONFIGURE)}).encode()
    )


UNDO = undo_for(CONFIGURE, len(steps_for(CONFIGURE)), BEFORE)


def test_a_consumer_that_does_not_start_is_taken_back(tmp_path: Path) -> None:
    bench = Watched(tmp_path, start_fails)
    outcome = act(bench)
    assert (outcome.result, outcome.detail) == (Result.FAILED, "docker.service is failed")
    steps = steps_for(CONFIGURE)
    assert bench.did[: len(steps)] == list(steps)
    assert bench.did[len(steps) :] == list(UNDO)
    assert PutFile(CONFIGURE.path, "old", digest("new")) in UNDO
    assert MoveBack(CONFIGURE.aside, CONFIGURE.data) in UNDO


PHASES = ["intended", *(f"ran-{n}" for n in range(1, len(steps_for(CONFIGURE)) + 1))]


@pytest.mark.parametrize("phase", PHASES)
def test_what_a_crash_left_is_completed_from_every_point(tmp_path: Path, phase: str) -> None:
    def ends(step: Step) -> Done:
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            bench.observer.state = AFTER
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    leave_intent(bench, phase)
    resume(bench)
    assert bench.did == list(steps_for(CONFIGURE))
    (entry,) = read_history(bench.paths)
    assert (entry.result, entry.reason) == ("done", "resumed")
    assert not bench.paths.apart.exists()


@pytest.mark.parametrize("phase", PHASES)
def test_what_cannot_be_completed_is_taken_back_from_every_point(
    tmp_path: Path, phase: str
) -> None:
    bench = Watched(tmp_path, start_fails)
    leave_intent(bench, phase)
    resume(bench)
    assert bench.did[-len(UNDO) :] == list(UNDO)
    (entry, last) = read_history(bench.paths)
    assert {entry.reason, last.reason} == {"undo-failed", "act-interrupted"}
    assert not bench.paths.apart.exists()


def test_one_step_that_is_not_undone_keeps_no_other_from_it(tmp_path: Path) -> None:
    """A tool that manages files wrote it meanwhile; the data goes back and Docker is started."""
    started = 0

    def ends(step: Step) -> Done:
        nonlocal started
        if isinstance(step, PutFile) and step.text == "old":
            return Done(ok=False, complaint="changed meanwhile", code="file-changed")
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            started += 1
            return Done(ok=started > 1, complaint="" if started > 1 else "failed")
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    act(bench)
    assert bench.did[-len(UNDO) :] == list(UNDO)
    told = [entry.reason for entry in read_history(bench.paths)]
    assert told == ["undo-failed", "act-failed"]


def test_nothing_is_put_back_under_a_consumer_that_still_runs(tmp_path: Path) -> None:
    """It neither starts within its time nor stops; the rest is done once it has stopped."""
    hangs = True

    def ends(step: Step) -> Done:
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START and hangs:
            return Done(ok=False, complaint="it is activating")
        if isinstance(step, ProveStopped) and bench.did.count(step) > 1 and hangs:
            return Done(ok=False, complaint="it is deactivating")
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    assert act(bench).result is Result.FAILED
    begun = len(steps_for(CONFIGURE))
    assert [type(step) for step in bench.did[begun:]] == [UnitStep, UnitStep, ProveStopped]
    assert [entry.reason for entry in read_history(bench.paths)] == ["undo-failed"]
    assert bench.executor.unattended, "it is still to be settled"

    hangs = False
    bench.did.clear()
    resume(bench)
    assert MoveBack(CONFIGURE.aside, CONFIGURE.data) in bench.did
    assert not bench.paths.apart.exists()


SUSPENDED = make_state(in_kernel(make_pool(80), suspended=True))


def test_a_pool_that_a_command_left_suspended_behind_a_lock_is_loaded_once_it_is_free(
    tmp_path: Path,
) -> None:
    """Another's command holds the group's lock. That is no failure, and the writers wait."""
    is_held = True

    def ends(step: Step) -> Done:
        assert isinstance(step, Lvm)
        if step.argv[0] == "lvextend":
            return Done(ok=False, complaint="lvm ended with status -9")
        if is_held:
            return Done(ok=False, complaint="Can't get lock for vg.", code="vg-busy")
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    bench.observer.state = SUSPENDED
    outcome = act(bench, make_extend())
    assert (outcome.result, outcome.reason) == (Result.FAILED, "vg-busy")
    assert [entry.reason for entry in read_history(bench.paths)] == ["vg-busy"]
    assert bench.paths.left.exists(), "an act of another pool writes an intent of its own"
    assert not bench.paths.intent.exists()
    assert not bench.executor.interrupted, "not at once"
    wait = bench.executor.settle_in
    assert wait is not None
    assert 1 < wait <= 2

    resume(bench)
    assert [entry.reason for entry in read_history(bench.paths)] == ["vg-busy"], "told once"
    assert bench.paths.left.exists()

    is_held = False
    bench.did.clear()
    resume(bench)
    assert bench.did == list(undo_for(make_extend(), 0, SUSPENDED))
    assert [entry.reason for entry in read_history(bench.paths)] == ["vg-busy", "act-interrupted"]
    assert not bench.paths.intent.exists()
    assert not bench.paths.left.exists()
    assert bench.executor.settle_in is None


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_what_lvm_had_committed_is_done_when_the_half_of_it_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_interrupted: bool
) -> None:
    extend = make_extend()

    def ends(step: Step) -> Done:
        assert isinstance(step, Lvm)
        if step.argv[0] == "lvextend":
            return Done(ok=False, complaint="lvm ended with status -9")
        bench.observer.state = make_state(make_pool(80, size=12_000))
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    bench.observer.state = SUSPENDED
    if is_interrupted:
        write_atomic(bench.paths.intent, dump_intent(extend, Trigger.DM_EVENT, "one", INTENDED))
        resume(bench)
    else:
        assert act(bench, extend).result is Result.DONE
    (entry,) = read_history(bench.paths)
    why = "resumed" if is_interrupted else extend.reason
    assert (entry.result, entry.reason) == (Result.DONE, why)
    assert "taken back" not in caplog.text
    assert not bench.paths.intent.exists()


def test_a_folder_that_was_made_anew_is_not_moved_once_more(tmp_path: Path) -> None:
    """The power was cut when all was done: Docker was started with the pool, and with the boot."""

    def ends(step: Step) -> Done:
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            bench.observer.state = AFTER
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    assert AFTER.host is not None
    bench.observer.state = replace(AFTER, host=replace(AFTER.host, serving={}))
    leave_intent(bench, "ran-4")
    resume(bench)
    assert bench.did
    assert not any(isinstance(step, (MovePath, MoveBack)) for step in bench.did)
    (entry,) = read_history(bench.paths)
    assert (entry.result, entry.reason) == ("done", "resumed")


def test_what_cannot_be_told_is_not_taken_back(tmp_path: Path) -> None:
    """Docker may be running on the pool by now."""

    def ends(step: Step) -> Done:
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            bench.observer.state = CommandMissingError(["lvm"])
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    assert act(bench).result is Result.FAILED
    assert bench.did == list(steps_for(CONFIGURE))


@pytest.mark.parametrize("phase", [PHASES[0], PHASES[-2], PHASES[-1]])
def test_a_consumer_that_does_not_answer_is_left_until_it_does(tmp_path: Path, phase: str) -> None:
    """It is configured as it should be, and was started with the boot: it is not stopped again."""
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    assert AFTER.host is not None
    silent = replace(AFTER, host=replace(AFTER.host, serving={"docker": None}))
    bench.observer.state = silent
    leave_intent(bench, phase)
    resume(bench)
    assert bench.did == []
    assert not read_history(bench.paths)
    assert bench.paths.apart.exists(), "it is still to be settled"

    bench.observer.state = AFTER
    resume(bench)
    assert bench.did == []
    (entry,) = read_history(bench.paths)
    assert (entry.result, entry.reason) == ("done", "resumed")
    assert not bench.paths.apart.exists()


def test_a_consumer_that_does_not_answer_after_its_start_is_not_taken_back(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    assert AFTER.host is not None
    bench.observer.state = replace(AFTER, host=replace(AFTER.host, serving={"docker": None}))
    assert act(bench).result is not Result.DONE
    assert bench.did == list(steps_for(CONFIGURE))
    bench.did.clear()
    bench.observer.state = replace(AFTER, host=replace(AFTER.host, serving={"docker": ""}))
    assert act(bench).result is not Result.DONE
    assert bench.did[-len(UNDO) :] == list(UNDO), "one that says it uses none is"


def test_a_consumer_that_answers_late_is_asked_again(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    states = [BEFORE, BEFORE, AFTER]

    async def look(**_: Any) -> State:
        return states.pop(0)

    bench.observer.look = look  # type: ignore[method-assign] # a host that changes by itself
    assert act(bench).result is Result.DONE
    assert states == []


def with_hands(bench: Bench, *kinds: type[Step]) -> Executor:
    """Another command's executor, which has these hands alone."""
    hands = dict.fromkeys(kinds, bench._hand)
    observer = cast("Observer", bench.observer)
    return Executor(hands, observer, bench.recorder, bench.ink, bench.paths)


def test_an_intent_without_hands_for_it_is_kept_for_who_has_them(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    bench.observer.state = AFTER
    leave_intent(bench, "ran-1")
    poor = with_hands(bench, Lvm)

    async def work() -> None:
        with Lock.acquire(bench.paths.lock) as lock:
            seen = [poor.unattended]
            await poor.resume(lock)
            await poor.resume_apart(lock)
            assert bench.paths.apart.exists()
            seen.append(poor.unattended)
            assert seen == [True, False], "not at once"
            assert read_history(bench.paths) == []
            assert bench.executor.unattended
            await bench.executor.resume_apart(lock)

    asyncio.run(finish(bench, work()))
    assert not bench.paths.apart.exists()
    (entry,) = read_history(bench.paths)
    assert (entry.id, entry.reason) == ("1234", "resumed")


def test_without_a_bus_it_is_tried_again_and_not_forgotten(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=False, complaint="no bus", code=UNREACHABLE))
    leave_intent(bench, "ran-1")
    resume(bench)
    assert bench.paths.apart.exists()
    assert read_history(bench.paths) == []
    assert len(bench.did) == 1, "nothing is taken back that was not asked for"
    assert not bench.executor.unattended, "not at once"
    # Nor is it written over by another act of the kind.
    before = bench.paths.apart.read_bytes()
    assert act(bench).reason == UNREACHABLE
    assert bench.paths.apart.read_bytes() == before
    assert len(bench.did) == 1


def test_every_boundary_of_it_is_one_of_these_phases() -> None:
    ran = [name for name in boundaries(CONFIGURE) if name.startswith("ran-")]
    assert ran == PHASES[1:]


def test_a_bus_that_goes_away_in_the_middle_keeps_the_intent(tmp_path: Path) -> None:
    def ends(step: Step) -> Done:
        if isinstance(step, UnitStep) and step.verb is UnitVerb.START:
            return Done(ok=False, complaint="no bus", code=UNREACHABLE)
        return Done(ok=True)

    bench = Watched(tmp_path, ends)
    assert act(bench).reason == UNREACHABLE
    assert bench.did == list(steps_for(CONFIGURE)), "and nothing is taken back"
    assert bench.paths.apart.exists()
    assert bench.executor.unattended
    assert read_history(bench.paths) == [], "it is told when it is settled"


def test_without_a_bus_nothing_is_begun_and_nothing_kept(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=False, complaint="no bus", code=UNREACHABLE))
    assert act(bench).result is Result.FAILED
    assert len(bench.did) == 1
    assert not bench.paths.apart.exists()


def test_of_two_intents_neither_is_lost(tmp_path: Path) -> None:
    """One that was left for another, and one of an act that was interrupted after that."""
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    bench.observer.state = AFTER
    leave_intent(bench, "ran-1")
    bench.paths.apart.rename(bench.paths.left)
    values = json.loads(bench.paths.left.read_text())
    write_atomic(bench.paths.intent, json.dumps(values | {"id": "5678"}).encode())
    resume(bench)
    assert [entry.id for entry in read_history(bench.paths)] == ["5678", "1234"]
    assert not bench.paths.left.exists()
    assert not bench.paths.intent.exists()


def test_a_set_up_whose_intent_cannot_be_written_is_not_begun(tmp_path: Path) -> None:
    """After a power cut nobody would know that Docker was stopped. A pool grows all the same."""
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    bench.observer.state = AFTER
    tmp_path.joinpath("lib").write_text("no folder, so that nothing can be written in it")
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "intent-not-written")
    assert bench.did == []
    assert [entry.reason for entry in bench.told()] == ["intent-not-written"]
    grow = make_extend()
    act(bench, grow)
    assert bench.did == list(steps_for(grow))


def test_an_intent_that_was_late_is_not_left_behind(tmp_path: Path) -> None:
    bench = Watched(tmp_path, lambda _: Done(ok=True))
    bench.ink._patience_s = 0.0
    free = threading.Event()

    def wait() -> None:
        free.wait(60)

    async def work() -> Outcome:
        await bench.ink.write(wait)
        with Lock.acquire(bench.paths.lock) as lock:
            outcome = await bench.executor.carry_out(CONFIGURE, Trigger.COMMAND, lock)
        assert not bench.paths.history.exists(), "the disk has written nothing yet"
        free.set()
        bench.ink.late = False
        await asyncio.to_thread(bench.ink.close)
        return outcome

    outcome = asyncio.run(work())
    assert (outcome.reason, bench.did) == ("intent-not-written", [])
    assert read_history(bench.paths), "what was queued was written"
    assert not bench.paths.apart.exists()
