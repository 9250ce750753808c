"""The arithmetic of the random power cuts: moments, shares, places, and what must be told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.torture.acts import Data
from tests.torture.campaign import share_out
from tests.torture.report import table
from tests.torture.rounds import ACTS, AFTER, BEFORE, WITHIN, Cut, position_of, share_of_act
from tests.torture.witness import Scene

SIZE, TARGET = 100 << 20, 120 << 20


def data() -> Data:
    """A round of it, without a machine."""
    act = Data.__new__(Data)
    act.size = TARGET
    return act


def scene(size: int = SIZE, *, told: int = 0, intent: bool = False) -> Scene:
    entry: dict[str, Any] = {"action": "extend-data", "result": "done", "code": "data-extended"}
    entry |= {"pool": "docker/thinpool", "disk": "", "vg": "docker"}
    intents = frozenset({"intent.json"} if intent else ())
    return Scene([entry] * told, intents, [["docker", "[thinpool_tdata]", str(size)]])


@pytest.mark.parametrize(
    ("left", "place", "count"),
    [
        (scene(told=1), BEFORE, 2),
        (scene(told=1, intent=True), WITHIN, 2),
        (scene(TARGET, told=1, intent=True), WITHIN, 2),
        (scene(TARGET, told=2, intent=True), WITHIN, 2),
        (scene(TARGET, told=2), AFTER, 2),
        # The intent had not reached the disk: the growth stays untold.
        (scene(TARGET, told=1), WITHIN, 1),
        # LVM had begun with something else, as with its spare: the growth is done anew, and told.
        (scene(SIZE + 1, told=1), WITHIN, 2),
    ],
)
def test_a_place_in_the_act_and_how_often_it_is_told(left: Scene, place: str, count: int) -> None:
    act, before = data(), scene(told=1)

    assert position_of(act, before, left, had_begun=False) == place
    assert act.count(before, left, "extend-data") == count


def test_what_is_told_and_not_there_is_no_place_in_an_act() -> None:
    with pytest.raises(AssertionError, match="told and not there"):
        position_of(data(), scene(told=1), scene(told=2), had_begun=True)


def test_an_act_that_had_begun_may_leave_nothing() -> None:
    assert position_of(data(), scene(told=1), scene(told=1), had_begun=True) == WITHIN


@given(st.integers(0, 1 << 32), st.integers(1, 1000))
def test_a_moment_is_of_its_seed_and_number_alone(seed: int, number: int) -> None:
    drawn = share_of_act(seed, "data", number)

    assert drawn == share_of_act(seed, "data", number)
    assert -0.2 <= drawn <= 1.2
    others = share_of_act(seed, "data", number + 1), share_of_act(seed, "claim", number)
    assert drawn not in others


@pytest.mark.parametrize("act", ACTS)
def test_most_moments_fall_within_the_act_and_some_on_either_side(act: str) -> None:
    drawn = [share_of_act(7, act, number) for number in range(200)]

    assert sum(0 <= share <= 1 for share in drawn) > 100
    assert any(share < 0 for share in drawn)
    assert any(share > 1 for share in drawn)


@given(st.integers(1, 300), st.integers(1, 300), st.lists(st.text(), min_size=1, unique=True))
def test_the_cuts_are_dealt_out_to_the_acts(cuts: int, first: int, names: list[str]) -> None:
    shares = share_out(names, cuts, first)

    assert sum(map(len, shares.values())) == cuts
    assert max(map(len, shares.values())) - cuts // len(names) <= 1
    assert all(numbers[0] == first for numbers in shares.values())


def test_the_table_counts_by_act() -> None:
    cuts = [
        Cut("data", 1, 0.1, BEFORE, told=("above-threshold",), seconds=7),
        Cut("data", 2, 0.2, WITHIN, told=("resumed",), seconds=8),
        Cut("boot", 1, 0.3, AFTER, told=("pool-inactive",), seconds=9),
        Cut("boot", 2, 0.4, failure="AssertionError", seconds=9),
    ]

    head, *rows = (line.split() for line in table(cuts).splitlines())

    assert head[1:] == ["cuts", BEFORE, WITHIN, AFTER, "resumed", "untold", "failures", "seconds"]
    assert {name: [int(value) for value in row] for name, *row in rows} == {
        "data": [2, 1, 1, 0, 1, 0, 0, 15],
        "boot": [2, 0, 0, 1, 0, 0, 1, 18],
        "all": [4, 1, 1, 1, 1, 0, 1, 33],
    }
