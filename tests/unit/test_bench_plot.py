"""The bench's pictures."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Measured, rows_of
from tests.bench.plot import Scale, draw
from tests.bench.report import pictures

SVG = "{http://www.w3.org/2000/svg}"
GUARDS = ("dmeventd", "dmguard", "cron", "another")
KNOWN = st.floats(1e-6, 1e12) | st.just(0.0)


def picture(*measured: Measured, title: str = "case") -> ET.Element:
    return ET.fromstring(draw(title, rows_of(measured), "note"))  # noqa: S314 - as above


def points(root: ET.Element) -> list[float]:
    return [float(one.attrib["cx"]) for one in root.iter(f"{SVG}circle")]


def texts(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("", "small", "large")),
            st.sampled_from(("time", "size")),
            st.sampled_from(GUARDS),
            st.lists(st.none() | KNOWN, min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_value_is_drawn_within_the_picture(
    all_of_it: list[tuple[str, str, str, list[float | None]]],
) -> None:
    root = picture(
        *(
            Measured("case", of, what, "s", guard, 0, tuple(values))
            for of, what, guard, values in all_of_it
        )
    )
    known = [value for *_, values in all_of_it for value in values if value is not None]
    assert len(points(root)) == len(known)
    assert all(250 <= x <= 800 for x in points(root))


def test_what_never_came_about_is_told() -> None:
    root = picture(
        Measured("case", "", "time", "s", "dmeventd", 0, (None, None)),
        Measured("case", "", "time", "s", "dmguard", 0, (1.0, None, 3.0)),
    )
    assert "never" in texts(root)
    assert "2, 1 never" in texts(root)


def test_words_are_no_markup() -> None:
    one = Measured("case", "<a> & b", "x < y", "1>0", "dm<guard", 0, (1.0,))
    root = picture(one, title="a & b")
    assert {"<a> & b", "x < y [1>0]", "dm<guard", "a & b"} <= set(texts(root))


def test_guards_stand_in_one_order_and_variants_below_each_other() -> None:
    root = picture(
        Measured("case", "small", "time", "s", "dmeventd", 0, (1.0,)),
        Measured("case", "large", "time", "s", "dmguard", 0, (1.0,)),
        Measured("case", "small", "time", "s", "dmguard", 0, (1.0,)),
    )
    wanted = {"small", "large", "dmguard", "dmeventd"}
    shown = [text for text in texts(root) if text in wanted]
    assert shown == ["small", "dmguard", "dmeventd", "large", "dmguard"]


def test_a_wide_spread_is_drawn_by_its_logarithm_and_a_narrow_one_is_not() -> None:
    wide, narrow = Scale.over([0.001, 10.0]), Scale.over([4.0, 9.0])
    assert math.isclose(wide.x(0.1) - wide.x(0.01), wide.x(1.0) - wide.x(0.1), abs_tol=0.2)
    assert math.isclose(narrow.x(9.0) - narrow.x(8.0), narrow.x(1.0) - narrow.x(0.0), abs_tol=0.2)


def test_a_value_that_rounding_left_just_below_a_decade_has_its_place() -> None:
    """Its logarithm is that of the decade, which is larger than it."""
    value = 0.009999999999999998
    scale = Scale.over([value, 1.0])
    assert scale.log
    assert scale.least <= value
    assert Scale.over([0.01, 1.0]).least == 0.01


def test_nought_has_a_place_of_its_own_beside_a_logarithm() -> None:
    scale = Scale.over([0.0, 0.02, 20.0])
    assert scale.x(0.0) < scale.x(0.02) - 10
    assert scale.ticks()[0] == 0.0


@given(st.lists(KNOWN, min_size=1))
def test_a_larger_value_is_never_further_left(values: list[float]) -> None:
    scale = Scale.over(values)
    drawn = [scale.x(value) for value in sorted(values)]
    assert drawn == sorted(drawn)
    assert len(scale.ticks()) >= 2


def test_a_large_case_has_a_picture_for_each_quantity() -> None:
    def quantity(case: str, of: int, what: str) -> Measured:
        return Measured(case, f"{of} GiB", what, "s", "dmguard", 0, (1.0,))

    small = [quantity("small", of, what) for of in range(2) for what in ("one", "two")]
    large = [quantity("large", of, what) for of in range(30) for what in ("p99, s", "two")]
    drawn = pictures([*small, *large], {})
    assert list(drawn) == ["small.svg", "large-p99-s.svg", "large-two.svg"]
    assert [len(points(ET.fromstring(text))) for text in drawn.values()] == [4, 30, 30]  # noqa: S314 - ours
