"""Acts of several steps: how far they came is known, and half of one is taken back."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dmguard.core.actions import (
    Action,
    CreateVg,
    DiskRef,
    EditFile,
    RepairPool,
    Result,
    dump_action,
)
from dmguard.core.entry import Entry
from dmguard.core.host import AGENT, FileText, Host, UnitFacts
from dmguard.core.model import Mode, State, Trigger
from dmguard.core.outcome import Outcome
from dmguard.core.steps import after_for, steps_for
from dmguard.edge.files import Lock, append_line, boot_id, write_atomic
from dmguard.loop.intent import boundaries
from dmguard.loop.record import read_history
from dmguard.loop.walk import Done
from tests.unit.builders import in_kernel, make_pool, make_state
from tests.unit.disks import ACTIVATE, CLAIM, DISK, RESIZE, START, consumer, host, make_disk, vg_of
from tests.unit.fakes import Bench, finish

HOME = make_disk("a")
BEFORE = host(HOME, DISK)
AFTER = host(HOME, DISK, vg=vg_of(HOME, DISK))
REFUSED = Done(ok=False, complaint="Device is in use", code="disk-refused-by-lvm")
BUSY = Done(ok=False, complaint="Can't get lock for vg", code="vg-busy")
FAILED = Done(ok=False, complaint="Input/output error")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, BEFORE)


def answers(bench: Bench, *done: Done, then: State | None = None) -> list[str]:
    """Each step gets the next answer; the phases that the intent file had before each."""
    left, phases = list(done), []

    def do() -> Done:
        phases.append(json.loads(bench.paths.intent.read_text())["phase"])
        answer = left.pop(0) if left else Done(ok=True)
        if then is not None and not left:
            bench.observer.state = then
        return answer

    bench.does = do
    return phases


def act(bench: Bench, action: Action = CLAIM) -> Outcome:
    with Lock.acquire(bench.paths.lock) as lock:
        work = bench.executor.carry_out(action, Trigger.UDEV, lock)
        return asyncio.run(finish(bench, work))


def ran(bench: Bench) -> list[str]:
    return [
        step[0] if len(step) > 1 else "unmake" if "blank the PV's label" in step[0] else "prove"
        for step in bench.steps
    ]


OK = Done(ok=True)
UNIT = "docker.service"


def test_a_claim_is_proved_made_told_and_tagged_and_each_step_is_noted(bench: Bench) -> None:
    told: list[int] = []
    phases = answers(bench, OK, OK, then=AFTER)
    does = bench.does

    def do() -> Done:
        told.append(len(bench.told()))
        return does()

    bench.does = do
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.DONE, "disk-matches")
    assert ran(bench) == ["prove", "vgextend", "pvchange"]
    assert (phases, told) == (["intended", "ran-1", "ran-2"], [0, 0, 1])
    assert not bench.paths.intent.exists()
    assert bench.observer.looks == [True]
    (entry,) = bench.told()
    assert (entry.code, entry.disk, entry.vg) == ("disk-claimed", "/dev/sdb", "vg")


def test_a_disk_that_changed_is_not_touched_and_that_is_a_refusal(bench: Bench) -> None:
    changed = Done(ok=False, complaint="not blank and unused", code="disk-changed")
    phases = answers(bench, changed)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "disk-changed")
    assert (ran(bench), phases) == (["prove"], ["intended"])
    assert [entry.code for entry in bench.told()] == ["disk-changed"]


@pytest.mark.parametrize(
    ("done", "result", "reason"),
    [
        (REFUSED, Result.REFUSED, "disk-refused-by-lvm"),
        (FAILED, Result.FAILED, "act-failed"),
    ],
)
def test_a_claim_that_stops_half_way_is_taken_back_after_the_proof_of_it(
    bench: Bench, done: Done, result: Result, reason: str
) -> None:
    phases = answers(bench, OK, done)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (result, reason)
    assert ran(bench) == ["prove", "vgextend", "prove", "unmake"]
    # The phase says what the act did, not what its undoing did.
    assert phases == ["intended", "ran-1", "ran-1", "ran-1"]
    assert not bench.paths.intent.exists()


def test_where_the_lock_was_held_nothing_is_taken_back(bench: Bench) -> None:
    answers(bench, *[OK, BUSY] * 6)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.FAILED, "vg-busy")
    assert ran(bench) == ["prove", "vgextend"] * 6


def test_after_a_wait_for_the_lock_the_disk_is_proved_anew(bench: Bench) -> None:
    phases = answers(bench, OK, BUSY, OK, OK, then=AFTER)
    assert act(bench).result is Result.DONE
    assert ran(bench) == ["prove", "vgextend", "prove", "vgextend", "pvchange"]
    assert phases == ["intended", "ran-1", "ran-1", "ran-1", "ran-2"]


def test_what_someone_made_of_the_disk_meanwhile_is_not_taken_back(bench: Bench) -> None:
    changed = Done(ok=False, code="disk-changed")
    answers(bench, OK, BUSY, changed)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "disk-changed")
    assert ran(bench) == ["prove", "vgextend", "prove"]


def test_what_cannot_be_proved_to_be_half_a_claim_is_left(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    answers(bench, OK, REFUSED, Done(ok=False, complaint="not a PV"))
    assert act(bench).result is Result.REFUSED
    assert ran(bench) == ["prove", "vgextend", "prove"]
    assert "nothing is taken back: not a PV" in caplog.text
    assert "was taken back" not in caplog.text


def test_a_disk_that_udev_still_looks_at_is_proved_again_before_it_is_left(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmguard.loop.execute._FINISH_PAUSE_S", 0.0)
    changed = Done(ok=False, complaint="something happened", code="disk-changed")
    answers(bench, OK, FAILED, changed, changed)
    assert act(bench).result is Result.FAILED
    assert ran(bench) == ["prove", "vgextend", "prove", "prove", "prove", "unmake"]
    assert "what was half done was taken back" in caplog.text
    bench.steps.clear()
    answers(bench, OK, FAILED, *[changed] * 3)
    assert act(bench).result is Result.FAILED
    assert ran(bench) == ["prove", "vgextend", "prove", "prove", "prove"]


def test_a_claim_is_done_though_its_tag_failed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    answers(bench, OK, OK, then=AFTER)
    does = bench.does
    bench.does = lambda: FAILED if len(bench.steps) == 3 else does()
    assert act(bench).result is Result.DONE
    assert ran(bench) == ["prove", "vgextend", "pvchange"]
    assert [entry.result for entry in bench.told()] == ["done"]
    assert "/dev/sdb: pvchange" in caplog.text
    assert "Input/output error" in caplog.text
    assert not bench.paths.intent.exists()


def test_a_claim_that_another_did_is_told_as_that_and_not_tagged(bench: Bench) -> None:
    answers(bench, Done(ok=False, code="disk-changed"), then=AFTER)
    outcome = act(bench)
    assert (outcome.result, outcome.reason) == (Result.DONE, "done-elsewhere")
    assert ran(bench) == ["prove"]


def test_nothing_is_taken_back_of_another_act(bench: Bench) -> None:
    answers(bench, FAILED)
    assert act(bench, RESIZE).result is Result.FAILED
    assert ran(bench) == ["pvresize"]


@pytest.mark.parametrize(
    ("action", "state", "looks"),
    [
        (START, State((), (), consumers=(consumer("active"),)), [(False, True)]),
        (ACTIVATE, BEFORE, []),
    ],
)
def test_a_unit_is_proved_by_systemd_and_a_pool_by_the_kernel(
    bench: Bench, action: Action, state: State, looks: list[tuple[bool, bool]]
) -> None:
    bench.observer.state = state
    assert act(bench, action).result is Result.DONE
    assert bench.observer.read == looks
    assert bench.observer.looks == [False] * len(looks)


def leave_intent(bench: Bench, phase: str, action: object = None, **more: str) -> None:
    values = {"id": "1234", "trigger": "udev", "phase": phase, "at": 1.0, **more}
    values["action"] = action or dump_action(CLAIM)
    write_atomic(bench.paths.intent, json.dumps(values).encode())


def resume(bench: Bench) -> None:
    async def work() -> None:
        with Lock.acquire(bench.paths.lock) as lock:
            await bench.executor.resume(lock)

    asyncio.run(finish(bench, work()))


FINISH = ["prove", "unmake", "prove", "vgextend"]
RESUMES: list[tuple[str, State, list[str], str]] = [
    ("intended", BEFORE, [], "act-interrupted"),
    ("ran-1", BEFORE, [*FINISH, "prove", "unmake"], "act-interrupted"),
    ("ran-2", BEFORE, [*FINISH, "prove", "unmake"], "act-interrupted"),
    ("ran-1", AFTER, ["pvchange"], "resumed"),
    ("ran-2", AFTER, ["pvchange"], "resumed"),
    ("intended", AFTER, [], "resumed"),
    ("ran-1", host(HOME), [], "act-interrupted"),
]


@pytest.mark.parametrize(("phase", "state", "steps", "reason"), RESUMES)
def test_an_interrupted_claim_is_told_and_its_half_taken_back(
    bench: Bench, phase: str, state: State, steps: list[str], reason: str
) -> None:
    leave_intent(bench, phase)
    bench.observer.state = state
    resume(bench)
    assert ran(bench) == steps
    assert bench.observer.read[0] == (True, False)
    assert [(entry.id, entry.reason) for entry in read_history(bench.paths)] == [("1234", reason)]
    assert not bench.paths.intent.exists()


def test_an_interrupted_claim_whose_label_is_there_is_completed(bench: Bench) -> None:
    leave_intent(bench, "ran-1")
    bench.observer.state = BEFORE

    def do() -> Done:
        if len(bench.steps) == len(FINISH):
            bench.observer.state = AFTER
        return Done(ok=True)

    bench.does = do
    resume(bench)
    assert ran(bench) == [*FINISH, "pvchange"]
    (entry,) = read_history(bench.paths)
    assert (entry.code, entry.result, entry.reason) == ("disk-claimed", "done", "resumed")


NAMELESS = make_disk("b", serial="", wwn="", path="")
"""A disk that nothing but its name tells from others, as in Xen."""


@pytest.mark.parametrize("action", ["claim", "group"])
@pytest.mark.parametrize(
    ("boot", "seq", "is_taken_back"),
    [("same", 16, True), ("same", 17, False), ("other", 16, False), ("none", 16, False)],
)
def test_a_disk_that_is_told_by_its_name_alone_is_the_same_only_in_the_same_boot(
    bench: Bench,
    action: str,
    boot: str,
    seq: int,
    is_taken_back: bool,  # noqa: FBT001
) -> None:
    """Another may have its name, and its number in the kernel's order, after the next."""
    assert NAMELESS.identity == "name:sdb"
    claim = replace(CLAIM, identity="name:sdb", diskseq=16, size=NAMELESS.size)
    ref = replace(DiskRef.of(NAMELESS), diskseq=16)
    its = claim if action == "claim" else CreateVg("new", (ref,))
    boots = {"same": {"boot": boot_id()}, "other": {"boot": "f" * 32}, "none": {}}
    leave_intent(bench, "ran-1", dump_action(its), **boots[boot])
    bench.observer.state = host(HOME, replace(NAMELESS, diskseq=seq))
    resume(bench)
    assert (ran(bench)[:2] == ["prove", "unmake"]) is is_taken_back
    assert bool(ran(bench)) is is_taken_back
    assert [entry.reason for entry in read_history(bench.paths)] == ["act-interrupted"]


