"""What the journal and the history have of an act."""

import json
from dataclasses import replace

import pytest

from dmguard.core.actions import Act, Action, Result
from dmguard.core.codes import CODES
from dmguard.core.entry import load_entry
from dmguard.core.findings import Finding
from dmguard.core.model import Resource, Trigger
from dmguard.core.outcome import Outcome, act_entry, describe, finding_entry, refusal_entry
from dmguard.core.plan import Refusal
from tests.unit.builders import GIB, MIB, make_extend, make_refresh
from tests.unit.disks import ACTIVATE, CLAIM, RESIZE, RESTORE, START

DONE = Outcome(Result.DONE, "above-threshold", seconds=0.31)
FAILED = Outcome(Result.FAILED, "act-failed", "no space on PV b")


def test_an_act_has_the_journal_fields_of_the_contract() -> None:
    entry = replace(act_entry(make_extend(), DONE, Trigger.DM_EVENT), id="1234")
    assert entry.as_fields() == {
        "MESSAGE_ID": CODES["data-extended"].message_id,
        "PRIORITY": "5",
        "DMGUARD_ACTION": "extend-data",
        "DMGUARD_RESULT": "done",
        "DMGUARD_TRIGGER": "dm-event",
        "DMGUARD_VG": "vg",
        "DMGUARD_POOL": "vg/pool",
        "DMGUARD_REASON": "above-threshold",
        "DMGUARD_ID": "1234",
        "DMGUARD_SIZE": str(10_000 * MIB),
        "DMGUARD_TARGET": str(12_000 * MIB),
        "DMGUARD_USED": str(8_000 * MIB),
        "DMGUARD_VG_FREE": str(10_000 * MIB),
    }


def test_the_numbers_are_in_the_sentence() -> None:
    message = act_entry(make_extend(), DONE, Trigger.TIMER).message
    assert message == (
        "vg/pool: extended data from 9.77 GiB to 11.72 GiB"
        " (80.00 % was in use, vg had 9.77 GiB free, 0.3 s)"
    )


def test_an_unknown_use_is_said_to_be_unknown_and_has_no_field() -> None:
    entry = act_entry(replace(make_extend(), used=None), DONE, Trigger.TIMER)
    assert "an unknown part was in use" in entry.message
    assert "DMGUARD_USED" not in entry.as_fields()


def test_a_failure_says_what_the_command_said() -> None:
    entry = act_entry(make_extend(), FAILED, Trigger.TIMER)
    assert (entry.code, entry.result, entry.reason) == ("act-failed", "failed", "act-failed")
    assert entry.message.endswith("did not succeed: no space on PV b")


@pytest.mark.parametrize(
    ("action", "outcome", "code"),
    [
        (make_extend(), DONE, "data-extended"),
        (make_extend(Resource.METADATA, 100, 120), DONE, "metadata-extended"),
        (make_refresh(), Outcome(Result.DONE, "low-water"), "refreshed"),
        (make_extend(), Outcome(Result.DONE, "resumed"), "data-extended"),
        (make_extend(), Outcome(Result.FAILED, "act-interrupted"), "act-interrupted"),
        (make_refresh(), FAILED, "act-failed"),
    ],
)
def test_an_act_has_the_code_that_explains_it(action: Action, outcome: Outcome, code: str) -> None:
    assert act_entry(action, outcome, Trigger.TIMER).code == code


def test_a_refresh_has_its_mark_as_a_number() -> None:
    action = make_refresh("kernel-behind")
    entry = act_entry(action, Outcome(Result.DONE, "kernel-behind"), "command")
    assert entry.as_fields()["DMGUARD_LOW_WATER"] == str(action.low_water)
    assert f"{action.low_water} chunks" in entry.message


def test_what_was_done_by_another_is_noted_in_the_sentence() -> None:
    message = describe(make_extend(), Outcome(Result.DONE, "grown-elsewhere"))
    assert message.endswith("; " + CODES["grown-elsewhere"].title.lower())


def test_what_was_asked_for_says_so() -> None:
    assert "(asked for; 80.00 %" in describe(replace(make_extend(), reason="asked"))


def test_a_plan_is_told_in_the_future() -> None:
    assert describe(make_extend()).startswith("extend data from 9.77 GiB to 11.72 GiB (")
    assert describe(make_refresh()).startswith("refresh live table")


def test_an_entry_survives_the_history() -> None:
    entry = replace(act_entry(make_extend(), DONE, Trigger.START), id="1", at=12.5)
    assert load_entry(json.loads(json.dumps(entry.as_values()))) == entry


def test_what_is_no_entry_is_an_error() -> None:
    with pytest.raises(TypeError):
        load_entry({"code": "asked"})


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("vg-dry", "extend-data"),
        ("pool-ceiling", "extend-data"),
        ("metadata-ceiling", "extend-metadata"),
        ("pool-needs-check", "watch"),
    ],
)
def test_a_finding_is_a_refusal_of_what_it_stands_in_the_way_of(code: str, action: str) -> None:
    entry = finding_entry(Finding(code, "vg/pool", "vg/pool: why"), Trigger.TIMER)
    fields = entry.as_fields()
    assert fields["MESSAGE_ID"] == CODES[code].message_id
    assert fields["DMGUARD_ACTION"] == action
    assert (fields["DMGUARD_RESULT"], fields["DMGUARD_REASON"]) == ("refused", code)
    assert (fields["DMGUARD_VG"], fields["DMGUARD_POOL"]) == ("vg", "vg/pool")
    assert entry.message == "vg/pool: why"


