"""Disks that become space: by rule, by hand, and by growing."""

import math
from dataclasses import replace

import pytest

from dmguard.core.actions import Act, ResizePv
from dmguard.core.goals import ClaimByHand
from dmguard.core.ledger import Ledger, Member
from dmguard.core.model import Probe, Pv, State
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.plan.claim import find_disk, plan_claims, plan_resizes
from dmguard.core.settings import ClaimMode, Settings
from dmguard.core.verdict import judge
from tests.unit.builders import GIB, MIB
from tests.unit.disks import CLAIM, CLAIMS, DISK, RULE, host, make_disk, pv_on, steady, vg_of

HOME = make_disk("a")


def claims(
    state: State, settings: Settings = CLAIMS, past: Past | None = None
) -> tuple[list[str], float | None]:
    """The nodes that are claimed, and the wait."""
    past = past or Past(steady=steady(*state.disks))
    actions, waits = plan_claims(state, settings, past)
    return [action.disk for action in actions], min(waits.values(), default=None)


def test_a_claim_tells_the_disk_by_all_that_it_can_be_told_by() -> None:
    past = Past(steady=steady(DISK))
    assert plan_claims(host(HOME, DISK), CLAIMS, past) == ((CLAIM,), {})


def test_a_disk_whose_look_is_under_way_is_waited_for_without_a_time() -> None:
    slow = replace(DISK, probe=Probe(under_way=True))
    state = host(HOME, slow)
    assert claims(state) == ([], math.inf)
    plan = make_plan(state, CLAIMS, Past(steady=steady(slow)))
    assert (plan.waits, plan.wait) == ({DISK.identity: math.inf}, None)
    assert plan.findings == ()


def test_without_a_rule_no_disk_is_claimed_and_nothing_is_waited_for() -> None:
    assert claims(host(HOME, DISK), Settings()) == ([], None)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, ([], 5.0)), (4.5, ([], 0.5)), (5.0, (["/dev/sdb"], None))],
)
def test_a_disk_is_claimed_when_it_has_been_as_it_is_for_long_enough(
    seconds: float, expected: tuple[list[str], float | None]
) -> None:
    past = Past(steady=steady(DISK, seconds=seconds))
    assert claims(host(HOME, DISK), past=past) == expected


def test_a_disk_that_was_never_seen_before_must_settle_first() -> None:
    assert claims(host(HOME, DISK), past=Past()) == ([], 5.0)
    at_once = Settings(claims=(replace(RULE, settle=0.0),))
    assert claims(host(HOME, DISK), at_once, Past()) == (["/dev/sdb"], None)


def test_the_first_of_several_that_settle_is_waited_for() -> None:
    disks = [make_disk("b"), make_disk("c"), make_disk("d")]
    past = Past(steady={"/dev/sdb": 1.0, "/dev/sdc": 4.0, "/dev/sdd": 9.0})
    assert claims(host(HOME, *disks), past=past) == (["/dev/sdd"], 1.0)


def test_a_disk_that_there_was_no_time_to_look_at_is_looked_at_soon() -> None:
    unseen = make_disk("c", probe=None)
    found, wait = claims(host(HOME, DISK, unseen))
    assert found == ["/dev/sdb"]
    assert wait is not None
    assert 0 < wait <= 0.5


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, None])
def test_a_burst_of_disks_does_not_exceed_the_limit(limit: int | None) -> None:
    burst = [make_disk(letter) for letter in "bcdef"]
    settings = Settings(claims=(replace(RULE, limit=limit),))
    found, wait = claims(host(HOME, *burst), settings)
    allowed = 5 if limit is None else min(5, limit - 1)
    assert found == [disk.node for disk in burst[:allowed]]
    assert wait is None


def test_each_group_has_its_own_limit() -> None:
    other = replace(RULE, vg="other", match=replace(RULE.match, path="usb-*"), limit=2)
    settings = Settings(claims=(replace(RULE, limit=2), other))
    disks = [make_disk("b"), make_disk("c"), *(make_disk(x, path=f"usb-{x}") for x in "de")]
    vgs = (vg_of(HOME), vg_of(make_disk("z"), name="other"))
    state = replace(host(HOME, *disks), vgs=vgs)
    assert claims(state, settings)[0] == ["/dev/sdb", "/dev/sdd"]


ASKED = (DISK, make_disk(removable=True))


