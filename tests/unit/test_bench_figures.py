"""What the bench makes of what it measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import PEER, Figure, Measured, Row, quantile, rows_of
from tests.bench.plan import turns
from tests.bench.race import out_of_space
from tests.bench.report import table


def measured(guard: str, number: int, *values: float | None) -> Measured:
    return Measured("case", "", "time", "s", guard, number, values)


def row(*rounds: tuple[str, tuple[float | None, ...]]) -> Row:
    (found,) = rows_of(measured(guard, 0, *values) for guard, values in rounds)
    return found


def test_what_did_not_come_about_is_counted_and_is_no_value() -> None:
    figure = Figure.of([3.0, None, 1.0, 2.0, None])
    assert figure == Figure(median=2.0, p95=3.0, least=1.0, most=3.0, count=5, missing=2)
    assert Figure.of([None]) is None
    assert Figure.of([]) is None


def test_a_ratio_is_of_medians_and_its_spread_that_of_the_rounds() -> None:
    found = row(("dmguard", (1.0, 3.0, 2.0)), (PEER, (4.0,)), ("dmguard", (8.0,)), (PEER, (2.0,)))
    ratio = found.ratio("dmguard")
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (2.5 / 3.0, 0.5, 4.0)


@pytest.mark.parametrize("theirs", [(0.0,), (None,)])
def test_there_is_no_ratio_to_nothing(theirs: tuple[float | None, ...]) -> None:
    assert row(("dmguard", (1.0,)), (PEER, theirs)).ratio("dmguard") is None
    assert row(("dmguard", (1.0,))).ratio("dmguard") is None


def test_quantities_and_variants_are_rows_of_their_own() -> None:
    one = measured("dmguard", 0, 1.0)
    other = Measured("case", "large", "time", "s", "dmguard", 0, (2.0,))
    assert [(found.of, found.rounds) for found in rows_of([one, other, one])] == [
        ("", {"dmguard": [(1.0,), (1.0,)]}),
        ("large", {"dmguard": [(2.0,)]}),
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_values_and_no_less_than_its_share(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6


def test_each_guard_has_each_place_in_turn() -> None:
    order = list(turns(["a", "b", "c"], 3))
    assert [name for _, name in order] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [number for number, _ in order] == [0] * 3 + [1] * 3 + [2] * 3


def test_only_time_without_space_between_begin_and_end_counts() -> None:
    modes = [(0.0, "rw"), (2.0, "out_of_data_space"), (3.0, "rw"), (8.0, "out_of_data_space")]
    seen = [{"at": at, "mode": mode} for at, mode in modes]
    assert out_of_space(seen, 0.0, 10.0) == 3.0
    assert out_of_space(seen, 2.5, 9.0) == 1.5
    assert out_of_space(seen, 4.0, 5.0) == 0.0


def test_the_table_has_a_line_for_each_guard_and_says_what_never_came_about() -> None:
    one = [measured("dmguard", 0, 1.0), measured(PEER, 0, 2.0, None), measured("cron", 0, None)]
    head, first, second, third = table(one).splitlines()
    assert head.split()[:2] == ["guard", "median"]
    assert first.startswith("case time [s]  dmguard")
    assert first.endswith("0.50 (0.50 to 0.50)")
    assert second.split()[:2] == [PEER, "2.000"]
    assert second.endswith("1 of 2 never")
    assert third.split() == ["cron", "never"]
