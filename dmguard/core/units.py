"""Sizes, shares and durations: text in, integers out, and back for people."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LONGEST_S = 30 * 365 * 86400
_TIMES = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def parse_size(text: str) -> int:
    """`10GiB` → bytes; ValueError says what was expected."""
    match = re.fullmatch(r"(\d{1,15})\s?(B|KiB|MiB|GiB|TiB)", text)
    if not match:
        raise ValueError(f"{text!r} is not a size: an integer and B, KiB, MiB, GiB or TiB")
    return int(match[1]) * _SIZES[match[2]]


def parse_duration(text: str) -> float:
    """`10min` → seconds; ValueError says what was expected."""
    if text == "0":
        return 0.0
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s?(ms|s|min|h)", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration: a number and ms, s, min or h")
    seconds = round(float(match[1]) * _TIMES[match[2]], 6)
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than thirty years")
    return seconds


def parse_count(text: str) -> int | None:
    """The number that a text is, if it is one of few digits: str.isdigit() is true of '²', too."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


@dataclass(frozen=True, slots=True)
class Amount:
    """A share of something, in percent, or a size in bytes: one of the two."""

    percent: float | None = None
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> Amount:
        """`20%`, `1GiB` or `0`; ValueError says what was expected."""
        if text == "0":
            return cls(size=0)
        match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?)\s?%", text)
        if match:
            return cls(percent=float(match[1]))
        try:
            return cls(size=parse_size(text))
        except ValueError:
            raise ValueError(f"{text!r} is neither a share (20%) nor a size (1GiB)") from None

    def of(self, whole: int) -> int:
        """Bytes, rounded up."""
        if self.percent is not None:
            return -int(-whole * self.percent // 100)
        return self.size or 0

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{_plain(self.percent)}%"
        return format_exact(self.size or 0)


def format_exact(size: int) -> str:
    """Bytes as a size that parse_size reads back to the same number."""
    if size == 0:
        return "0"
    unit = next(name for name in reversed(_SIZES) if size % _SIZES[name] == 0)
    return f"{size // _SIZES[unit]}{unit}"


def format_size(size: int | None) -> str:
    """Bytes for people: three or four digits and a unit; `-` when unknown."""
    if size is None:
        return "-"
    unit = next((name for name in reversed(_SIZES) if abs(size) >= _SIZES[name]), "B")
    value = size / _SIZES[unit]
    return f"{size} B" if unit == "B" else f"{value:.2f} {unit}"


def format_seconds(seconds: float | None) -> str:
    """Seconds for people; `-` when unknown."""
    if seconds is None:
        return "-"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def format_duration(seconds: float) -> str:
    """Seconds as a duration that parse_duration reads back."""
    if seconds == 0:
        return "0"
    for unit, factor in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds % factor == 0:
            return f"{_plain(seconds / factor)}{unit}"
    return f"{_plain(seconds)}s"


def _plain(number: float) -> str:
    """To six places, without an exponent and without trailing zeros."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def round_up(size: int, unit: int) -> int:
    """The next multiple of `unit`."""
    return -(-size // unit) * unit


def round_down(size: int, unit: int) -> int:
    """The last multiple of `unit`."""
    return size // unit * unit
