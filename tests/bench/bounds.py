"""What dmguard promises of these figures: each bound with what was measured, met or not."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.figures import PEER, Figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.bench.figures import Row

US = "dmguard"
_ALL = re.compile("")


@dataclass(frozen=True)
class Verdict:
    """One bound on one variant of a case; in the quantity's unit, or as a ratio to the peer.

    `detail` is what a ratio or a difference was made of.
    """

    case: str
    of: str
    what: str
    measured: float | None
    allowed: float
    met: bool
    detail: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.case, self.of, self.what)))


@dataclass(frozen=True)
class ToPeer:
    """A statistic of dmguard's is at most so many times the peer's; nought to nought is met."""

    case: str
    what: str
    statistic: str
    allowed: float
    variants: re.Pattern[str] = _ALL

    def judge(self, rows: Sequence[Row], _factor: float | None) -> Iterator[Verdict]:
        for row in _rows(rows, self.case, self.what, self.variants):
            if PEER not in row.rounds:
                continue
            value, limit = (_statistic(row, guard, self.statistic) for guard in (US, PEER))
            told = f"{self.what}, {self.statistic} to {PEER}'s"
            ratio = value / limit if limit else 0.0 if not value else math.inf
            detail = f"{_short(value)} to {_short(limit)}{self._spread(row)}"
            yield _verdict(self.case, row.of, told, ratio, self.allowed, detail)

    def _spread(self, row: Row) -> str:
        ratio = row.ratio(US)
        if self.statistic != "median" or ratio is None or len(row.rounds[US]) < 2:
            return ""
        return f"; of the rounds {ratio.least:.2f} to {ratio.most:.2f}"


@dataclass(frozen=True)
class AtMost:
    """No value of dmguard's is above this."""

    case: str
    what: str
    allowed: float
    variants: re.Pattern[str] = _ALL

    def judge(self, rows: Sequence[Row], _factor: float | None) -> Iterator[Verdict]:
        for row in _rows(rows, self.case, self.what, self.variants):
            most = _statistic(row, US, "most")
            yield _verdict(self.case, row.of, f"{self.what}, most", most, self.allowed)


@dataclass(frozen=True)
class Above:
    """dmguard's median is at most so much above another's, times what a process start costs."""

    case: str
    what: str
    other: str
    allowed: float

    def judge(self, rows: Sequence[Row], factor: float | None) -> Iterator[Verdict]:
        for row in _rows(rows, self.case, self.what):
            if factor is not None and self.other in row.rounds:
                mine, other = (_statistic(row, guard, "median") for guard in (US, self.other))
                told = f"{self.what}, median above {self.other}'s"
                detail = f"{_short(mine)} to {_short(other)}"
                allowed = self.allowed * factor
                yield _verdict(self.case, row.of, told, mine - other, allowed, detail)


@dataclass(frozen=True)
class Flat:
    """dmguard's median in the last, largest variant is at most so many times that in the first."""

    case: str
    what: re.Pattern[str]
    allowed: float

    def judge(self, rows: Sequence[Row], _factor: float | None) -> Iterator[Verdict]:
        found: dict[str, list[Row]] = {}
        for row in rows:
            if row.case == self.case and self.what.search(row.what) and US in row.rounds:
                found.setdefault(row.what, []).append(row)
        for what, (first, *others) in found.items():
            if others:
                small, large = (_statistic(row, US, "median") for row in (first, others[-1]))
                ratio = large / small if small else math.inf
                told = f"{what}, median to that with {first.of}"
                detail = f"{_short(large)} to {_short(small)}"
                yield _verdict(self.case, others[-1].of, told, ratio, self.allowed, detail)


BOUNDS = (
    ToPeer("reaction", "event to grown", "median", 1.0),
    ToPeer("reaction", "event to grown", "p95", 1.5),
    ToPeer("race", "out of data space", "median", 0.5),
    AtMost("race", "out of data space", 0.0, re.compile(r" at (25|50) %$")),
    AtMost("race", "errors with room left", 0.0),
    Above("boot", "the unit", "lvchange", 0.3),
    ToPeer("idle", "resident with executor", "median", 1.5, re.compile("^$")),
    AtMost("idle", "CPU an hour with executor", 2.0),
    AtMost("idle", "processes started", 0.0),
    Flat("scale", re.compile(r"event to grown|CPU an event"), 1.5),
)


def judge(rows: Sequence[Row], factor: float | None) -> list[Verdict]:
    """Every bound on what was measured; `factor` is the price of a process start, if known."""
    return [verdict for bound in BOUNDS for verdict in bound.judge(rows, factor)]


def _rows(rows: Iterable[Row], case: str, what: str, variants: re.Pattern[str] = _ALL) -> list[Row]:
    return [
        row
        for row in rows
        if (row.case, row.what) == (case, what) and US in row.rounds and variants.search(row.of)
    ]


def _statistic(row: Row, guard: str, name: str) -> float:
    """What did not come about took for ever."""
    given = [value for values in row.rounds[guard] for value in values]
    figure = Figure.of(math.inf if value is None else value for value in given)
    return math.inf if figure is None else float(getattr(figure, name))


def _verdict(
    case: str, of: str, what: str, value: float, allowed: float, detail: str = ""
) -> Verdict:
    """Who never came about meets no bound, were the peer's as endless."""
    known = value if math.isfinite(value) else None
    met = known is not None and known <= allowed
    return Verdict(case, of, what, known, allowed, met, detail)


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "never"
