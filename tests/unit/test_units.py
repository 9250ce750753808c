"""Text in, integers out, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.units import (
    Amount,
    format_duration,
    format_exact,
    format_seconds,
    format_size,
    parse_duration,
    parse_size,
    round_down,
    round_up,
)

SIZES = st.integers(1, 999_999_999_999_999)


@given(SIZES)
def test_an_exact_size_reads_back_to_the_same_bytes(size: int) -> None:
    assert parse_size(format_exact(size)) == size


@given(SIZES)
def test_an_amount_of_bytes_reads_back_to_the_same(size: int) -> None:
    assert Amount.parse(str(Amount(size=size))) == Amount(size=size)


@given(st.integers(0, 9999))
def test_a_share_reads_back_to_the_same(percent: int) -> None:
    amount = Amount(percent=float(percent))
    assert Amount.parse(str(amount)) == amount


@given(st.integers(0, 86_400))
def test_a_duration_reads_back_to_the_same_seconds(seconds: int) -> None:
    assert parse_duration(format_duration(float(seconds))) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("4 KiB", 4096), ("10GiB", 10 << 30), ("2TiB", 2 << 40), ("0MiB", 0)],
)
def test_a_size_is_an_integer_and_a_binary_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "10", "1.5GiB", "-1GiB", "1GB", "1gib", "GiB", "1GiB ", " 1GiB", "1  GiB", "1e3B"]
)
def test_a_bad_size_is_named_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: an integer and B, KiB") as error:
        parse_size(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("10 min", 600), ("1.5h", 5400), ("0", 0), ("0s", 0)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10m", "-1s", "1d", "s", "1.s", "infs", "1e3s"])
def test_a_bad_duration_is_named_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: a number and ms, s") as error:
        parse_duration(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["", "20", "-5%", "%", "20percent", "1GB"])
def test_a_bad_amount_is_named_with_both_that_it_could_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a share \(20%\) nor a size \(1GiB\)"):
        Amount.parse(text)


def test_an_amount_is_rounded_up_to_a_byte() -> None:
    assert Amount(percent=20.0).of(101) == 21
    assert Amount(percent=20.0).of(100) == 20
    assert Amount(size=7).of(1000) == 7
    assert Amount().of(1000) == 0


@given(st.integers(0, 1 << 50), st.integers(1, 1 << 30))
def test_rounding_brackets_a_size_by_whole_units(size: int, unit: int) -> None:
    low, high = round_down(size, unit), round_up(size, unit)
    assert low % unit == high % unit == 0
    assert low <= size <= high
    assert high - low == (0 if size % unit == 0 else unit)


def test_what_is_unknown_is_shown_as_a_dash_and_never_as_zero() -> None:
    assert format_size(None) == format_seconds(None) == "-"
    assert format_size(0) == "0 B"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (600, "10 min"), (7200, "2 h"), (864_000, "10 d")]
)
def test_seconds_for_people_have_the_unit_that_fits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_sizes_for_people_have_the_unit_that_fits() -> None:
    assert format_size(1023) == "1023 B"
    assert format_size(1 << 20) == "1.00 MiB"
    assert format_size(3 << 39) == "1.50 TiB"