def test_an_intent_says_of_which_boot_it_is(bench: Bench) -> None:
    seen: list[str] = []

    def do() -> Done:
        seen.append(json.loads(bench.paths.intent.read_text())["boot"])
        return OK

    bench.does = do
    act(bench)
    assert set(seen) == {Path("/proc/sys/kernel/random/boot_id").read_text().strip()}


def test_a_second_crash_finds_no_less_done_than_the_first(bench: Bench) -> None:
    """The disks of a group were all proved before the first: that is not forgotten."""
    two = (DiskRef.of(HOME), DiskRef.of(DISK))
    leave_intent(bench, "ran-2", dump_action(CreateVg("new", two)))
    phases = answers(bench)
    resume(bench)
    assert ran(bench)[:7] == [*["prove", "unmake"] * 2, "prove", "prove", "vgcreate"]
    assert phases[:7] == [*["ran-2"] * 3, *(f"ran-{done}" for done in (3, 4, 5, 6))]


@pytest.mark.parametrize(("result", "steps"), [("done", ["pvchange"]), ("failed", [])])
def test_a_claim_that_was_told_before_the_crash_is_not_told_again_and_tagged_if_done(
    bench: Bench, result: str, steps: list[str]
) -> None:
    leave_intent(bench, "ran-2")
    bench.observer.state = AFTER
    told = Entry("disk-claimed", "claim-disk", result, "udev", "", "vg", "disk-matches", "x")
    line = json.dumps(replace(told, id="1234", at=1.0).as_values())
    append_line(bench.paths.history, line, limit=1 << 20)
    resume(bench)
    assert ran(bench) == steps
    assert len(read_history(bench.paths)) == 1
    assert not bench.paths.intent.exists()


