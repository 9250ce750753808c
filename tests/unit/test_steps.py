"""The exact commands."""

import shlex
from dataclasses import replace

import pytest

from dmguard.core.actions import Action, Extend, Refresh, dump_action, load_action
from dmguard.core.model import Disk, Resource, State
from dmguard.core.steps import (
    Lvm,
    Proof,
    Prove,
    UnitStep,
    UnitVerb,
    Unmake,
    after_for,
    every_step,
    finish_for,
    steps_for,
    undo_for,
)
from dmguard.core.steps.config import narrowed
from tests.unit.builders import (
    MIB,
    in_kernel,
    make_extend,
    make_pool,
    make_refresh,
    make_state,
)
from tests.unit.disks import ACTIVATE, CLAIM, DISK, RESIZE, RESTORE, START, make_disk

SHORT = "global/wait_for_locks=0 global/notify_dbus=0"
QUIET = f"{SHORT} activation/monitoring=0"
CONFIG = f"{QUIET} activation/thin_pool_autoextend_threshold=75"
DATA = ("--noudevsync", "--config", CONFIG)


def seen(*disks: Disk) -> State:
    return State((), (), disks=disks)


def commands(action: Action) -> list[tuple[str, ...]]:
    return [step.argv for step in every_step(action) if isinstance(step, Lvm)]


COMMANDS: list[tuple[Action, list[tuple[str, ...]]]] = [
    (make_extend(), [("lvextend", *DATA, "--size", f"{12_000 * MIB}b", "vg/pool")]),
    (
        make_extend(Resource.METADATA, 100, 120),
        [("lvextend", "--config", CONFIG, "--poolmetadatasize", f"{120 * MIB}b", "vg/pool")],
    ),
    (make_refresh(), [("lvchange", "--refresh", "--noudevsync", "--config", CONFIG, "vg/pool")]),
    (
        CLAIM,
        [
            ("vgextend", "--config", QUIET, "vg", "/dev/sdb"),
            ("pvchange", "--config", QUIET, "--addtag", "dmguard", "/dev/sdb"),
        ],
    ),
    (RESIZE, [("pvresize", "--config", QUIET, "/dev/sdb")]),
    (RESTORE, [("vgextend", "--config", QUIET, "--restoremissing", "vg", "/dev/sdb")]),
    (ACTIVATE, [("lvchange", "--activate", "y", "--config", SHORT, "vg/pool")]),
    (
        replace(ACTIVATE, monitor=False, skip=True),
        [("lvchange", "--activate", "y", "--ignoreactivationskip", "--config", QUIET, "vg/pool")],
    ),
    (
        replace(ACTIVATE, components=("pool_tmeta", "pool_tdata")),
        [
            ("lvchange", "--activate", "n", "--config", SHORT, "vg/pool_tmeta", "vg/pool_tdata"),
            ("lvchange", "--activate", "y", "--config", SHORT, "vg/pool"),
        ],
    ),
    (START, []),
]
ACTIONS = [action for action, _ in COMMANDS]


@pytest.mark.parametrize(("action", "expected"), COMMANDS)
def test_an_action_is_these_commands_and_no_others(
    action: Action, expected: list[tuple[str, ...]]
) -> None:
    assert commands(action) == expected


def test_a_disk_is_proved_before_anything_is_written_to_it() -> None:
    proof, extend = steps_for(CLAIM)
    assert proof == Prove(
        "/dev/sdb", DISK.identity, DISK.devno, DISK.diskseq, DISK.size, "vg", "uuid-vg", Proof.BLANK
    )
    assert isinstance(extend, Lvm)
    assert extend.refusal == "disk-refused-by-lvm"
    assert extend.at_once


@pytest.mark.parametrize(("restart", "verb"), [(False, UnitVerb.START), (True, UnitVerb.RESTART)])
def test_a_unit_is_started_after_its_failure_is_forgotten(
    restart: bool,  # noqa: FBT001 - a table
    verb: UnitVerb,
) -> None:
    steps = steps_for(replace(START, restart=restart))
    assert steps == (
        UnitStep(UnitVerb.RESET_FAILED, "docker.service"),
        UnitStep(verb, "docker.service"),
    )
    assert [str(step) for step in steps] == [
        "systemctl reset-failed docker.service",
        f"systemctl {verb} --no-block docker.service",
    ]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_a_command_never_says_yes_and_never_waits_for_a_lock_or_a_bus(action: Action) -> None:
    steps = commands(action)
    assert steps or action is START
    for argv in steps:
        assert not {"-y", "--yes", "-f", "-ff", "--force"} & set(argv)
        assert {*SHORT.split()} <= {*argv[argv.index("--config") + 1].split()}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_a_step_in_text_can_be_given_to_a_shell(action: Action) -> None:
    for step in steps_for(action):
        words = tuple(shlex.split(str(step), comments=True))
        match step:
            case Lvm():
                assert words == step.argv
            case Prove():
                assert words == ()
            case UnitStep():
                assert words[0] == "systemctl"


