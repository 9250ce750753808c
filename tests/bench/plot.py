"""The figures as pictures: one SVG a case, a strip for each guard, a mark for each value."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.bench.figures import Row

WIDTH = 920
_LABELS, _RIGHT = 250, 800
_TOP, _HEAD, _STRIP, _GAP, _AXIS, _PANEL_GAP = 60, 30, 19, 7, 26, 18
_NOUGHT = 26
# From the least to the largest value: beyond that the small ones would lie upon each other.
_SPREAD = 12

_COLOURS = {
    "dmguard": ("#1d5fbf", "#6aa9ff"),
    "dmeventd": ("#c4500f", "#ff9d5c"),
    "dmeventd-defaults": ("#9a6b00", "#e3b341"),
    "cron": ("#6b4fa0", "#b79cf0"),
}
_OTHER = ("#4b5563", "#a9b4c2")
_LIGHT = ("#ffffff", "#1f2933", "#52606d", "#e1e5ea")
_DARK = ("#0d1117", "#e6edf3", "#9aa7b4", "#262d36")


@dataclass(frozen=True)
class Scale:
    """Values to x: linear from nought, or logarithmic with a place of its own for nought."""

    least: float
    most: float
    log: bool
    nought: bool = False

    @classmethod
    def over(cls, values: Iterable[float]) -> Scale:
        known = sorted(set(values)) or [0.0]
        above = [value for value in known if value > 0]
        if not above:
            return cls(0.0, 1.0, log=False)
        if above[-1] / above[0] <= _SPREAD:
            return cls(0.0, _nice(above[-1]), log=False)
        decade = 10.0 ** math.floor(math.log10(above[0]))
        if decade > above[0]:  # its logarithm was rounded up to the decade's
            decade /= 10
        least = max(tick for tick in (decade, 2 * decade, 5 * decade) if tick <= above[0])
        most = next(tick for tick in _steps(least) if tick >= above[-1])
        return cls(least, most, log=True, nought=known[0] <= 0)

    def x(self, value: float) -> float:
        left = _LABELS + (_NOUGHT if self.nought else 0)
        if self.log:
            if value <= 0:
                return _LABELS
            share = math.log(value / self.least) / math.log(self.most / self.least)
        else:
            share = value / self.most
        return round(left + share * (_RIGHT - left), 1)

    def ticks(self) -> list[float]:
        if not self.log:
            return [self.most * step / 4 for step in range(5)]
        ticks = [0.0] if self.nought else []
        for tick in _steps(self.least):
            if tick > self.most:
                break
            ticks.append(tick)
        many = len(ticks) > 10
        return [one for one in ticks if not many or one in (0, self.most) or _is_decade(one)]


def _steps(least: float) -> Iterator[float]:
    """1, 2 and 5 of each decade from there on."""
    first = math.floor(math.log10(least))
    for exponent in itertools.count(first):
        for step in (1, 2, 5):
            tick = float(f"{step}e{exponent}")
            if tick >= least * 0.999:
                yield tick


def _is_decade(value: float) -> bool:
    return math.isclose(math.log10(value) % 1, 0.0, abs_tol=1e-9)


def _nice(value: float) -> float:
    """The next of 1, 1.2, 1.6, 2, 3, 4, 6, 8 times a power of ten: a quarter of it is short."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10)
    return next(step * power for step in steps if step * power >= value * 0.9999)


@dataclass(frozen=True)
class Strip:
    """The values of one guard in one variant."""

    of: str
    guard: str
    values: tuple[float | None, ...]

    @property
    def known(self) -> list[float]:
        return sorted(value for value in self.values if value is not None)

    @property
    def missing(self) -> int:
        return len(self.values) - len(self.known)


@dataclass
class Panel:
    """One quantity: all its variants below each other, on one scale."""

    what: str
    unit: str
    strips: list[Strip] = field(default_factory=list)

    @property
    def height(self) -> int:
        variants = len({strip.of for strip in self.strips})
        return _HEAD + len(self.strips) * _STRIP + (variants - 1) * _GAP + _AXIS

    def draw(self, top: float) -> list[str]:
        scale = Scale.over(value for strip in self.strips for value in strip.known)
        bottom = top + self.height - _AXIS
        unit = f" [{self.unit}]" if self.unit else ""
        parts = [f'<text class="what" x="16" y="{top + 14}">{escape(self.what + unit)}</text>']
        for tick in scale.ticks():
            x = scale.x(tick)
            parts.append(f'<path class="grid" d="M{x} {top + _HEAD - 6}V{bottom + 2}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}">{_short(tick)}</text>')
        y, before = top + _HEAD + _STRIP / 2, self.strips[0].of
        for number, strip in enumerate(self.strips):
            if strip.of != before:
                y, before = y + _GAP, strip.of
            first = number == 0 or self.strips[number - 1].of != strip.of
            parts += _draw_strip(strip, scale, y, named=first)
            y += _STRIP
        return parts


