"""How fast a pool fills, and when it is full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW_S = 60.0
"""Seconds over which the fill rate is taken."""

_SHORTEST_S = 5.0
"""A burst between two looks in quick succession is no rate: growth cannot be taken back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes in use at a moment of the monotonic clock, in seconds."""

    at: float
    used: int


def prune(samples: Iterable[Sample], now: float) -> tuple[Sample, ...]:
    """The samples within the window, and the newest one before it as its left edge."""
    kept = sorted(samples, key=lambda sample: sample.at)
    first = next((i for i, sample in enumerate(kept) if sample.at >= now - WINDOW_S), len(kept))
    return tuple(kept[max(0, first - 1) :])


def fill_rate(samples: tuple[Sample, ...]) -> float | None:
    """Bytes a second over the samples; None if they span too little to tell. Never negative."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    elapsed = last.at - first.at
    if elapsed < _SHORTEST_S:
        return None
    return max(0.0, (last.used - first.used) / elapsed)


def time_to(free: int, rate: float | None) -> float | None:
    """Seconds until `free` bytes are used at `rate`; None when nothing is being written."""
    if not rate:
        return None
    return max(0, free) / rate


def next_look(seconds_to_threshold: float | None, resync: float) -> float:
    """Seconds until the next look: a quarter of what is left, from 1 s to `resync`."""
    if seconds_to_threshold is None:
        return resync
    return min(max(seconds_to_threshold / 4, 1.0), resync)
