"""The figures as a table and as pictures for people, and as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.bench import plot
from tests.bench.bounds import judge
from tests.bench.figures import PEER, rows_of
from tests.bench.page import rewrite, section
from tests.bench.starts import factor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.bounds import Verdict
    from tests.bench.figures import Figure, Measured, Row

# More than these in one picture cannot be taken in.
_STRIPS = 48


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


def bounds_table(verdicts: list[Verdict]) -> str:
    """A line each: what was measured, what is allowed, met or not."""
    width = max((len(one.name) for one in verdicts), default=0) + 2
    lines = [f"{'bound':{width}}{'measured':>10}{'at most':>10}"]
    for one in verdicts:
        value = "never" if one.measured is None else f"{one.measured:.2f}"
        met = "met" if one.met else "NOT MET"
        line = f"{one.name:{width}}{value:>10}{one.allowed:10.2f}  {met:9}{one.detail}"
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def pictures(measured: list[Measured], about: dict[str, str]) -> dict[str, str]:
    """An SVG for each case, by the name of its file; for each quantity of a case that is large."""
    note = " · ".join(about[key] for key in ("measured on", "kernel", "processor") if key in about)
    cases: dict[str, list[Row]] = {}
    for row in rows_of(measured):
        cases.setdefault(row.case, []).append(row)
    drawn = {}
    for case, rows in cases.items():
        if sum(len(row.rounds) for row in rows) <= _STRIPS:
            drawn[f"{case}.svg"] = plot.draw(case, rows, note)
            continue
        for what in dict.fromkeys(row.what for row in rows):
            name = f"{case}-{re.sub('[^a-z0-9]+', '-', what.lower())}.svg"
            drawn[name] = plot.draw(case, [row for row in rows if row.what == what], note)
    return drawn


def publish(measured: list[Measured], about: dict[str, str], folder: Path) -> None:
    """Print the report, and write it beside its JSON and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = judge(rows_of(measured), factor(measured))
    told = "".join(f"{name}: {value}\n" for name, value in about.items())
    shown = f"{told}\n{table(measured)}\n{bounds_table(verdicts)}"
    print(f"\n{shown}")
    (folder / "bench.txt").write_text(shown)
    document = {
        "about": about,
        "measured": [asdict(one) for one in measured],
        "bounds": [asdict(one) for one in verdicts],
    }
    (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
    _write_pictures(measured, about, folder)


def rewrite_page(page: Path, measured: list[Measured], about: dict[str, str]) -> None:
    """Put the figures into the page of the documentation, and the pictures beside it."""
    folder = page.with_suffix("")
    names = _write_pictures(measured, about, folder)
    verdicts = judge(rows_of(measured), factor(measured))
    links = [f"{folder.name}/{name}" for name in names]
    new = rewrite(page.read_text(), section(about, verdicts, links, table(measured)))
    page.write_text(new)


def _write_pictures(measured: list[Measured], about: dict[str, str], folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    drawn = pictures(measured, about)
    for name, text in drawn.items():
        (folder / name).write_text(text)
    return list(drawn)