def test_a_finding_that_is_gone_is_told_as_cleared_with_what_it_was() -> None:
    gone = finding_entry(Finding("vg-dry", "vg/pool", "old"), Trigger.TIMER, cleared=True)
    assert (gone.code, gone.reason, gone.result) == ("finding-cleared", "vg-dry", "done")
    assert gone.message == f"vg/pool: no longer: {CODES['vg-dry'].clause}"


def test_a_finding_about_no_pool_names_none() -> None:
    fields = finding_entry(Finding("lvm-unreadable", "lvm", "x"), Trigger.TIMER).as_fields()
    assert not {"DMGUARD_VG", "DMGUARD_POOL", "DMGUARD_ID"} & set(fields)


FIELDS: list[tuple[Action, str, str, dict[str, str]]] = [
    (CLAIM, "disk-claimed", "claim-disk", {"DISK": "/dev/sdb", "SIZE": str(10 * GIB)}),
    (
        RESIZE,
        "pv-resized",
        "resize-pv",
        {"DISK": "/dev/sdb", "SIZE": str(8 * GIB), "TARGET": str(10 * GIB)},
    ),
    (RESTORE, "pv-restored", "restore-pv", {"DISK": "/dev/sdb", "SIZE": str(10 * GIB)}),
    (ACTIVATE, "pool-activated", "activate", {"POOL": "vg/pool", "SIZE": str(10 * GIB)}),
    (START, "unit-started", "start-unit", {"POOL": "vg/pool"}),
]


@pytest.mark.parametrize(("action", "code", "act", "own"), FIELDS)
def test_each_act_has_its_fields_and_no_others(
    action: Action, code: str, act: str, own: dict[str, str]
) -> None:
    entry = act_entry(action, Outcome(Result.DONE, action.reason), Trigger.UDEV)
    common = {
        "MESSAGE_ID": CODES[code].message_id,
        "PRIORITY": str(int(CODES[code].severity)),
        "DMGUARD_ACTION": act,
        "DMGUARD_RESULT": "done",
        "DMGUARD_TRIGGER": "udev",
        "DMGUARD_VG": "vg",
        "DMGUARD_REASON": action.reason,
    }
    assert entry.as_fields() == common | {f"DMGUARD_{name}": own[name] for name in own}
    assert load_entry(json.loads(json.dumps(entry.as_values()))) == entry


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (CLAIM, "/dev/sdb: added 10.00 GiB to vg, serial:serial-b ("),
        (RESIZE, "/dev/sdb: resized PV of vg from 8.00 GiB to that of its disk, 10.00 GiB ("),
        (RESTORE, "/dev/sdb: took back PV of vg, pv-serial-b ("),
        (ACTIVATE, "vg/pool: activated pool ("),
        (
            replace(ACTIVATE, components=("pool_tmeta", "pool_tdata")),
            "vg/pool: activated pool, pool_tmeta, pool_tdata put down first (",
        ),
        (START, "docker.service: started consumer of vg/pool ("),
        (replace(START, restart=True), "docker.service: restarted consumer of vg/pool ("),
    ],
)
def test_each_act_is_told_in_a_sentence_with_its_numbers(action: Action, message: str) -> None:
    entry = act_entry(action, Outcome(Result.DONE, action.reason), Trigger.UDEV)
    assert entry.message.startswith(message)
    assert CODES[action.reason].clause in entry.message


@pytest.mark.parametrize(
    "code", ["disk-changed", "disk-refused-by-lvm", "vg-busy", "thin-check-failed"]
)
def test_a_claim_that_was_not_done_has_the_code_of_why(code: str) -> None:
    entry = act_entry(CLAIM, Outcome(Result.REFUSED, code, "in LVM's words"), Trigger.UDEV)
    assert (entry.code, entry.reason) == (code, code)
    assert entry.message.endswith(
        "adding 10.00 GiB to vg, serial:serial-b did not succeed: in LVM's words"
    )


def test_a_finding_about_a_disk_names_the_disk_and_no_pool() -> None:
    finding = Finding("disk-removable", "/dev/sdb", "/dev/sdb: why")
    for cleared in (False, True):
        fields = finding_entry(finding, Trigger.UDEV, cleared=cleared).as_fields()
        assert fields["DMGUARD_DISK"] == "/dev/sdb"
        assert fields["DMGUARD_ACTION"] == "claim-disk"
        assert not {"DMGUARD_VG", "DMGUARD_POOL"} & set(fields)


@pytest.mark.parametrize(
    ("code", "action"), [("pool-inactive", "activate"), ("consumer-down", "start-unit")]
)
def test_a_finding_is_about_what_would_cure_it(code: str, action: str) -> None:
    entry = finding_entry(Finding(code, "vg/pool", "x"), Trigger.TIMER)
    assert (entry.action, entry.pool, entry.disk) == (action, "vg/pool", "")


@pytest.mark.parametrize(
    ("subject", "act", "named"),
    [
        ("/dev/sdb", Act.CLAIM_DISK, {"DMGUARD_DISK": "/dev/sdb"}),
        ("vg/pool", Act.EXTEND_DATA, {"DMGUARD_POOL": "vg/pool", "DMGUARD_VG": "vg"}),
    ],
)
def test_a_refusal_names_its_disk_or_its_pool(
    subject: str, act: Act, named: dict[str, str]
) -> None:
    fields = refusal_entry(Refusal(subject, "disk-held", "why", act), "command").as_fields()
    names = ("DMGUARD_DISK", "DMGUARD_POOL", "DMGUARD_VG")
    assert {name: fields[name] for name in names if name in fields} == named
    assert (fields["DMGUARD_RESULT"], fields["DMGUARD_ACTION"]) == ("refused", str(act))
