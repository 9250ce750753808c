"""A table of the cuts, and the same for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.torture.rounds import AFTER, BEFORE, WITHIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.torture.rounds import Cut

_HEAD = ("act", "cuts", BEFORE, WITHIN, AFTER, "resumed", "untold", "failures", "seconds")


def table(cuts: Sequence[Cut]) -> str:
    """One line an act, and one for all of them."""
    names = list(dict.fromkeys(cut.act for cut in cuts))
    rows = [_row(name, [cut for cut in cuts if cut.act == name]) for name in names]
    if len(rows) > 1:
        rows.append(_row("all", cuts))
    return "\n".join(
        f"{row[0]:<9}" + "".join(f"{value:>9}" for value in row[1:]) for row in (_HEAD, *rows)
    )


def _row(name: str, cuts: Sequence[Cut]) -> tuple[str, ...]:
    places = [sum(cut.position == place for cut in cuts) for place in (BEFORE, WITHIN, AFTER)]
    resumed, untold = (sum(how in cut.told for cut in cuts) for how in ("resumed", "untold"))
    failures = sum(bool(cut.failure) for cut in cuts)
    seconds = round(sum(cut.seconds for cut in cuts))
    numbers = (len(cuts), *places, resumed, untold, failures, seconds)
    return (name, *map(str, numbers))


def publish(
    cuts: Sequence[Cut], seed: int, spans: Mapping[str, tuple[float, float]], path: Path
) -> None:
    """Write the JSON."""
    values = {
        "schema": 1,
        "seed": seed,
        "spans": {act: {"begin_s": begin, "end_s": end} for act, (begin, end) in spans.items()},
        "cuts": [cut.as_values() for cut in cuts],
    }
    path.write_text(json.dumps(values, indent=1) + "\n")
