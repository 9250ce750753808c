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


def look(state: State) -> State:
    async def read(*, fresh: bool, disks: bool, units: bool, host: bool) -> State:
        assert fresh
        assert disks
        assert units
        assert not host
        return state

    loop = cast("Loop", SimpleNamespace(observer=SimpleNamespace(look=read)))
    return asyncio.run(look_at_all(loop))


def test_what_nobody_noted_yet_is_seen_in_the_look_itself() -> None:
    ledger = keep_books(Ledger(), host(HOME, DISK, OTHER, vg=vg_of(HOME, DISK)))
    state = look(host(HOME, DISK, OTHER, ledger=ledger))
    assert state.ledger.taken_out == {DISK.identity}
    past = Past(steady=steady(*state.disks))
    assert [claim.disk for claim in plan_claims(state, CLAIMS, past)[0]] == [OTHER.node]


def test_a_ledger_that_cannot_be_read_stays_unreadable() -> None:
    state = look(host(HOME, DISK, ledger=Ledger(unreadable=True)))
    assert state.ledger.unreadable
