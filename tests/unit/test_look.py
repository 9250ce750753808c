"""A look at everything, by a command that has the time for it."""

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from dmguard.app.guard.look import look_at_all
from dmguard.core.ledger import Ledger, keep_books
from dmguard.core.model import State
from dmguard.core.plan import Past
from dmguard.core.plan.claim import plan_claims
from tests.unit.disks import CLAIMS, DISK, host, make_disk, steady, vg_of

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop

HOME, OTHER = make_disk("a"), make_disk("c")


class Slow:
    """An observer that has the time for one more close look at each look."""

    def __init__(self, *states: State) -> None:
        self.states = list(states)
        self.asked: list[tuple[bool, bool, bool]] = []

    async def look(self, *, fresh: bool = False, disks: bool = False, units: bool = False) -> State:
        self.asked.append((fresh, disks, units))
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def look(*states: State) -> tuple[State, Slow]:
    observer = Slow(*states)
    loop = cast("Loop", SimpleNamespace(observer=observer))
    return asyncio.run(look_at_all(loop)), observer


def test_it_looks_until_every_disk_is_known_that_can_be() -> None:
    bare = [make_disk(letter, probe=None) for letter in "bc"]
    steps = [host(*bare), host(DISK, bare[1]), host(DISK, OTHER), host(DISK, OTHER)]
    state, observer = look(*steps)
    assert [disk.probe is not None for disk in state.disks] == [True, True]
    assert observer.asked == [(True, True, True), *[(False, True, False)] * 3]


def test_what_nobody_noted_yet_is_seen_in_the_look_itself() -> None:
    ledger = keep_books(Ledger(), host(HOME, DISK, OTHER, vg=vg_of(HOME, DISK)))
    state, _ = look(host(HOME, DISK, OTHER, ledger=ledger))
    assert state.ledger.taken_out == {DISK.identity}
    past = Past(steady=steady(*state.disks))
    assert [claim.disk for claim in plan_claims(state, CLAIMS, past)[0]] == [OTHER.node]


def test_a_ledger_that_cannot_be_read_stays_unreadable() -> None:
    state, _ = look(host(HOME, DISK, ledger=Ledger(unreadable=True)))
    assert state.ledger.unreadable