def test_a_rule_that_asks_shows_the_disk_and_claims_nothing() -> None:
    ask = Settings(claims=(replace(RULE, mode=ClaimMode.ASK),))
    state = host(HOME, DISK)
    assert claims(state, ask) == ([], None)
    shown = {disk: [reason.code for reason in judge(disk, state, ask).reasons] for disk in ASKED}
    assert shown == {ASKED[0]: ["disk-ask"], ASKED[1]: ["disk-removable"]}
    assert judge(DISK, state, CLAIMS).reasons == ()


OURS = frozenset({DISK.identity})


@pytest.mark.parametrize("ledger", [Ledger(ignored=OURS), Ledger(taken_out=OURS)])
def test_a_disk_that_is_ignored_or_was_taken_out_is_not_claimed_again(ledger: Ledger) -> None:
    other = make_disk("c")
    assert claims(host(HOME, DISK, other, ledger=ledger))[0] == ["/dev/sdc"]


def by_hand(state: State, name: str = "/dev/sdb", vg: str = "vg") -> Plan:
    return make_plan(state, Settings(), Past(), ClaimByHand(name, vg))


@pytest.mark.parametrize("name", ["/dev/sdb", "sdb", "/dev/disk/by-id/scsi-b"])
def test_by_hand_neither_rule_nor_limit_nor_settling_is_asked(name: str) -> None:
    ledger = Ledger(ignored=frozenset({DISK.identity}), taken_out=frozenset({DISK.identity}))
    plan = by_hand(host(HOME, DISK, ledger=ledger), name)
    assert plan.actions == (replace(CLAIM, reason="asked"),)
    assert plan.refusals == ()


def test_by_hand_every_check_of_the_disk_holds_and_each_is_told() -> None:
    disk = make_disk(probe=Probe(signatures=("xfs at 0",), users=("mounted at /data",)))
    plan = by_hand(host(HOME, disk))
    assert plan.actions == ()
    assert [(r.subject, r.code, r.act) for r in plan.refusals] == [
        ("/dev/sdb", "disk-signature", Act.CLAIM_DISK),
        ("/dev/sdb", "disk-in-use", Act.CLAIM_DISK),
    ]
    assert "(mounted at /data)" in plan.refusals[1].message


def test_by_hand_the_disk_and_the_group_must_be_there() -> None:
    state = host(HOME, DISK)
    assert [r.code for r in by_hand(state, "/dev/sdq").refusals] == ["no-such-disk"]
    assert [r.code for r in by_hand(state, vg="nope").refusals] == ["vg-unknown"]
    assert find_disk(state, "/dev/disk/by-id/scsi-q") is None


FULL = pv_on(make_disk(size=8 * GIB))
"""A PV that fills its device of 8 GiB."""
GROWN = replace(FULL, device_size=10 * GIB)


def resizes(
    pv: Pv, known: int | None = 8 * GIB, settings: Settings | None = None
) -> list[ResizePv]:
    members = {} if known is None else {pv.uuid: Member("uuid-vg", DISK.identity, known)}
    vg = replace(vg_of(), pvs=(pv,))
    state = host(HOME, DISK, vg=vg, ledger=Ledger(members=members))
    return list(plan_resizes(state, settings or Settings()))


def test_a_pv_whose_disk_grew_gets_all_of_it() -> None:
    assert resizes(GROWN) == [
        ResizePv("vg", "uuid-vg", "/dev/sdb", FULL.uuid, size=FULL.size, target=10 * GIB)
    ]


@pytest.mark.parametrize(
    ("pv", "known"),
    [
        (FULL, 8 * GIB),
        (GROWN, None),  # nobody saw it grow
        (GROWN, 10 * GIB),  # an administrator made the PV smaller than its device
        (replace(GROWN, device_size=8 * GIB + MIB - 1), 8 * GIB),  # less than an extent
        (replace(GROWN, device_size=None, devno=None), 8 * GIB),
    ],
)
def test_any_other_pv_is_left_as_it_is(pv: Pv, known: int | None) -> None:
    assert resizes(pv, known) == []


def test_a_group_without_a_guarded_pool_or_with_an_obstacle_is_left() -> None:
    assert resizes(GROWN, settings=Settings(pools=("other/*",))) == []
    assert resizes(replace(GROWN, missing=True)) == []
