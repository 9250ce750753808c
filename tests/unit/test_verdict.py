"""May a disk become a PV: every reason against it, and none when there is none."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from dmguard.core.codes import CODES
from dmguard.core.halfpv import LABEL_SPACE
from dmguard.core.ledger import Ledger
from dmguard.core.model import Disk, DiskKind, Probe, State
from dmguard.core.settings import ClaimMode, ClaimRule, Match, Settings
from dmguard.core.verdict import (
    cheap_objections,
    judge,
    judge_by_hand,
    needs_probe,
    objections,
    strictest,
)
from tests.unit.builders import EXTENT, MIB
from tests.unit.disks import CLAIMS, RULE, host, make_disk, vg_of

HOME = make_disk("a")
DISK = make_disk()


def codes(disk: Disk, state: State | None = None, settings: Settings = CLAIMS) -> list[str]:
    state = state or host(HOME, disk)
    return [reason.code for reason in judge(disk, state, settings).reasons]


def test_a_blank_disk_that_a_rule_is_for_is_claimable() -> None:
    verdict = judge(DISK, host(HOME, DISK), CLAIMS)
    assert (verdict.claimable, verdict.vg, verdict.rule) == (True, "vg", RULE)
    assert verdict.reasons == ()


PROPERTIES: list[tuple[str, dict[str, object]]] = [
    ("disk-not-ready", {"ready": False}),
    ("disk-kind", {"kind": DiskKind.LOOP}),
    ("disk-kind", {"kind": DiskKind.MD}),
    ("disk-kind", {"kind": DiskKind.OPTICAL}),
    ("disk-kind", {"kind": DiskKind.OTHER}),
    ("disk-multipath-leg", {"multipath_leg": True}),
    ("disk-removable", {"removable": True}),
    ("disk-read-only", {"read_only": True}),
    ("disk-zoned", {"zoned": True}),
    ("disk-partition-table", {"partitions": ("sdb1",)}),
    ("disk-partition-table", {"content": "gpt"}),
    ("disk-partition-table", {"content": "dos"}),
    ("disk-held", {"holders": ("dm-3",)}),
    ("disk-held", {"slaves": ("sdx",)}),
    ("disk-signature", {"content": "ext4"}),
    ("disk-too-small", {"size": LABEL_SPACE + EXTENT - 1}),
    ("disk-sector-size", {"sector": 4096}),
    ("disk-not-probed", {"probe": None}),
]
PROBES: list[tuple[str, Probe]] = [
    ("disk-unreadable", Probe(error="Input/output error")),
    ("disk-partition-table", Probe(tables=("gpt",))),
    ("disk-orphan-pv", Probe(pv_label=True, signatures=("LVM2_member at 536",))),
    ("disk-signature", Probe(signatures=("xfs at 0",))),
    ("disk-in-use", Probe(users=("mounted at /data",))),
    ("disk-named-elsewhere", Probe(mentions=("/etc/fstab",))),
    ("disk-has-data", Probe(data_at=1 << 20)),
]


@pytest.mark.parametrize(
    ("code", "changes"), [*PROPERTIES, *((code, {"probe": probe}) for code, probe in PROBES)]
)
def test_each_thing_against_a_disk_has_its_code_and_no_other(
    code: str, changes: dict[str, object]
) -> None:
    assert codes(make_disk(**changes)) == [code]
    by_hand = judge_by_hand(make_disk(**changes), "vg", host(HOME, make_disk(**changes)))
    assert [reason.code for reason in by_hand.reasons] == [code]


@pytest.mark.parametrize("changes", [{"size": LABEL_SPACE + EXTENT}, {"kind": DiskKind.MULTIPATH}])
def test_what_is_just_good_enough_is_taken(changes: dict[str, object]) -> None:
    assert codes(make_disk(**changes)) == []


def test_a_multipath_map_is_made_of_others_and_still_taken() -> None:
    legs = [make_disk(c, multipath_leg=True, wwn="0x5", serial="s") for c in "cd"]
    disk = make_disk(kind=DiskKind.MULTIPATH, slaves=("sdc", "sdd"), wwn="0x5", serial="s")
    assert codes(disk, host(HOME, disk, *legs)) == []
    assert codes(legs[0], host(HOME, disk, *legs)) == ["disk-multipath-leg", "disk-not-unique"]


@pytest.mark.parametrize(
    ("mine", "theirs", "unique"),
    [
        (("s", "0x1"), ("s", "0x2"), True),  # two namespaces of one NVMe controller
        (("s", "0x1"), ("t", "0x1"), False),  # two paths to one disk
        (("s", None), ("s", None), False),
        (("s", "0x1"), ("s", None), False),
        (("s", None), ("t", None), True),
        ((None, None), (None, None), True),
        ((None, "0x1"), (None, "0x2"), True),
    ],
)
def test_a_disk_is_no_twin_of_another(
    mine: tuple[str | None, str | None],
    theirs: tuple[str | None, str | None],
    unique: bool,  # noqa: FBT001 - a table
) -> None:
    disk = make_disk(serial=mine[0], wwn=mine[1])
    other = make_disk("c", serial=theirs[0], wwn=theirs[1])
    assert codes(disk, host(HOME, disk, other)) == ([] if unique else ["disk-not-unique"])


LEDGERS = [
    ("disk-ignored", Ledger(ignored=frozenset({DISK.identity}))),
    ("disk-taken-out", Ledger(taken_out=frozenset({DISK.identity}))),
    ("ledger-unreadable", Ledger(unreadable=True)),
]


@pytest.mark.parametrize(("code", "ledger"), LEDGERS)
def test_what_an_administrator_decided_binds_the_rules_and_not_his_own_hand(
    code: str, ledger: Ledger
) -> None:
    state = host(HOME, DISK, ledger=ledger)
    assert codes(DISK, state) == [code]
    assert judge_by_hand(DISK, "vg", state).claimable


def test_another_disk_is_not_meant_by_what_is_ignored() -> None:
    ledger = Ledger(ignored=frozenset({"serial:else"}), taken_out=frozenset({"serial:else"}))
    assert codes(DISK, host(HOME, DISK, ledger=ledger)) == []


GROUPS: list[tuple[str, Callable[[State], State]]] = [
    ("vg-unknown", lambda state: replace(state, vgs=())),
    ("vg-misnamed", lambda s: replace(s, vgs=(replace(s.vgs[0], misnamed=True),))),
    ("vg-exported", lambda s: replace(s, vgs=(replace(s.vgs[0], exported=True),))),
    ("vg-read-only", lambda s: replace(s, vgs=(replace(s.vgs[0], writeable=False),))),
    ("vg-silent", lambda s: replace(s, vgs=(replace(s.vgs[0], silent=True),))),
    ("vg-shared", lambda s: replace(s, vgs=(replace(s.vgs[0], shared=True),))),
    ("vg-duplicate-name", lambda s: replace(s, vgs=(*s.vgs, replace(s.vgs[0], uuid="2")))),
    (
        "vg-missing-pv",
        lambda s: replace(
            s, vgs=(replace(s.vgs[0], pvs=(replace(s.vgs[0].pvs[0], missing=True),)),)
        ),
    ),
]


@pytest.mark.parametrize(("code", "change"), GROUPS, ids=[code for code, _ in GROUPS])
def test_a_group_that_must_not_be_changed_takes_no_disk_whoever_asks(
    code: str, change: Callable[[State], State]
) -> None:
    state = change(host(HOME, DISK))
    assert codes(DISK, state) == [code]
    assert [r.code for r in judge_by_hand(DISK, "vg", state).reasons] == [code]


def test_a_disk_that_is_in_a_group_is_only_that() -> None:
    vgs = (vg_of(HOME), vg_of(DISK, name="other"))
    state = replace(host(HOME, DISK), vgs=vgs)
    assert codes(HOME, state) == ["disk-in-vg"]
    assert codes(DISK, state) == ["disk-in-other-vg"]
    used = replace(DISK, holders=("dm-1",), content="LVM2_member", probe=None)
    assert [r.code for r in judge(used, state, CLAIMS).reasons] == ["disk-in-other-vg"]


@pytest.mark.parametrize(
    ("name", "code"), [("other", "disk-in-other-vg"), ("vg", "disk-part-in-vg")]
)
def test_a_disk_with_a_partition_in_a_group_is_nobodys_to_take(name: str, code: str) -> None:
    """The group is inactive, so that nothing holds the disk."""
    numbers = {"partitions": ("sdb1", "sdb2"), "partition_devnos": ((8, 17), (259, 3))}
    disk = make_disk(**numbers, content="gpt", probe=Probe(tables=("gpt",)))
    partition = replace(make_disk(), name="sdb2", devno=(259, 3))
    group = vg_of(HOME, partition) if name == "vg" else vg_of(partition, name=name)
    state = replace(host(HOME, disk), vgs=(group,) if name == "vg" else (vg_of(HOME), group))
    assert codes(disk, state) == [code]
    for content in (False, True):
        found = objections(disk, state, "vg", content=content)
        assert [reason.code for reason in found] == [code]


def test_of_a_member_nothing_else_is_told_whatever_its_group_is_like() -> None:
    full = Settings(claims=(replace(RULE, limit=1), RULE))
    ledger = Ledger(ignored=frozenset({HOME.identity}))
    assert codes(HOME, host(HOME, DISK, ledger=ledger), full) == ["disk-in-vg"]
    assert codes(DISK, host(HOME, DISK, ledger=ledger), full) == ["vg-limit"]


def test_a_disk_that_no_rule_is_for_is_told_with_all_that_else_speaks_against_it() -> None:
    disk = make_disk(path="usb-1", removable=True)
    verdict = judge(disk, host(HOME, disk), CLAIMS)
    assert [reason.code for reason in verdict.reasons] == ["disk-no-rule", "disk-removable"]
    assert (verdict.rule, verdict.vg) == (None, None)
    assert judge_by_hand(replace(disk, removable=False), "vg", host(HOME, disk)).claimable


@pytest.mark.parametrize(("limit", "allowed"), [(1, False), (2, True), (None, True)])
def test_a_group_takes_no_more_pvs_than_its_limit(
    limit: int | None,
    allowed: bool,  # noqa: FBT001 - a table
) -> None:
    settings = Settings(claims=(replace(RULE, limit=limit),))
    assert codes(DISK, settings=settings) == ([] if allowed else ["vg-limit"])
    assert judge_by_hand(DISK, "vg", host(HOME, DISK)).claimable


def test_the_lowest_limit_of_all_rules_for_a_disk_counts() -> None:
    ask = replace(RULE, mode=ClaimMode.ASK, limit=9)
    settings = Settings(claims=(ask, replace(RULE, limit=1)))
    assert codes(DISK, settings=settings) == ["vg-limit"]


def test_rules_that_name_different_groups_claim_nothing() -> None:
    settings = Settings(claims=(RULE, replace(RULE, vg="other")))
    assert codes(DISK, settings=settings) == ["disk-rules-differ"]
    one = Settings(claims=(RULE, ClaimRule("other", Match(path="usb-*"))))
    assert codes(DISK, settings=one) == []


def test_of_several_rules_each_things_least_counts() -> None:
    ask = replace(RULE, mode=ClaimMode.ASK)
    slow, few = replace(RULE, settle=60.0), replace(RULE, limit=2)
    for rules in itertools.permutations((ask, slow, few, replace(RULE, limit=3))):
        found = strictest(rules)
        assert (found.mode, found.settle, found.limit) == (ClaimMode.ASK, 60.0, 2)
    assert strictest((RULE,)) == RULE


def test_a_rule_that_asks_is_asked_only_for_a_disk_that_could_be_claimed() -> None:
    settings = Settings(claims=(RULE, replace(RULE, mode=ClaimMode.ASK)))
    assert codes(DISK, settings=settings) == ["disk-ask"]
    assert codes(make_disk(removable=True), settings=settings) == ["disk-removable"]
    assert codes(make_disk(zoned=True), settings=settings) == ["disk-zoned"]


def test_a_close_look_is_taken_only_when_nothing_cheaper_speaks_against_it() -> None:
    bare = make_disk(probe=None)
    assert needs_probe(bare, host(HOME, bare), CLAIMS)
    assert not needs_probe(bare, host(HOME, bare), Settings())
    full = Settings(claims=(replace(RULE, limit=1),))
    assert not needs_probe(bare, host(HOME, bare), full)
    for code, changes in PROPERTIES:
        if code != "disk-not-probed":
            disk = make_disk(**changes, probe=None) if changes else bare
            assert not needs_probe(disk, host(HOME, disk), CLAIMS), code


def test_data_is_not_told_where_its_kind_is_known() -> None:
    disk = make_disk(probe=Probe(signatures=("ext4 at 1080",), data_at=1024, users=("x",)))
    assert codes(disk) == ["disk-signature", "disk-in-use"]


def test_without_a_group_a_disk_is_judged_by_itself() -> None:
    assert list(cheap_objections(make_disk(sector=4096), host(HOME))) == []
    tiny = make_disk(size=MIB)
    assert [r.code for r in cheap_objections(tiny, host(HOME))] == ["disk-too-small"]


def test_the_groups_sector_size_is_unknown_while_its_disks_are() -> None:
    state = host(DISK)
    assert state.vgs[0].pvs[0].devno is not None
    assert codes(make_disk(sector=4096), state) == []


def test_every_reason_is_explained() -> None:
    made = {code for code, *_ in (*PROPERTIES, *PROBES, *LEDGERS, *GROUPS)}
    assert made <= set(CODES)


def test_a_leg_with_the_same_serial_is_a_double_unless_the_disk_is_its_map() -> None:
    leg = make_disk("c", serial=DISK.serial, multipath_leg=True)
    assert codes(DISK, host(HOME, DISK, leg)) == ["disk-not-unique"]
    whole = replace(DISK, kind=DiskKind.MULTIPATH, slaves=("sdc",))
    assert codes(whole, host(HOME, whole, leg)) == []