EDIT = EditFile("/etc/f", "new", "", "", "asked", reload=AGENT)


def written(active: str) -> State:
    """The file has its text, and the unit that reads it is so."""
    units = {AGENT: UnitFacts(AGENT, active=active)}
    return replace(BEFORE, host=Host(files={"/etc/f": FileText("new")}, units=units))


@pytest.mark.parametrize(
    ("phase", "active", "read"),
    [
        ("intended", "active", True),
        ("ran-1", "active", True),
        ("ran-2", "active", False),
        ("ran-1", "inactive", False),
    ],
)
def test_a_file_that_was_written_before_a_death_is_read_by_whoever_runs(
    bench: Bench,
    phase: str,
    active: str,
    read: bool,  # noqa: FBT001 - a table
) -> None:
    leave_intent(bench, phase, dump_action(EDIT))
    bench.observer.state = written(active)
    resume(bench)
    reload = (f"systemctl reload-or-try-restart --no-block {AGENT}",)
    assert bench.steps == ([reload] if read else [])
    assert [entry.reason for entry in read_history(bench.paths)] == ["resumed"]


def test_a_file_that_is_written_is_read_once(bench: Bench) -> None:
    assert after_for(EDIT, len(steps_for(EDIT)), written("active")) == ()
    assert after_for(replace(EDIT, reload=""), 0, written("active")) == ()


