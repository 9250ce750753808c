"""What the bench makes of a crossing, and of the start of a process."""

from __future__ import annotations

import pytest

from tests.bench.figures import Measured
from tests.bench.reaction import shares
from tests.bench.starts import CASE, HERE, THERE, factor


@pytest.mark.parametrize(
    ("decided", "started", "wanted"),
    [
        (0.2, 1.0, (10.0, 40.0, 50.0)),
        # A resident executor starts nothing.
        (0.5, None, (25.0, None, 75.0)),
        # The command was seen before the intent, by a look that came late.
        (1.0, 0.9, (50.0, 0.0, 50.0)),
        (None, None, (None, None, None)),
    ],
)
def test_a_crossing_is_shared_out_between_dmguard_and_lvm(
    decided: float | None, started: float | None, wanted: tuple[float | None, ...]
) -> None:
    found = shares({"grown": 2.0, "decided": decided, "started": started})
    assert (found["dmguard"], found["begin"], found["lvm"]) == pytest.approx(wanted)
    never = shares({"grown": None, "decided": decided, "started": started})
    assert set(never.values()) == {None}


def test_a_process_start_costs_as_much_more_as_the_lesser_of_both_says() -> None:
    def took(what: str, where: str, *values: float) -> Measured:
        return Measured(CASE, "", what, "s", where, 0, values)

    measured = [
        took("python3", THERE, 0.2, 0.1, 9.0),
        took("python3", HERE, 0.02, 0.01, 0.5),
        took("lvm", THERE, 0.3),
        took("lvm", HERE, 0.01),
    ]
    assert factor(measured) == pytest.approx(10.0)
    assert factor(measured[:1]) is None
