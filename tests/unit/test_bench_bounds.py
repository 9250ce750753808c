"""What the bench says of dmguard's promises."""

from __future__ import annotations

import pytest

from tests.bench.bounds import Verdict, judge
from tests.bench.figures import Measured, rows_of
from tests.bench.report import bounds_table

Values = tuple[float | None, ...]
GROWN = ("reaction", "", "event to grown")
DRY = ("race", "2 GiB at 100 %", "out of data space")
CALM = ("race", "2 GiB at 50 %", "out of data space")


def judged(
    quantity: tuple[str, str, str], factor: float | None = None, **guards: Values
) -> list[Verdict]:
    case, of, what = quantity
    return judge(
        rows_of(Measured(case, of, what, "s", name, 0, values) for name, values in guards.items()),
        factor,
    )


@pytest.mark.parametrize(
    ("quantity", "ours", "theirs", "met"),
    [
        (GROWN, (0.5, 1.0, 1.4), (1.0, 1.0, 1.0), [True, True]),
        (GROWN, (0.5, 1.0, 1.6), (1.0, 1.0, 1.0), [True, False]),
        (GROWN, (1.1, 1.1, 1.1), (1.0, 1.0, 1.0), [False, True]),
        # What did not come about took for ever, whatever the others did.
        (GROWN, (0.1, 0.1, None), (1.0, 1.0, 1.0), [True, False]),
        (GROWN, (None,), (None,), [False, False]),
        (GROWN, (1.0,), (None,), [True, True]),
        (DRY, (0.0,), (0.0,), [True]),
        (DRY, (0.1,), (0.0,), [False]),
        (DRY, (1.0,), (2.0,), [True]),
        (DRY, (1.1,), (2.0,), [False]),
        # At half speed it is to be none at all, too.
        (CALM, (0.0, 0.0), (9.0, 9.0), [True, True]),
        (CALM, (0.0, 0.1), (9.0, 9.0), [True, False]),
        (("idle", "", "resident with executor"), (30.0,), (20.0,), [True]),
        (("idle", "", "resident with executor"), (31.0,), (20.0,), [False]),
        # Near its mark a pool may have an executor: that is told, and not bound.
        (("idle", "pool at 70 %", "resident with executor"), (90.0,), (20.0,), []),
        (("metadata", "", "snapshots made"), (90.0,), (20.0,), []),
    ],
)
def test_a_bound_on_ours_to_the_peers(
    quantity: tuple[str, str, str], ours: Values, theirs: Values, met: list[bool]
) -> None:
    assert [one.met for one in judged(quantity, dmguard=ours, dmeventd=theirs)] == met


@pytest.mark.parametrize(
    ("quantity", "ours", "met"),
    [
        (("idle", "", "CPU an hour with executor"), (1.9, 0.1), True),
        (("idle", "", "CPU an hour with executor"), (0.1, 2.1), False),
        (("idle", "", "processes started"), (0.0,), True),
        (("idle", "", "processes started"), (0.0, 1.0), False),
        (("race", "8 GiB at 100 %", "errors with room left"), (0.0,), True),
        (("race", "8 GiB at 100 %", "errors with room left"), (1.0,), False),
    ],
)
def test_a_bound_on_ours_alone(quantity: tuple[str, str, str], ours: Values, *, met: bool) -> None:
    (verdict,) = judged(quantity, dmguard=ours)
    assert verdict.met == met


@pytest.mark.parametrize(("ours", "met"), [(3.9, True), (4.1, False), (None, False)])
def test_a_boot_may_be_later_by_what_a_start_costs(ours: float | None, *, met: bool) -> None:
    unit = ("boot", "", "the unit")
    (verdict,) = judged(unit, 10.0, dmguard=(ours,), lvchange=(1.0,))
    assert (verdict.allowed, verdict.met) == (3.0, met)
    assert judged(unit, None, dmguard=(ours,), lvchange=(1.0,)) == []


def test_an_event_costs_the_same_whatever_is_beside_it() -> None:
    def at(of: str, what: str, value: float) -> Measured:
        return Measured("scale", of, what, "s", "dmguard", 0, (value,))

    few, many = "1 pools, 4 disks", "100 pools, 200 disks"
    measured = [
        at(few, "event to grown", 1.0),
        at(few, "agent's CPU an event", 1.0),
        at("10 pools, 40 disks", "event to grown", 9.0),
        at(many, "event to grown", 1.4),
        at(many, "agent's CPU an event", 1.6),
    ]
    verdicts = judge(rows_of(measured), None)
    assert [(one.of, one.met) for one in verdicts] == [(many, True), (many, False)]
    assert judge(rows_of(measured[:2]), None) == []


def test_without_dmguard_nothing_is_judged() -> None:
    assert judged(GROWN, dmeventd=(1.0,)) == []


def test_each_verdict_is_a_line_that_says_whether_it_is_met() -> None:
    verdicts = judged(GROWN, dmguard=(1.0, 1.0, None), dmeventd=(1.0,))
    head, first, second = bounds_table(verdicts).splitlines()
    assert head.split() == ["bound", "measured", "at", "most"]
    assert first.endswith("1.00      1.00  met      1 to 1")
    assert second.endswith("never      1.50  NOT MET  never to 1")


def test_a_ratio_of_medians_is_told_with_the_spread_of_its_rounds() -> None:
    rounds = [("dmguard", 1.0), ("dmeventd", 2.0), ("dmguard", 3.0), ("dmeventd", 2.0)]
    one = [
        Measured(*GROWN, "s", guard, n // 2, (value,)) for n, (guard, value) in enumerate(rounds)
    ]
    median, p95 = judge(rows_of(one), None)
    assert median.detail == "2 to 2; of the rounds 0.50 to 1.50"
    assert p95.detail == "3 to 2"
