"""How fast a pool fills, and when it is full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.forecast import WINDOW_S, Sample, fill_rate, next_look, prune, time_to


def test_the_rate_is_what_was_written_over_the_time() -> None:
    assert fill_rate((Sample(0.0, 100), Sample(5.0, 400), Sample(10.0, 1100))) == 100.0


def test_samples_that_do_not_tell_give_no_rate() -> None:
    assert fill_rate(()) is None
    assert fill_rate((Sample(0.0, 1),)) is None
    assert fill_rate((Sample(1.0, 1), Sample(1.0, 2))) is None


def test_a_burst_between_two_looks_in_quick_succession_is_no_rate() -> None:
    assert fill_rate((Sample(0.0, 0), Sample(0.005, 640 << 10))) is None
    assert fill_rate((Sample(0.0, 0), Sample(5.0, 640 << 10))) == 128 << 10


def test_a_pool_that_is_emptied_has_a_rate_of_nothing() -> None:
    assert fill_rate((Sample(0.0, 500), Sample(10.0, 100))) == 0.0


def test_the_window_keeps_the_newest_sample_before_it_as_its_left_edge() -> None:
    samples = [Sample(float(at), at) for at in (0, 30, 50, 80, 100)]
    assert [s.at for s in prune(samples, 100.0)] == [30.0, 50.0, 80.0, 100.0]


def test_a_window_without_samples_keeps_the_newest() -> None:
    assert prune([Sample(0.0, 1), Sample(1.0, 2)], 1000.0) == (Sample(1.0, 2),)
    assert prune([], 1000.0) == ()


@given(st.lists(st.builds(Sample, st.floats(0, 500), st.integers(0, 1 << 40))), st.floats(0, 600))
def test_no_sample_within_the_window_is_lost(samples: list[Sample], now: float) -> None:
    kept = prune(samples, now)
    assert [s for s in sorted(samples, key=lambda s: s.at) if s.at >= now - WINDOW_S] == [
        s for s in kept if s.at >= now - WINDOW_S
    ]
    assert sum(s.at < now - WINDOW_S for s in kept) <= 1


def test_a_pool_into_which_nothing_is_written_never_fills() -> None:
    assert time_to(100, None) is None
    assert time_to(100, 0.0) is None


def test_the_time_to_full_is_what_is_free_over_the_rate_and_never_negative() -> None:
    assert time_to(1000, 10.0) == 100.0
    assert time_to(-5, 10.0) == 0.0


@pytest.mark.parametrize(
    ("left", "look"), [(None, 30.0), (1e9, 30.0), (40.0, 10.0), (2.0, 1.0), (0.0, 1.0)]
)
def test_the_next_look_is_at_a_quarter_of_what_is_left_within_its_limits(
    left: float | None, look: float
) -> None:
    assert next_look(left, 30.0) == look