def _draw_strip(strip: Strip, scale: Scale, y: float, *, named: bool) -> list[str]:
    kind = f"g{list(_COLOURS).index(strip.guard)}" if strip.guard in _COLOURS else "other"
    parts = []
    if named and strip.of:
        parts.append(f'<text class="of" x="16" y="{y + 4}">{escape(strip.of)}</text>')
    name = escape(strip.guard)
    parts.append(f'<text class="guard {kind}" x="{_LABELS - 14}" y="{y + 4}">{name}</text>')
    known = strip.known
    told = []
    if known:
        left, right = scale.x(known[0]), scale.x(known[-1])
        parts.append(f'<path class="range {kind}" d="M{left} {y}H{right}"/>')
        for value in known:
            point = f'<circle class="point {kind}" cx="{scale.x(value)}" cy="{y}" r="3.6">'
            parts.append(f"{point}<title>{name}: {value:g}</title></circle>")
        middle = _median(known)
        parts.append(f'<path class="median {kind}" d="M{scale.x(middle)} {y - 7}v14"/>')
        told.append(_short(middle))
    if strip.missing:
        told.append("never" if not known else f"{strip.missing} never")
    parts.append(f'<text class="told" x="{_RIGHT + 14}" y="{y + 4}">{", ".join(told)}</text>')
    return parts


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _short(value: float) -> str:
    """Three digits, thousands with a comma."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def panels_of(rows: Iterable[Row]) -> list[Panel]:
    """One for each quantity of a case, in the order in which they come."""
    panels: dict[str, Panel] = {}
    for row in rows:
        panel = panels.setdefault(row.what, Panel(row.what, row.unit))
        for guard in sorted(row.rounds, key=_place):
            values = tuple(value for values in row.rounds[guard] for value in values)
            panel.strips.append(Strip(row.of, guard, values))
    return list(panels.values())


def _place(guard: str) -> int:
    names = list(_COLOURS)
    return names.index(guard) if guard in names else len(names)


def draw(title: str, rows: Iterable[Row], note: str = "") -> str:
    """The SVG of one case, readable on a light and on a dark page."""
    panels = panels_of(rows)
    height = _TOP + sum(panel.height + _PANEL_GAP for panel in panels)
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_style()}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="16" y="28">{escape(title)}</text>',
        f'<text class="note" x="16" y="46">{escape(note)}</text>',
        f'<text class="note" x="{_RIGHT + 14}" y="{_TOP + 14}">median</text>',
    ]
    top = _TOP
    for panel in panels:
        parts += panel.draw(top)
        top += panel.height + _PANEL_GAP
    return "\n".join([*parts, "</svg>", ""])


def _style() -> str:
    fixed = """text { font: 12px sans-serif }
.title { font-size: 17px; font-weight: bold } .what { font-size: 13px; font-weight: bold }
.tick { text-anchor: middle; font-size: 11px } .guard { text-anchor: end }
.point { fill-opacity: .55 } .range { stroke-width: 5; stroke-opacity: .22 }
.median { stroke-width: 2.5 }
"""
    light, dark = _theme(_LIGHT, 0), _theme(_DARK, 1)
    return f"{fixed}{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _theme(shades: tuple[str, ...], which: int) -> str:
    page, text, faint, grid = shades
    lines = [
        f".page {{ fill: {page} }} text {{ fill: {text} }}",
        f".note, .tick, .of {{ fill: {faint} }} .grid {{ stroke: {grid} }}",
    ]
    kinds = [*((f"g{n}", pair) for n, pair in enumerate(_COLOURS.values())), ("other", _OTHER)]
    for kind, pair in kinds:
        colour = pair[which]
        lines.append(f"text.{kind}, circle.{kind} {{ fill: {colour} }}")
        lines.append(f"path.{kind} {{ stroke: {colour} }}")
    return "\n".join([*lines, ""])
