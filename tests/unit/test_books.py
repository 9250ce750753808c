"""The ledger and the list of late pools, on disk and beside another writer."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from dmguard.core.ledger import Ledger, keep_books
from dmguard.core.model import State
from dmguard.core.plan import Past
from dmguard.core.plan.claim import plan_claims
from dmguard.edge.files import Lock, write_atomic
from dmguard.loop.books import Books
from dmguard.loop.ink import Ink
from dmguard.loop.record import Paths
from tests.unit.builders import make_pool, make_state
from tests.unit.disks import CLAIMS, host, make_disk, steady, vg_of

T = TypeVar("T")
A, B = make_disk("a"), make_disk("b")


class Shelf:
    """Books, and another's books of the same files."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(run=root / "run", lib=root / "lib")
        self.ink = Ink()
        self.books = Books(self.paths, self.ink)
        self.others = Books(self.paths, self.ink)

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run(work)

    def state(self, *members: object) -> State:
        disks = [disk for disk in (A, B) if disk in members]
        state = host(A, B, vg=vg_of(*disks), ledger=self.books.read_ledger())
        return replace(state, late=self.books.read_late())

    def keep(self, *members: object) -> None:
        self.run(self.books.keep(self.state(*members)))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_without_files_nothing_is_known(shelf: Shelf) -> None:
    assert shelf.books.read_ledger() == Ledger()
    assert shelf.books.read_late() == frozenset()


def test_what_a_look_shows_is_written_and_read_by_others(shelf: Shelf) -> None:
    shelf.keep(A, B)
    shelf.keep(A)
    assert shelf.others.read_ledger().taken_out == {B.identity}


def test_a_look_that_shows_nothing_new_writes_nothing_and_takes_no_lock(shelf: Shelf) -> None:
    shelf.keep(A, B)
    before = shelf.paths.ledger.stat().st_ino
    shelf.paths.lock.unlink()
    shelf.keep(A, B)
    assert shelf.paths.ledger.stat().st_ino == before
    assert not shelf.paths.lock.exists()


def test_while_another_holds_the_lock_the_next_look_does_it(shelf: Shelf) -> None:
    with Lock.acquire(shelf.paths.lock):
        shelf.keep(A, B)
        assert not shelf.paths.ledger.exists()
    shelf.keep(A, B)
    assert len(shelf.others.read_ledger().members) == 2


def test_a_word_that_another_wrote_since_the_look_is_not_lost(shelf: Shelf) -> None:
    state = shelf.state(A, B)
    shelf.run(shelf.others.ignore("serial:elsewhere"))
    shelf.run(shelf.books.keep(state))
    ledger = shelf.others.read_ledger()
    assert ledger.ignored == {"serial:elsewhere"}
    assert len(ledger.members) == 2


def test_two_words_of_an_administrator_are_both_kept(shelf: Shelf) -> None:
    for identity in ("serial:x", "serial:y", "serial:x"):
        shelf.run(shelf.books.ignore(identity))
    assert shelf.others.read_ledger().ignored == {"serial:x", "serial:y"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"ignored": 1}', "\x00"])
def test_a_ledger_that_cannot_be_read_forbids_every_claim_and_is_left(
    shelf: Shelf, text: str
) -> None:
    write_atomic(shelf.paths.ledger, text.encode())
    past = Past(steady=steady(A, B))
    state = shelf.state(A)
    assert state.ledger.unreadable
    assert plan_claims(state, CLAIMS, past)[0] == ()
    shelf.keep(A)
    assert shelf.paths.ledger.read_text() == text
    # Put right, it is read again.
    write_atomic(shelf.paths.ledger, json.dumps(Ledger().as_values()).encode())
    assert [claim.disk for claim in plan_claims(shelf.state(A), CLAIMS, past)[0]] == [B.node]


def test_a_ledger_that_became_unreadable_since_the_look_is_not_overwritten(shelf: Shelf) -> None:
    state = shelf.state(A, B)
    write_atomic(shelf.paths.ledger, b"{")
    shelf.run(shelf.books.keep(state))
    assert shelf.paths.ledger.read_text() == "{"


