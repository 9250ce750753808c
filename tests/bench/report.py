"""The figures as a table for people, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.bench.figures import PEER, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.figures import Figure, Measured, Row


def table(measured: list[Measured]) -> str:
    """One block a quantity: each guard's figures, and its ratio with the spread of the rounds'."""
    rows = rows_of(measured)
    width = max((len(_name(row)) for row in rows), default=0) + 2
    head = f"{'guard':18}{'median':>10}{'p95':>10}{'least':>10}{'most':>10}  ratio to {PEER}"
    lines = [" " * width + head]
    for row in rows:
        names = [_name(row), *[""] * (len(row.rounds) - 1)]
        lines += [
            f"{name:{width}}{_line(row, guard)}"
            for name, guard in zip(names, row.rounds, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _name(row: Row) -> str:
    unit = f"[{row.unit}]" if row.unit else ""
    return " ".join(filter(None, (row.case, row.of, row.what, unit)))


def _line(row: Row, guard: str) -> str:
    figure = row.figure(guard)
    if figure is None:
        return f"{guard:18}{'never':>10}"
    ratio = row.ratio(guard) if guard != PEER else None
    told = f"  {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})" if ratio else ""
    return f"{guard:18}{_numbers(figure)}{told}{_missing(figure)}"


def _numbers(figure: Figure) -> str:
    values = (figure.median, figure.p95, figure.least, figure.most)
    return "".join(f"{value:10.3f}" for value in values)


def _missing(figure: Figure) -> str:
    return f"  {figure.missing} of {figure.count} never" if figure.missing else ""


def publish(measured: list[Measured], about: dict[str, str], folder: Path) -> None:
    """Print where it was measured and the table, and write them and the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    told = "".join(f"{name}: {value}\n" for name, value in about.items())
    shown = f"{told}\n{table(measured)}"
    print(f"\n{shown}")
    (folder / "bench.txt").write_text(shown)
    document = {"about": about, "measured": [asdict(one) for one in measured]}
    (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