@pytest.mark.parametrize("values", [{}, {"act": "claim-disk"}, {"act": "refresh", "x": 1}])
def test_what_is_no_action_is_an_error(values: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        load_action(values)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_the_steps_are_the_same_after_the_intent_file(action: Action) -> None:
    assert steps_for(load_action(dump_action(action))) == steps_for(action)


def test_a_label_is_taken_away_only_after_the_proof_that_it_is_all_there_is() -> None:
    proof, remove = undo_for(CLAIM, 1, seen(make_disk("c"), DISK))
    assert proof == Prove(
        "/dev/sdb",
        DISK.identity,
        DISK.devno,
        DISK.diskseq,
        DISK.size,
        "vg",
        "uuid-vg",
        Proof.HALF_PV,
    )
    assert remove == Unmake("/dev/sdb", DISK.devno, DISK.size)
    assert remove.at_once
    (given_up, same) = undo_for(replace(CLAIM, forced=True), 1, seen(make_disk("c"), DISK))
    assert (given_up, same) == (replace(proof, proof=Proof.UNSIGNED_HALF_PV), remove)


def test_a_half_made_claim_is_taken_back_and_made_anew() -> None:
    state = seen(make_disk("q", serial=DISK.serial))
    taken_back = undo_for(CLAIM, 1, state)
    again = replace(CLAIM, disk="/dev/sdq", devno=(8, 256), diskseq=state.disks[0].diskseq)
    assert finish_for(CLAIM, 1, state) == (*taken_back, *steps_for(again))
    assert finish_for(CLAIM, 0, state) == finish_for(CLAIM, 1, seen(make_disk("c"))) == ()


def test_after_a_reboot_it_is_the_disk_of_that_identity_by_its_new_name() -> None:
    moved = make_disk("q", serial=DISK.serial)
    other = make_disk("b", serial="another")
    proof, remove = undo_for(CLAIM, 1, seen(other, moved))
    assert isinstance(proof, Prove)
    assert (proof.disk, proof.devno, proof.diskseq) == ("/dev/sdq", moved.devno, moved.diskseq)
    assert remove == Unmake("/dev/sdq", moved.devno, moved.size)


@pytest.mark.parametrize(
    ("ran", "disks"),
    [
        (0, [DISK]),
        (1, []),
        (1, [make_disk(size=DISK.size + 512)]),
        (1, [make_disk(serial="another")]),
        (1, [DISK, make_disk("c", serial=DISK.serial)]),
    ],
    ids=["nothing ran", "gone", "another size", "another disk", "two of them"],
)
def test_what_is_in_doubt_is_not_taken_back(ran: int, disks: list[Disk]) -> None:
    assert undo_for(CLAIM, ran, seen(*disks)) == ()
    assert undo_for(CLAIM, 1, seen(DISK)) != ()


def test_only_a_disk_that_dmguard_claimed_is_tagged_by_its_name_now() -> None:
    moved = make_disk("q", serial=DISK.serial)
    tag = ("pvchange", "--config", QUIET, "--addtag", "dmguard")
    assert after_for(CLAIM, 1, seen(DISK)) == (Lvm((*tag, "/dev/sdb")),)
    assert after_for(CLAIM, 2, seen(moved)) == (Lvm((*tag, "/dev/sdq")),)
    assert after_for(CLAIM, 0, seen(DISK)) == after_for(CLAIM, 2, seen(DISK, moved)) == ()
    assert after_for(RESIZE, 1, seen(DISK)) == ()


@pytest.mark.parametrize("action", [a for a in ACTIONS if a is not CLAIM], ids=lambda a: str(a.act))
def test_nothing_but_a_claim_is_ever_taken_back(action: Action) -> None:
    assert undo_for(action, 1, seen(DISK)) == ()


ARGV = ("lvextend", "--config", "a=1", "vg/pool")


def test_a_command_can_be_narrowed_to_some_devices() -> None:
    config = (
        'a=1 devices/filter=["a|^/dev/sdb$|","a|^/dev/mapper/m.1$|","r|.*|"] devices/hints="none"'
    )
    assert narrowed(ARGV, ("/dev/sdb", "/dev/mapper/m.1")) == (*ARGV[:2], config, *ARGV[3:])


@pytest.mark.parametrize(
    "devices",
    [(), ("[unknown]",), ("/dev/sdb", "/dev/a|b"), ("/dev/a+",), ("/dev/a b",), ("/dev/é",), ("",)],
)
def test_a_command_is_not_narrowed_to_a_name_that_could_be_read_otherwise(
    devices: tuple[str, ...],
) -> None:
    assert narrowed(ARGV, devices) == ARGV


@pytest.mark.parametrize("action", [make_extend(), make_refresh()])
@pytest.mark.parametrize("suspended", [True, False])
def test_a_pool_that_a_command_left_suspended_is_loaded_by_lvm_and_not_merely_resumed(
    action: Extend | Refresh, *, suspended: bool
) -> None:
    pool = in_kernel(make_pool(80), suspended=suspended)
    pool = replace(pool, lv=replace(pool.lv, uuid=action.lv_uuid))
    step = Lvm(("lvchange", "--refresh", *DATA, action.pool), twice=True, urgent="vg")
    assert undo_for(action, 1, make_state(pool)) == ((step,) if suspended else ())
    down = make_state(replace(pool, kernel=None))
    assert (undo_for(action, 1, down), undo_for(action, 1, seen())) == ((), ())
