"""What is known of disks beyond one look: who took them out, and which of them grew."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.goals import ClaimByHand
from dmguard.core.ledger import Ledger, Member, keep_books, load_ledger
from dmguard.core.model import Disk, State, Vg
from dmguard.core.plan import Past, make_plan
from dmguard.core.plan.claim import plan_resizes
from dmguard.core.settings import Settings
from tests.unit.builders import GIB, make_pool, make_state
from tests.unit.disks import CLAIMS, DISK, host, make_disk, pv_on, steady, vg_of

A, B, C = (make_disk(letter) for letter in "abc")
FULL = Ledger(
    members={pv_on(d).uuid: Member("uuid-vg", d.identity, d.size) for d in (A, B)},
)


def seen(ledger: Ledger, *members: Disk, disks: tuple[Disk, ...] = (A, B, C)) -> Ledger:
    """The ledger after a look at a VG of these members."""
    return keep_books(ledger, host(*disks, vg=vg_of(*members), ledger=ledger))


def test_a_first_look_notes_the_members_and_nobody_took_any_out() -> None:
    assert seen(Ledger(), A, B) == FULL
    assert seen(FULL, A, B) == FULL


def test_a_pv_that_its_group_no_longer_lists_was_taken_out() -> None:
    after = seen(FULL, A)
    assert after.taken_out == {B.identity}
    assert set(after.members) == {pv_on(A).uuid}
    assert seen(after, A) == after


def test_a_disk_that_is_back_in_a_group_is_taken_out_and_ignored_no_more() -> None:
    ledger = replace(seen(FULL, A), ignored=frozenset({B.identity, C.identity}))
    after = seen(ledger, A, B)
    assert after.taken_out == set()
    assert after.ignored == {C.identity}


def test_a_group_that_is_not_there_tells_nothing() -> None:
    assert keep_books(FULL, replace(make_state(), disks=(A, B))) == FULL
    other = replace(vg_of(A), uuid="another")
    assert keep_books(FULL, host(A, B, vg=other)).taken_out == set()


def test_a_group_with_a_missing_pv_tells_nothing() -> None:
    away = replace(pv_on(C, missing=True), devno=None, device_size=None)
    vg = replace(vg_of(A), pvs=(pv_on(A), away))
    assert keep_books(FULL, host(A, B, vg=vg)) == FULL
    assert keep_books(FULL, host(A, B, vg=vg_of(A))).taken_out == {B.identity}


def test_a_pv_whose_disk_nobody_looked_at_is_never_said_to_be_taken_out() -> None:
    blind = seen(Ledger(), A, B, disks=())
    assert {member.disk for member in blind.members.values()} == {""}
    assert seen(blind, A, disks=()).taken_out == set()
    # What was known of it before stays known.
    assert seen(FULL, A, B, disks=()) == FULL


def test_a_device_that_grew_keeps_the_size_that_its_pv_fills() -> None:
    small = replace(B, size=8 * GIB)
    ledger = seen(Ledger(), A, small, disks=(A, small))
    grown = vg_of(A, small)
    grown = replace(grown, pvs=(pv_on(A), replace(pv_on(small), device_size=B.size)))
    for _ in range(3):
        ledger = keep_books(ledger, host(A, B, vg=grown, ledger=ledger))
    assert ledger.members[pv_on(B).uuid].device_size == 8 * GIB
    state = host(A, B, vg=grown, ledger=ledger)
    assert [action.target for action in plan_resizes(state, Settings())] == [B.size]
    after = seen(ledger, A, B)
    assert after.members[pv_on(B).uuid].device_size == B.size


def test_a_pv_that_is_smaller_than_its_device_from_the_first_look_is_meant_to_be() -> None:
    vg = replace(vg_of(A), pvs=(pv_on(A, size=GIB),))
    ledger = keep_books(Ledger(), host(A, vg=vg))
    assert list(plan_resizes(host(A, vg=vg, ledger=ledger), Settings())) == []


def test_a_device_that_shrank_and_grows_again_is_seen_to_grow() -> None:
    grown = replace(pv_on(B), size=4 * GIB, device_size=6 * GIB)
    vg = replace(vg_of(), pvs=(grown,))
    assert keep_books(FULL, host(B, vg=vg)).members[grown.uuid].device_size == 6 * GIB


IDS = st.sampled_from(["serial:a", "wwn:0x5", "path:pci", "name:sdq"])
LEDGERS = st.builds(
    Ledger,
    ignored=st.frozensets(IDS),
    taken_out=st.frozensets(IDS),
    members=st.dictionaries(
        st.text(max_size=4), st.builds(Member, st.text(max_size=4), IDS, st.integers(0, 1 << 60))
    ),
)


@given(LEDGERS)
def test_a_ledger_survives_its_file(ledger: Ledger) -> None:
    assert load_ledger(json.loads(json.dumps(ledger.as_values()))) == ledger


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"ignored": [], "taken_out": []},
        {"ignored": 1, "taken_out": [], "members": {}},
        {"ignored": [], "taken_out": [], "members": []},
        {"ignored": [], "taken_out": [], "members": {"u": {"vg": "x"}}},
        {"ignored": [], "taken_out": [], "members": {"u": 3}},
        {
            "ignored": [],
            "taken_out": [],
            "members": {"u": {"vg": "", "disk": "", "device_size": ""}},
        },
    ],
)
def test_what_is_no_ledger_is_an_error(values: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_ledger(values)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["out", "in", "ignore", "away", "look", "blind"]), st.integers(0, 2)),
    max_size=25,
)


class World:
    """One group and three disks, an administrator, and the books that are kept meanwhile."""

    def __init__(self) -> None:
        self.disks = (A, B, C)
        self.inside = [A]
        self.forbidden: set[str] = set()
        self.ledger = Ledger()
        self.absent = False
        self.look()

    def state(self, *, disks: bool = True) -> State:
        vgs: tuple[Vg, ...] = () if self.absent else (vg_of(*self.inside),)
        pools = [make_pool(vg=vg) for vg in vgs]
        shown = self.disks if disks else ()
        return replace(make_state(*pools), vgs=vgs, disks=shown, ledger=self.ledger)

    def look(self, *, disks: bool = True) -> None:
        self.ledger = keep_books(self.ledger, self.state(disks=disks))

    def step(self, event: str, disk: Disk) -> None:
        self.absent = event == "away"
        if event == "out" and disk in self.inside and len(self.inside) > 1:
            self.inside.remove(disk)
            self.forbidden.add(disk.identity)
        elif event == "in" and disk not in self.inside:
            # By an administrator, with vgextend or dmguard claim.
            self.inside.append(disk)
            self.forbidden.discard(disk.identity)
        elif event == "ignore" and disk not in self.inside:
            self.ledger = replace(self.ledger, ignored=self.ledger.ignored | {disk.identity})
            self.forbidden.add(disk.identity)
        self.look(disks=event != "blind")


@given(EVENTS)
def test_what_an_administrator_took_out_or_ignored_is_claimed_by_nobody_but_him(
    events: list[tuple[str, int]],
) -> None:
    world = World()
    for event, number in events:
        world.step(event, world.disks[number])
        state = world.state()
        past = Past(steady=steady(*world.disks))
        claimed = {a.disk for a in make_plan(state, CLAIMS, past).actions if a.disk}
        free = {d.node for d in world.disks if d not in world.inside}
        forbidden = {d.node for d in world.disks if d.identity in world.forbidden}
        assert claimed == (set() if world.absent else free - forbidden)
        for node in () if world.absent else free:
            plan = make_plan(state, CLAIMS, past, ClaimByHand(node, "vg"))
            assert [action.disk for action in plan.actions] == [node]


def test_the_property_can_fail() -> None:
    world = World()
    world.step("in", DISK)
    world.step("out", DISK)
    assert world.forbidden == {DISK.identity}
    world.ledger = Ledger()
    past = Past(steady=steady(*world.disks))
    actions = make_plan(world.state(), CLAIMS, past).actions
    assert DISK.node in {action.disk for action in actions}
