"""dmguard's own files as it finds them again: after a power cut, a full disk, another version."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from dmguard.app import say
from dmguard.app.cli import status
from dmguard.core.actions import dump_action, is_met, subject
from dmguard.core.entry import Entry
from dmguard.core.ledger import Ledger
from dmguard.core.model import State, Trigger
from dmguard.core.steps import after_for, steps_for
from dmguard.loop.books import Books
from dmguard.loop.ink import Ink
from dmguard.loop.intent import dump_intent, load_intent, read_intent
from dmguard.loop.publish import is_alive, published_findings, read_published
from dmguard.loop.record import Paths, read_history
from tests.fuzz.dice import either
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated, mutated_json
from tests.unit.builders import make_extend, make_refresh
from tests.unit.disks import ACTIVATE, CLAIM, RESIZE, RESTORE, START

_ACTIONS = (make_extend(), make_refresh(), ACTIVATE, CLAIM, RESIZE, RESTORE, START)
_INTENTS = [json.loads(dump_intent(one, Trigger.UDEV, "id-1", "ran-1")) for one in _ACTIONS]
_LEDGER = Ledger(frozenset({"a"}), frozenset({"b"})).as_values() | {
    "members": {"uuid": {"vg": "v", "disk": "d", "device_size": 1000}}
}
_ENTRY = Entry(
    "low-water", "extend-data", "done", "udev", "vg", "vg/pool",
    "low-water", "extended vg/pool by 1 GiB", "", "0123", 1764000000.5, {"target": 1 << 30},
).as_values()  # fmt: skip
_STATE = {
    "schema": 1, "version": "0.1.0", "pid": 1, "started": 1764000000.0,
    "sources": {"udev": "ok", "journal": "failed"}, "rates": {"uuid": 1.5},
    "findings": [{"code": "vg-dry", "subject": "vg", "message": "it is full"}],
    "recent": [_ENTRY],
}  # fmt: skip
_VALUES = ("extend-data", "claim-disk", "done", "ran-9", "ran-", "ran--1", "udev", "vg-dry")


def check_ledger(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        paths = Paths(Path(folder), Path(folder))
        paths.ledger.write_bytes(data)
        found = Books(paths, Ink()).read_ledger()
    if found.unreadable:
        assert found == Ledger(unreadable=True)
        return
    values = json.loads(data)
    assert found.ignored == set(values["ignored"]), "a disk that is never to be asked for is lost"
    assert found.taken_out == set(values["taken_out"])
    assert set(found.members) == set(values["members"])
    assert all(type(member.device_size) is int for member in found.members.values())


def check_late(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        paths = Paths(Path(folder), Path(folder))
        paths.activation.write_bytes(data)
        late = Books(paths, Ink()).read_late()
    assert all(isinstance(name, str) for name in late)


def check_intent(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "intent.json"
        path.write_bytes(data)
        values = read_intent(path)
    assert values is not None
    try:
        action, trigger, identity, ran = load_intent(values)
    except (KeyError, TypeError, ValueError):
        return
    assert isinstance(trigger, Trigger)
    assert identity
    assert ran >= 0
    # Whoever finds it does all of this, with what it names.
    nothing = State((), ())
    assert is_met(action, nothing) in (None, True, False)
    steps = steps_for(action)
    assert all(str(step) for step in steps)
    after_for(action, ran, nothing)
    assert isinstance(subject(action), str)
    given = values["action"]
    told: dict[str, Any] = json.loads(json.dumps(dump_action(action)))
    assert all(
        told[key] == given[key]
        for key in given
        if key in told and key != "diskseq" and "disk" not in key
    )


def check_history(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        paths = Paths(Path(folder), Path(folder))
        paths.history.write_bytes(json.dumps(_ENTRY).encode() + b"\n" + data)
        entries = read_history(paths)
    # A torn line takes nothing of the others with it.
    assert entries
    assert entries[0].as_values() == _ENTRY
    for entry in entries:
        json.dumps(entry.as_values())
        for field in fields(entry):
            value = getattr(entry, field.name)
            assert isinstance(value, str | float | int | dict), field.name
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        say.say_history(entries)


class _Report:
    """As far as the line of the agent reads a report."""

    def __init__(self, published: dict[str, Any] | None) -> None:
        self.published = published
        self.alive = published is not None


def check_state(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        paths = Paths(Path(folder), Path(folder))
        paths.state.write_bytes(data)
        published = read_published(paths)
    assert is_alive(published) in (True, False)
    for finding in published_findings(published):
        assert all(
            isinstance(text, str) for text in (finding.code, finding.subject, finding.message)
        )
    assert isinstance(status._agent_line(_Report(published)), str)  # type: ignore[arg-type]


_LINE = json.dumps(_ENTRY).encode()

TARGETS = (
    Target("ledger", mutated_json([_LEDGER], _VALUES), check_ledger),
    Target("late", mutated_json([{"late": ["vg/pool"], "x": 1}], _VALUES), check_late),
    Target("intent", mutated_json(_INTENTS, _VALUES), check_intent),
    Target(
        "history",
        either(mutated_json([_ENTRY], _VALUES), mutated((_LINE + b"\n" + _LINE,))),
        check_history,
    ),
    Target("state", mutated_json([_STATE], _VALUES), check_state),
)