class SlowInk(Ink):
    """Keeps what it is to write, and says that it is late."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: list[Callable[[], None]] = []

    async def write(self, operation: Callable[[], None]) -> bool:
        self.queued.append(operation)
        return False


@pytest.mark.parametrize("lands", ["before the word", "after it"])
def test_a_word_is_not_lost_to_a_note_that_was_written_late(shelf: Shelf, lands: str) -> None:
    ink = SlowInk()
    books = Books(shelf.paths, ink)
    shelf.run(shelf.others.ignore("serial:old"))
    state = replace(shelf.state(A, B), ledger=books.read_ledger())
    shelf.run(books.keep(state))
    assert books.read_ledger().unreadable
    (late,) = ink.queued
    if lands == "before the word":
        late()
        shelf.run(shelf.others.ignore("serial:new"))
    else:
        shelf.run(shelf.others.ignore("serial:new"))
        late()
    assert shelf.others.read_ledger().ignored == {"serial:old", "serial:new"}
    assert len(shelf.others.read_ledger().members) == 2

    # The next note is made of what could not be written before, and of the word.
    shelf.run(books.keep(replace(state, ledger=books.read_ledger())))
    for write in ink.queued[1:]:
        write()
    assert shelf.others.read_ledger().ignored == {"serial:old", "serial:new"}


def test_a_disk_that_joins_a_group_is_ignored_no_more_also_if_that_is_noted_late(
    shelf: Shelf,
) -> None:
    ink = SlowInk()
    books = Books(shelf.paths, ink)
    shelf.run(shelf.others.ignore(B.identity))
    for members in ((A,), (A, B)):
        state = host(A, B, vg=vg_of(*members), ledger=books.read_ledger())
        shelf.run(books.keep(state))
        ink.queued[-1]()
    assert shelf.others.read_ledger().ignored == frozenset()


def test_a_ledger_that_cannot_even_be_looked_at_is_no_empty_one(shelf: Shelf) -> None:
    shelf.paths.ledger.parent.mkdir(parents=True)
    shelf.paths.ledger.symlink_to(shelf.paths.ledger)  # a loop
    assert shelf.books.read_ledger().unreadable
    shelf.keep(A, B)
    assert shelf.paths.ledger.is_symlink()
    shelf.paths.ledger.unlink()
    assert shelf.books.read_ledger() == Ledger()


def test_ignoring_does_not_overwrite_what_cannot_be_read(shelf: Shelf) -> None:
    write_atomic(shelf.paths.ledger, b"{")
    assert not shelf.run(shelf.books.ignore("serial:x"))
    assert shelf.paths.ledger.read_text() == "{"
    shelf.paths.ledger.unlink()
    assert shelf.run(shelf.books.ignore("serial:x"))


def late(shelf: Shelf, *names: str) -> None:
    data = json.dumps({"begun": 1.5, "late": names})
    write_atomic(shelf.paths.activation, data.encode())


@pytest.mark.parametrize("name", ["vg/pool", "vg-pool"])
def test_a_pool_that_came_up_is_late_no_more(shelf: Shelf, name: str) -> None:
    late(shelf, name, "vg/else")
    shelf.keep(A)
    assert shelf.others.read_late() == {"vg/else"}
    assert json.loads(shelf.paths.activation.read_text())["begun"] == 1.5


def test_a_pool_that_is_still_down_stays_late(shelf: Shelf) -> None:
    late(shelf, "vg/pool")
    down = make_state(replace(make_pool(), kernel=None))
    ledger = keep_books(Ledger(), down)
    shelf.run(shelf.books.keep(replace(down, ledger=ledger, late=shelf.books.read_late())))
    assert shelf.others.read_late() == {"vg/pool"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"late": {}}'])
def test_a_list_of_late_pools_that_is_none_is_empty(shelf: Shelf, text: str) -> None:
    write_atomic(shelf.paths.activation, text.encode())
    assert shelf.books.read_late() == frozenset()