@pytest.mark.parametrize("phase", ["ran-", "ran-x", "ran-1-2"])
def test_a_phase_that_is_none_undoes_nothing(bench: Bench, phase: str) -> None:
    leave_intent(bench, phase)
    resume(bench)
    assert bench.steps == []
    assert not bench.paths.intent.exists()


def test_the_boundaries_of_a_claim_are_each_side_of_each_step() -> None:
    assert len(steps_for(CLAIM)) == 2
    assert boundaries(CLAIM) == (
        "intended",
        *("step-1", "ran-1", "step-2", "ran-2"),
        "recorded",
        "cleared",
    )


def test_a_hand_that_cannot_reach_what_it_is_for_is_a_failure(bench: Bench) -> None:
    def refuse() -> Done:
        raise OSError("no bus")

    bench.does = refuse
    outcome = act(bench, START)
    assert (outcome.result, outcome.detail) == (Result.FAILED, "no bus")


@pytest.mark.parametrize("stays_busy", [False, True])
def test_a_consumer_that_was_stopped_for_a_group_that_is_locked_is_started_again(
    bench: Bench, *, stays_busy: bool
) -> None:
    """Of the steps before it one has an effect; and where that cannot be taken back it is later."""
    ill = in_kernel(make_pool(), mode=Mode.RO)
    bench.observer.state = make_state(ill)
    repair = RepairPool(
        "vg", "pool", ill.lv.uuid, 1, 2, 0, (UNIT,), (UNIT,), ("a",) * stays_busy, (),
        up=True, skip=False, monitor=False, threshold=75, copy="/c", reason="pool-read-only",
    )  # fmt: skip

    def do() -> Done:
        return BUSY if bench.steps[-1][0] == "lvchange" else OK

    bench.does = do
    outcome = act(bench, repair)
    assert (outcome.result, outcome.reason) == (Result.FAILED, "vg-busy")
    words = [step[0] for step in bench.steps]
    assert words[1] == f"systemctl stop {UNIT}"
    assert (words[-1] == f"systemctl start {UNIT}") is not stays_busy
    assert bench.paths.apart.exists() is stays_busy
    assert not bench.executor.unattended, "it is not tried again at once"
