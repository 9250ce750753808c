"""What does each kind of step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import pytest

from dmguard.core.model import Unit
from dmguard.core.steps import (
    Lvm,
    MovePath,
    Proof,
    Prove,
    ProveStopped,
    PutFile,
    Step,
    UnitStep,
    UnitVerb,
    digest,
)
from dmguard.core.steps.dm import DmStep
from dmguard.edge.run import Completed
from dmguard.loop.hands import make_hands
from dmguard.loop.walk import UNREACHABLE, Done, Hands
from tests.unit.disks import DISK

if TYPE_CHECKING:
    from dmguard.edge.run import Runner

STEP = Lvm(("vgextend", "vg", "/dev/sdb"), "disk-refused-by-lvm")
PLAIN = Lvm(("lvextend", "vg/pool"))
PROVE = Prove("/dev/sdb", "serial:b", (8, 16), 1, DISK.size, "vg", "uuid-vg", Proof.BLANK)
NARROW = 'devices/filter=["a|^/dev/sdb$|","r|.*|"] devices/hints="none"'
BUSY = "  Can't get lock for vg.\n"


class FakeRunner:
    """Answers each call with the next status and complaint; the last one for ever."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[tuple[str, ...], int]] = []

    async def change(self, argv: Sequence[str], *, stdin: int) -> Completed:
        self.calls.append((tuple(argv), stdin))
        status, said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Completed(tuple(argv), status, "", said, 0.1)


