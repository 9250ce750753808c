"""Intent, steps, verify, record."""

import asyncio
import json
import os
import shlex
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

import pytest

from dmguard.core.actions import Action, Result, dump_action
from dmguard.core.model import Resource, State, Trigger
from dmguard.core.outcome import Outcome, act_entry
from dmguard.core.steps import steps_for
from dmguard.edge.dm import DmParseError
from dmguard.edge.files import Lock, write_atomic
from dmguard.edge.run import CommandMissingError
from dmguard.loop.intent import boundaries
from dmguard.loop.record import read_history
from dmguard.loop.walk import Done
from tests.unit.builders import in_kernel, make_extend, make_pool, make_refresh, make_state
from tests.unit.disks import ACTIVATE, CLAIM
from tests.unit.fakes import Bench, finish

ACTION = make_extend()
BEFORE = make_state(make_pool(80))
AFTER = make_state(make_pool(66, size=12_000))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, BEFORE)


def run(bench: Bench, work: Coroutine[object, object, Outcome]) -> Outcome:
    return asyncio.run(finish(bench, work))


def act(bench: Bench, action: Action = ACTION) -> Outcome:
    with Lock.acquire(bench.paths.lock) as lock:
        return run(bench, bench.executor.carry_out(action, Trigger.TIMER, lock))


def down(state: State) -> State:
    """The same with its pool inactive."""
    return replace(state, pools=tuple(replace(pool, kernel=None) for pool in state.pools))


def resume(bench: Bench, times: int = 1) -> None:
    async def work() -> None:
        with Lock.acquire(bench.paths.lock) as lock:
            for _ in range(times):
                await bench.executor.resume(lock)

    asyncio.run(finish(bench, work()))


def leave_intent(bench: Bench, **changes: object) -> None:
    values = {"id": "1234", "trigger": "timer", "phase": "intended", "at": 1.0}
    values |= {"action": dump_action(ACTION)} | changes
    write_atomic(bench.paths.intent, json.dumps(values).encode())


def becomes(bench: Bench, state: State | Exception, *, ok: bool = True) -> None:
    """The hand makes the host so, and answers that."""

    def do() -> Done:
        bench.observer.state = state
        return Done(ok, "" if ok else "the command complained")

    bench.does = do


def test_an_act_runs_its_steps_with_the_lock_and_is_done_when_the_kernel_shows_it(
    bench: Bench,
) -> None:
    becomes(bench, AFTER)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.DONE, "above-threshold")
    assert outcome.seconds is not None
    assert bench.steps == [tuple(shlex.split(str(step))) for step in steps_for(ACTION)]
    assert all(lock > 2 for lock in bench.locks)


def test_the_intent_is_there_before_the_first_step_and_gone_after_the_record(
    bench: Bench,
) -> None:
    seen: list[dict[str, object]] = []

    def do() -> Done:
        seen.append(json.loads(bench.paths.intent.read_text()))
        assert read_history(bench.paths) == []
        return Done(ok=True)

    bench.does = do
    act(bench)
    assert [values["phase"] for values in seen] == ["intended"]
    assert seen[0]["action"] == dump_action(ACTION)
    assert not bench.paths.intent.exists()
    (entry,) = read_history(bench.paths)
    assert entry.id == seen[0]["id"]


@pytest.mark.parametrize(
    ("action", "synced"),
    [(ACTION, False), (make_refresh(), False), (CLAIM, True), (ACTIVATE, True)],
    ids=["extend", "refresh", "claim", "activate"],
)
def test_a_writer_does_not_wait_for_the_disk_of_an_intent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, action: Action, *, synced: bool
) -> None:
    """What no writer waits for is on the disk before it begins."""
    ran, on_disk, phases = threading.Event(), list[bool](), list[tuple[str, bool]]()
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if not synced:
            assert ran.wait(20)
        fsync(descriptor)
        on_disk.append(True)

    def do() -> Done:
        phases.append((json.loads(bench.paths.intent.read_text())["phase"], bool(on_disk)))
        assert not bench.ink.late
        ran.set()
        return Done(ok=True)

    monkeypatch.setattr("os.fsync", sync)
    bench.does = do
    act(bench, action)
    assert phases[0] == ("intended", synced)


def test_a_command_that_succeeds_while_the_kernel_does_not_follow_has_failed(
    bench: Bench,
) -> None:
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.FAILED, "act-failed")
    assert "the host did not follow" in outcome.detail
    assert bench.observer.forgot == 1


def test_a_command_that_fails_while_the_target_is_met_was_done_by_another(bench: Bench) -> None:
    becomes(bench, AFTER, ok=False)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.DONE, "grown-elsewhere")


def test_a_command_that_fails_is_told_in_its_own_words(bench: Bench) -> None:
    becomes(bench, BEFORE, ok=False)
    assert act(bench).detail == "the command complained"
    (entry,) = bench.told()
    assert "the command complained" in entry.message
    assert bench.journal.sent[0]["DMGUARD_RESULT"] == "failed"


@pytest.mark.parametrize("error", [CommandMissingError(["lvm"]), OSError("no memory")])
def test_a_hand_that_raises_is_a_failure_and_no_more(bench: Bench, error: Exception) -> None:
    def do() -> Done:
        raise error

    bench.does = do
    outcome = act(bench)
    assert (outcome.result, outcome.detail) == (Result.FAILED, str(error))
    assert not bench.paths.intent.exists()


@pytest.mark.parametrize("error", [DmParseError("not a table"), OSError("no memory")])
def test_an_act_whose_outcome_cannot_be_read_has_failed(bench: Bench, error: Exception) -> None:
    becomes(bench, error)
    outcome = act(bench)
    assert (outcome.result, outcome.detail) == (Result.FAILED, str(error))
    assert not bench.paths.intent.exists()


