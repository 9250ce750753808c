"""What is measured, and what is made of it: medians, spread, and ratios within one run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PEER = "dmeventd"
"""Whom every other guard is compared with."""


@dataclass(frozen=True)
class Measured:
    """What one guard showed in one round of one case.

    `of` says of which variant of the case (a speed, a size), `what` is the quantity with its
    `unit`. A value of None is what did not come about within the time that was given for it.
    """

    case: str
    of: str
    what: str
    unit: str
    guard: str
    round: int
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Figure:
    """All rounds of one guard: `missing` values did not come about, the others are told."""

    median: float
    p95: float
    least: float
    most: float
    count: int
    missing: int = 0

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Figure | None:
        """None if there is not one value."""
        given = list(values)
        known = sorted(value for value in given if value is not None)
        if not known:
            return None
        return cls(
            median(known),
            quantile(known, 0.95),
            known[0],
            known[-1],
            len(given),
            len(given) - len(known),
        )


@dataclass(frozen=True)
class Ratio:
    """A guard's median to the peer's of the same run, and the spread of that of each round."""

    median: float
    least: float
    most: float


@dataclass
class Row:
    """One quantity of one variant of a case, by guard."""

    case: str
    of: str
    what: str
    unit: str
    rounds: dict[str, list[tuple[float | None, ...]]] = field(default_factory=dict)

    def figure(self, guard: str) -> Figure | None:
        return Figure.of(value for values in self.rounds.get(guard, ()) for value in values)

    def ratio(self, guard: str, peer: str = PEER) -> Ratio | None:
        """None where one of both has no value, or the peer's is nought."""
        mine, theirs = self.figure(guard), self.figure(peer)
        if mine is None or theirs is None or not theirs.median:
            return None
        each = [
            own.median / other.median
            for own, other in map(
                lambda a, b: (Figure.of(a), Figure.of(b)),
                self.rounds[guard],
                self.rounds[peer],
            )
            if own and other and other.median
        ]
        whole = mine.median / theirs.median
        return Ratio(whole, min(each, default=whole), max(each, default=whole))


def rows_of(measured: Iterable[Measured]) -> list[Row]:
    """In the order in which they were first measured."""
    rows: dict[tuple[str, str, str], Row] = {}
    for one in measured:
        row = rows.setdefault(
            (one.case, one.of, one.what), Row(one.case, one.of, one.what, one.unit)
        )
        row.rounds.setdefault(one.guard, []).append(one.values)
    return list(rows.values())


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least so large a share of all is not above."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