class FakeManager:
    """A systemd whose units are in these states, one at each look."""

    def __init__(self, *units: Unit | None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.units = list(units)

    async def read_unit(self, name: str) -> Unit | None:
        return self.units.pop(0)

    async def stop_unit(self, name: str) -> None:
        self.asked.append(("stop", name))

    async def reset_failed(self, name: str) -> None:
        self.asked.append(("reset-failed", name))

    async def start_unit(self, name: str) -> None:
        self.asked.append(("start", name))

    async def reload_unit(self, name: str) -> None:
        self.asked.append(("reload-or-try-restart", name))

    async def restart_unit(self, name: str) -> None:
        self.asked.append(("restart", name))


WITHIN: list[object] = []
"""How long each retry would have gone on."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry that waits for nothing, and ends after its attempts."""
    WITHIN.clear()

    async def retry(work: Callable[[], object], **how: object) -> object:
        WITHIN.append(how["within_s"])
        on = cast("tuple[type[Exception], ...]", how["on"])
        for _ in range(cast("int", how["attempts"]) - 1):
            try:
                return await work()  # type: ignore[misc]
            except on:
                continue
        return await work()  # type: ignore[misc]

    monkeypatch.setattr("dmguard.loop.lvmhands.retry", retry)


def do(hands: Hands, step: Step) -> Done:
    async def work() -> Done:
        return await hands[type(step)](step, 7)

    return asyncio.run(work())


def run(step: Lvm, *answers: tuple[int, str]) -> tuple[Done, FakeRunner]:
    runner = FakeRunner(*answers)
    hands = make_hands(cast("Runner", runner))
    return do(hands, step), runner


class FakeResident:
    """Answers each call with the next status; None is no answer."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.calls: list[tuple[tuple[str, ...], int]] = []

    async def change(self, words: Sequence[str], *, stdin: int) -> Completed | None:
        self.calls.append((tuple(words), stdin))
        status = self.statuses.pop(0)
        told = BUSY if status == 5 else ""
        return None if status is None else Completed(("lvm", *words), status, "", told, 0.1)


@pytest.mark.parametrize(
    ("statuses", "processes", "ok"),
    [
        ((0,), 0, True),
        ((None,), 1, True),
        ((-1,), 1, True),
        ((3,), 0, False),
        ((5, 5, 0), 0, True),
        ((5, None), 1, True),
    ],
)
def test_an_urgent_step_is_done_by_the_resident_lvm_and_where_it_cannot_by_a_process(
    statuses: tuple[int | None, ...], processes: int, *, ok: bool
) -> None:
    runner, resident = FakeRunner((0, "")), FakeResident(*statuses)
    hands = make_hands(cast("Runner", runner), resident=resident)
    done = do(hands, Lvm(("lvextend", "vg/pool"), urgent="vg"))
    assert done.ok is ok
    assert resident.calls == [(("lvextend", "vg/pool"), 7)] * len(statuses)
    assert runner.calls == [(("lvm", "lvextend", "vg/pool"), 7)] * processes


URGENT = ("lvextend", "--config", "a=1", "vg/pool")
NARROWED = ("lvextend", "--config", f"a=1 {NARROW}", "vg/pool")
DEVICES = {"vg": ("/dev/sdb",)}.__getitem__


@pytest.mark.parametrize(
    ("status", "processes", "ok"),
    [
        (0, [], True),
        (3, [URGENT], True),
        (5, [], False),
        (-1, [NARROWED], True),
        (None, [NARROWED], True),
    ],
)
def test_what_is_refused_where_lvm_sees_the_groups_devices_alone_is_asked_of_a_process(
    status: int | None, processes: list[tuple[str, ...]], *, ok: bool
) -> None:
    runner, resident = FakeRunner((0, "")), FakeResident(*[status] * 10)
    hands = make_hands(cast("Runner", runner), resident=resident, devices_of=DEVICES)
    done = do(hands, Lvm(URGENT, urgent="vg"))
    assert done.ok is ok
    assert resident.calls[0][0] == NARROWED
    assert [call for call, _ in runner.calls] == [("lvm", *argv) for argv in processes]


@pytest.mark.parametrize(
    ("answers", "processes", "code"),
    [
        ([(0, "")], [NARROWED], ""),
        ([(3, "no"), (0, "")], [NARROWED, URGENT], ""),
        ([(5, BUSY)], [NARROWED] * 10, "vg-busy"),
    ],
)
def test_a_process_for_an_urgent_step_looks_at_no_disk_but_the_groups(
    answers: list[tuple[int, str]], processes: list[tuple[str, ...]], code: str
) -> None:
    runner = FakeRunner(*answers)
    done = do(make_hands(cast("Runner", runner), devices_of=DEVICES), Lvm(URGENT, urgent="vg"))
    assert done.code == code
    assert [call for call, _ in runner.calls] == [("lvm", *argv) for argv in processes]


@pytest.mark.parametrize(
    ("answers", "processes"),
    [
        ([(5, "no"), (0, "")], [NARROWED, NARROWED]),
        ([(5, "no"), (5, "no"), (0, "")], [NARROWED, NARROWED, URGENT]),
    ],
)
def test_what_is_to_be_tried_twice_is_before_lvm_looks_at_other_disks(
    answers: list[tuple[int, str]], processes: list[tuple[str, ...]]
) -> None:
    """A volume of the pool that stands still may be among them."""
    runner = FakeRunner(*answers)
    step = Lvm(URGENT, urgent="vg", twice=True)
    assert do(make_hands(cast("Runner", runner), devices_of=DEVICES), step).ok
    assert [call for call, _ in runner.calls] == [("lvm", *argv) for argv in processes]


def test_a_step_that_is_not_urgent_is_a_process_of_its_own() -> None:
    runner, resident = FakeRunner((0, "")), FakeResident(0)
    do(make_hands(cast("Runner", runner), resident=resident), STEP)
    assert (len(runner.calls), resident.calls) == (1, [])


def test_an_lvm_step_is_one_command_with_the_lock_as_its_input() -> None:
    done, runner = run(STEP, (0, ""))
    assert done == Done(ok=True)
    assert runner.calls == [(("lvm", "vgextend", "vg", "/dev/sdb"), 7)]


@pytest.mark.parametrize(("step", "code"), [(STEP, "disk-refused-by-lvm"), (PLAIN, "")])
def test_a_command_that_fails_has_the_code_of_what_that_means(step: Lvm, code: str) -> None:
    done, runner = run(step, (5, "  Device /dev/sdb is in use.\n"))
    assert (done.ok, done.code) == (False, code)
    assert "in use" in done.complaint
    assert len(runner.calls) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Error writing device /dev/sdb at 4096 length 512.", ""),
        ("Can't open /dev/sdb exclusively.  Mounted filesystem?", ""),
        ("/dev/sdb: open failed: Device or resource busy", ""),
        (
            "Error reading device /dev/sdb at 0 length 4.\n  Aborted wiping of xfs.",
            "disk-refused-by-lvm",
        ),
        ("Cannot use /dev/sdb: device is an md component", "disk-refused-by-lvm"),
    ],
)
def test_what_may_pass_is_a_failure_of_a_claim_and_no_refusal(words: str, code: str) -> None:
    """A failure is tried again, with growing pauses; a refusal stands."""
    done, _ = run(STEP, (5, f"  {words}\n"))
    assert (done.ok, done.code) == (False, code)


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (PLAIN, 5, "thin-check-failed"),
        (STEP, 5, "disk-refused-by-lvm"),
        (PLAIN, -15, ""),
        (PLAIN, 0, ""),
    ],
)
def test_lvms_words_tell_more_where_the_step_does_not(step: Lvm, status: int, code: str) -> None:
    done, _ = run(step, (status, "  Check of pool vg/pool failed (status:1).\n"))
    assert (done.ok, done.code) == (status == 0, code)


@pytest.mark.parametrize(
    ("twice", "answers", "ok", "calls"),
    [
        (True, [(5, "Unable to resume vg-pool."), (0, "")], True, 2),
        (True, [(5, "Unable to resume vg-pool.")], False, 2),
        (True, [(0, "")], True, 1),
        (True, [(5, BUSY), (5, "Unable to resume vg-pool."), (5, BUSY), (0, "")], True, 4),
        (True, [(-9, "")], False, 1),
        (False, [(5, "Unable to resume vg-pool."), (0, "")], False, 1),
    ],
)
def test_what_drops_what_is_in_its_way_is_run_once_more(
    answers: list[tuple[int, str]], calls: int, *, twice: bool, ok: bool
) -> None:
    done, runner = run(replace(PLAIN, twice=twice), *answers)
    assert (done.ok, len(runner.calls)) == (ok, calls)


SICK = "  Check of pool vg/pool failed (status:1).\n"


@pytest.mark.parametrize(
    ("answers", "ok", "code", "commands"),
    [
        ([(0, "")], True, "", "c"),
        ([(5, SICK), (0, ""), (0, "")], True, "", "crc"),
        ([(5, SICK), (5, "no room")], False, "pool-not-repaired", "cr"),
        ([(5, SICK), (0, ""), (5, SICK)], False, "pool-not-repaired", "crc"),
        ([(5, SICK), (-9, "")], False, "", "cr"),
        ([(5, "transaction_id is 1, while expected 2")], False, "transaction-id-mismatch", "c"),
        ([(5, "anything")], False, "", "c"),
        ([(-9, "")], False, "", "c"),
        ([(5, SICK), (5, BUSY), (0, ""), (0, "")], True, "", "crrc"),
    ],
)
def test_what_lvm_refuses_for_a_reason_that_there_is_a_cure_for_is_cured_and_tried_again(
    answers: list[tuple[int, str]], code: str, commands: str, *, ok: bool
) -> None:
    step = Lvm(("lvchange", "vg/pool"), ails="thin-check-failed", cure=("lvconvert", "vg/pool"))
    done, runner = run(step, *answers)
    assert (done.ok, done.code) == (ok, code)
    told = {"lvchange": "c", "lvconvert": "r"}
    assert "".join(told[argv[1]] for argv, _ in runner.calls) == commands


def test_a_group_that_is_locked_is_tried_again() -> None:
    done, runner = run(STEP, (5, BUSY), (5, BUSY), (0, ""))
    assert done == Done(ok=True)
    assert len(runner.calls) == 3


READ_ONLY = "  Cannot archive volume group metadata for vg to read-only filesystem.\n"
FULL = "  /etc/lvm/archive/.lvm_lab_3066_55: write error failed: No space left on device\n"


@pytest.mark.parametrize(
    "said",
    [
        READ_ONLY,
        FULL,
        FULL.replace("/etc/lvm/archive", "/srv/copies"),
        "  Couldn't create temporary archive name.\n",
        "  Existing path /etc/lvm/archive is not a directory.\n",
    ],
)
def test_what_lvm_refuses_for_want_of_an_archive_is_done_without(said: str) -> None:
    runner = FakeRunner((5, said), (0, ""))
    assert do(make_hands(cast("Runner", runner)), Lvm(URGENT)).ok
    (first, _), (second, _) = runner.calls
    assert first == ("lvm", *URGENT)
    assert second == ("lvm", "lvextend", "--config", "a=1 backup/archive=0", "vg/pool")


@pytest.mark.parametrize("urgent", ["", "vg"])
def test_where_a_pool_is_full_lvm_writes_to_no_file_system(urgent: str) -> None:
    runner = FakeRunner((0, ""))
    hands = make_hands(cast("Runner", runner), may_wait=lambda: True)
    assert do(hands, Lvm(URGENT, urgent=urgent)).ok
    ((words, _),) = runner.calls
    assert words[3] == "a=1 backup/archive=0 backup/backup=0"


def test_what_is_refused_without_an_archive_too_is_refused() -> None:
    runner = FakeRunner((5, READ_ONLY), (5, "  Insufficient free space.\n"))
    done = do(make_hands(cast("Runner", runner)), Lvm(URGENT))
    assert (done.ok, done.complaint, len(runner.calls)) == (False, "Insufficient free space.", 2)


@pytest.mark.parametrize(
    ("resident", "step", "within"),
    [
        (True, Lvm(("lvextend", "vg/pool"), urgent="vg"), 1.0),
        (True, STEP, 10.0),
        (False, Lvm(("lvextend", "vg/pool"), urgent="vg"), 10.0),
    ],
)
def test_the_agent_waits_for_no_lock_while_a_pool_of_another_group_may_fill(
    step: Lvm, within: float, *, resident: bool
) -> None:
    its = FakeResident(*[5] * 10) if resident else None
    hands = make_hands(cast("Runner", FakeRunner((5, BUSY))), resident=its)
    assert do(hands, step).code == "vg-busy"
    assert [within] == WITHIN


def test_a_command_that_a_signal_ended_has_refused_nothing() -> None:
    refused, _ = run(STEP, (5, "  Device is in use.\n"))
    killed, _ = run(STEP, (-9, ""))
    assert (refused.code, killed.code) == ("disk-refused-by-lvm", "")
    assert not killed.ok


def test_a_group_that_stays_locked_is_busy_and_no_refusal() -> None:
    done, runner = run(STEP, (5, BUSY))
    assert (done.ok, done.code) == (False, "vg-busy")
    assert "lock" in done.complaint
    assert len(runner.calls) == 10


@pytest.mark.parametrize("verb", list(UnitVerb))
def test_systemd_is_asked_for_each_verb_by_its_name(verb: UnitVerb) -> None:
    manager = FakeManager()
    hands = make_hands(cast("Runner", FakeRunner((0, ""))), manager=manager)
    done = do(hands, UnitStep(verb, "docker.service"))
    assert done == Done(ok=True)
    assert manager.asked == [(str(verb), "docker.service")]


def test_a_proof_is_what_the_prover_says() -> None:
    asked: list[Prove] = []

    async def prove(step: Prove) -> Done:
        asked.append(step)
        return Done(ok=False, complaint="not blank", code="disk-changed")

    hands = make_hands(cast("Runner", FakeRunner((0, ""))), prove=prove)
    done = do(hands, PROVE)
    assert (done.code, asked) == ("disk-changed", [PROVE])


def test_what_was_not_given_is_not_there() -> None:
    hands = make_hands(cast("Runner", FakeRunner((0, ""))))
    assert not {Prove, ProveStopped, UnitStep} & set(hands)
    assert {Lvm, *get_args(DmStep)} <= set(hands)


UNIT = "docker.service"


def waited(verb: UnitVerb, *units: Unit | None, monkeypatch: pytest.MonkeyPatch) -> Done:
    monkeypatch.setattr("dmguard.loop.hands._POLL_S", 0.0)
    manager = FakeManager(*units)
    hands = make_hands(cast("Runner", FakeRunner((0, ""))), manager=manager)
    done = do(hands, UnitStep(verb, UNIT, wait=True))
    assert manager.asked == [(str(verb), UNIT)]
    assert manager.units == []
    return done


@pytest.mark.parametrize(
    ("verb", "units"),
    [
        (UnitVerb.START, [Unit(UNIT, "activating", has_job=True), Unit(UNIT, "active")]),
        (UnitVerb.START, [Unit(UNIT, "inactive", has_job=True), Unit(UNIT, "active")]),
        (UnitVerb.STOP, [Unit(UNIT, "deactivating", has_job=True), Unit(UNIT, "inactive")]),
        (UnitVerb.STOP, [Unit(UNIT, "failed")]),
    ],
)
def test_a_job_is_waited_for(
    verb: UnitVerb, units: list[Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waited(verb, *units, monkeypatch=monkeypatch) == Done(ok=True)


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        (Unit(UNIT, "inactive"), ""),
        (Unit(UNIT, "failed"), ""),
        (None, ""),
        (Unit(UNIT, "active"), "docker.service was started meanwhile: it is active"),
        (Unit(UNIT, "activating"), "docker.service was started meanwhile: it is activating"),
        (
            Unit(UNIT, "inactive", has_job=True),
            "docker.service was started meanwhile: it is inactive",
        ),
    ],
)
def test_that_units_are_stopped_is_seen_of_each_of_them(unit: Unit | None, told: str) -> None:
    manager = FakeManager(Unit("docker.socket", "inactive"), unit)
    hands = make_hands(cast("Runner", FakeRunner((0, ""))), manager=manager)
    done = do(hands, ProveStopped(("docker.socket", UNIT)))
    assert done == Done(ok=not told, complaint=told)
    assert (manager.asked, manager.units) == ([], [])


def test_whether_a_unit_is_stopped_is_not_known_without_a_bus() -> None:
    class Silent(FakeManager):
        async def read_unit(self, name: str) -> Unit | None:
            raise OSError(f"no answer about {name}")

    hands = make_hands(cast("Runner", FakeRunner((0, ""))), manager=Silent())
    done = do(hands, ProveStopped((UNIT,)))
    assert (done.ok, done.code) == (False, UNREACHABLE)


@pytest.mark.parametrize("unit", [Unit(UNIT, "failed"), Unit(UNIT, "inactive"), None])
def test_a_unit_that_does_not_start_is_no_success(
    unit: Unit | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = waited(UnitVerb.START, unit, monkeypatch=monkeypatch)
    assert not done.ok
    assert UNIT in done.complaint


def files_hands() -> Hands:
    return make_hands(cast("Runner", FakeRunner((0, ""))))


def test_a_file_is_replaced_only_if_it_is_as_it_was(tmp_path: Path) -> None:
    file, copy = tmp_path / "daemon.json", tmp_path / "copy"
    file.write_text("old")
    file.chmod(0o640)
    step = PutFile(str(file), "new", digest("old"), backup=str(copy))
    assert do(files_hands(), step) == Done(ok=True)
    assert (file.read_text(), copy.read_text()) == ("new", "old")
    assert file.stat().st_mode & 0o777 == copy.stat().st_mode & 0o777 == 0o640
    assert do(files_hands(), step) == Done(ok=True), "it has the text already"
    file.write_text("another's")
    done = do(files_hands(), step)
    assert (done.ok, done.code) == (False, "file-changed")
    assert (file.read_text(), copy.read_text()) == ("another's", "old")


def test_a_file_that_must_not_be_there_is_left_if_it_is(tmp_path: Path) -> None:
    file = tmp_path / "new" / "thin.profile"
    step = PutFile(str(file), "text", "")
    assert do(files_hands(), step).ok
    assert file.read_text() == "text"
    file.write_text("another's")
    assert do(files_hands(), step).code == "file-changed"
    assert file.read_text() == "another's"


def test_a_path_is_moved_once(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    step = MovePath(str(source), str(target))
    assert do(files_hands(), step).ok
    assert target.is_dir()
    assert not source.exists()
    assert do(files_hands(), step).ok
    source.mkdir()
    with pytest.raises(FileExistsError):
        do(files_hands(), step)