def test_what_became_of_an_act_is_read_without_lvm(bench: Bench) -> None:
    becomes(bench, AFTER)
    act(bench)
    assert bench.observer.looks == []


def test_a_pool_that_is_gone_is_not_a_success(bench: Bench) -> None:
    becomes(bench, make_state())
    assert act(bench).result is Result.FAILED


METADATA = make_extend(Resource.METADATA, 100, 120)


@pytest.mark.parametrize(
    ("action", "state", "result"),
    [
        (METADATA, make_state(make_pool(metadata_size=116)), Result.FAILED),
        (METADATA, make_state(make_pool(metadata_size=120)), Result.DONE),
        (make_refresh(), make_state(in_kernel(make_pool(), low_water=0)), Result.FAILED),
        (make_refresh(), make_state(make_pool()), Result.DONE),
    ],
)
def test_metadata_and_marks_are_verified_in_the_kernel_too(
    bench: Bench, action: Action, state: State, result: Result
) -> None:
    bench.observer.state = state
    assert act(bench, action).result is result


@pytest.mark.parametrize(
    ("state", "result", "reason"),
    [
        (AFTER, "done", "resumed"),
        (BEFORE, "failed", "act-interrupted"),
        # After a power cut a pool may be down: then LVM's metadata tells.
        (down(AFTER), "done", "resumed"),
        (down(BEFORE), "failed", "act-interrupted"),
    ],
)
def test_an_interrupted_act_is_told_once_and_never_twice(
    bench: Bench, state: State, result: str, reason: str
) -> None:
    leave_intent(bench)
    bench.observer.state = state
    resume(bench, times=2)
    (entry,) = read_history(bench.paths)
    assert (entry.id, entry.result, entry.reason) == ("1234", result, reason)
    assert len(bench.journal.sent) == 1
    assert bench.steps == []
    assert bench.observer.looks == [True]


def test_an_act_that_was_recorded_before_the_crash_is_not_told_again(bench: Bench) -> None:
    leave_intent(bench)
    entry = act_entry(ACTION, Outcome(Result.DONE, "above-threshold"), Trigger.TIMER)
    line = json.dumps(entry.as_values() | {"id": "1234"})
    bench.paths.history.write_text(line + "\n")
    resume(bench)
    assert len(read_history(bench.paths)) == 1
    assert not bench.paths.intent.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"action": {"act": "x"}}'])
def test_an_intent_that_is_none_is_forgotten(bench: Bench, content: str) -> None:
    write_atomic(bench.paths.intent, content.encode())
    resume(bench)
    assert not bench.paths.intent.exists()
    assert bench.journal.sent == []


def test_without_an_intent_nothing_is_looked_at(bench: Bench) -> None:
    resume(bench)
    assert bench.observer.looks == []


def test_the_boundaries_of_an_act_are_every_point_between_two_effects() -> None:
    for action in (ACTION, make_refresh()):
        names = boundaries(action)
        assert names == ("intended", "step-1", "ran-1", "recorded", "cleared")
        assert len(names) == 3 + 2 * len(steps_for(action))


@pytest.fixture
def torn(bench: Bench) -> Bench:
    becomes(bench, AFTER)
    act(bench)
    with bench.paths.history.open("a") as history:
        history.write('{"code": "data-ext')
    return Bench(bench.paths.lib.parent, AFTER)


def test_the_history_survives_a_torn_last_line(torn: Bench) -> None:
    assert [entry.code for entry in read_history(torn.paths)] == ["data-extended"]
    act(torn)
    assert [entry.code for entry in read_history(torn.paths)] == ["data-extended"] * 2


def test_an_own_intent_that_cannot_be_removed_is_not_taken_for_an_interrupted_act(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("dmguard.loop.execute.files.remove", refuse)
    becomes(bench, AFTER)

    async def work() -> None:
        with Lock.acquire(bench.paths.lock) as lock:
            await bench.executor.carry_out(ACTION, Trigger.TIMER, lock)
            assert bench.paths.intent.exists()
            assert not bench.executor.interrupted
            await bench.executor.resume(lock)

    asyncio.run(finish(bench, work()))
    assert [entry.reason for entry in bench.told()] == ["above-threshold"]


def test_an_intent_of_another_version_with_an_unknown_reason_is_forgotten(bench: Bench) -> None:
    leave_intent(bench, action=dump_action(ACTION) | {"reason": "from-the-future"})
    resume(bench)
    assert bench.told() == []
    assert not bench.paths.intent.exists()


def test_a_lock_that_another_command_holds_is_told_as_that(bench: Bench) -> None:
    becomes(bench, BEFORE, ok=False)
    bench.does = lambda: Done(ok=False, complaint="Can't get lock for vg.", code="vg-busy")
    assert act(bench).reason == "vg-busy"
    assert [entry.code for entry in bench.told()] == ["vg-busy"]


def test_a_lock_that_is_held_on_is_told_once_until_it_was_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act_locked() -> list[str]:
        bench.observer.state = BEFORE
        bench.does = lambda: Done(ok=False, complaint="Can't get lock for vg.", code="vg-busy")
        assert act(bench).reason == "vg-busy"
        assert not bench.paths.intent.exists()
        return [entry.code for entry in bench.told()]

    assert act_locked() == act_locked() == ["vg-busy"]
    becomes(bench, AFTER)
    act(bench)
    assert act_locked() == ["vg-busy", "data-extended", "vg-busy"]
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 3600)
    assert act_locked()[3:] == ["vg-busy"], "nothing was tried meanwhile: it is another time"
