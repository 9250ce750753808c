"""Hostile input: each target of tests/fuzz for a moment, and what it once did not bear.

The hunt for more is `make fuzz`. This part of it is the same each time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.engine import CORPUS, Target, hunt_for
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEED = 1
_MOST = 100
"""Not a time: the same inputs are tried on every machine. Together they take some ten seconds."""
_SECONDS = 25.0

KEPT = [(path.parent.name, path.name) for path in sorted(CORPUS.glob("*/*"))]


@pytest.fixture(autouse=True)
def nothing_logged() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_hostile_input_is_borne(target: Target) -> None:
    hunt = hunt_for(target, _SEED, _SECONDS, _MOST)
    told = [f"{finding.text}\ninput: {finding.data!r}" for finding in hunt.findings.values()]
    assert not told, "\n\n".join(told)
    assert hunt.executions > len(target.corpus), "nothing was tried"


@pytest.mark.parametrize(("name", "file"), KEPT, ids=map("/".join, KEPT))
def test_what_once_was_not_borne_is(name: str, file: str) -> None:
    TARGETS[name].run((CORPUS / name / file).read_bytes())


def test_an_error_is_found_and_its_input_made_small() -> None:
    def check(data: bytes) -> None:
        assert b"x" not in data

    target = Target("none", lambda dice: bytes(dice.number(97, 122) for _ in range(50)), check)
    hunt = hunt_for(target, _SEED, 10.0, 100)
    assert [finding.data for finding in hunt.findings.values()] == [b"x"]


def test_what_does_not_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.engine.LONGEST_S", 0.05)
    monkeypatch.setattr("tests.fuzz.engine._SHRINK_S", 0.0)

    def check(data: bytes) -> None:
        while data:
            pass

    hunt = hunt_for(Target("none", lambda _: b"x", check), _SEED, 10.0, 2)
    assert ["OvertimeError" in place for place in hunt.findings] == [True]
