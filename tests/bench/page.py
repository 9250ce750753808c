"""The part of the documentation's page that is made of the figures."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.bench.bounds import Verdict

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def rewrite(page: str, made: str) -> str:
    """The page with this between its marks; ValueError if they are not there once each."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page has not one {BEGIN} and one {END}")
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{END} stands before {BEGIN}")
    return f"{before}{BEGIN}\n\n{made.strip()}\n\n{END}{after}"


def section(
    about: dict[str, str], verdicts: Iterable[Verdict], pictures: Iterable[str], table: str
) -> str:
    """Where it was measured, the bounds, the pictures, and every figure."""
    lines = [
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in about.items()),
        "\n### Bounds\n",
        "| bound | measured | at most | | made of |\n|---|---:|---:|---|---|",
        *map(_verdict, verdicts),
        "\n### Pictures\n",
        *_pictures(pictures),
        "### Every figure\n",
        f"```\n{table.rstrip()}\n```",
    ]
    return "\n".join(lines) + "\n"


def _verdict(one: Verdict) -> str:
    value = "never" if one.measured is None else f"{one.measured:.2f}"
    met = "met" if one.met else "**not met**"
    return f"| {one.name} | {value} | {one.allowed:.2f} | {met} | {one.detail} |"


def _pictures(paths: Iterable[str]) -> Iterator[str]:
    """Those of a case that has several are folded up."""
    for case, group in itertools.groupby(paths, _case):
        each = [f"![{_name(path)}]({path})\n" for path in group]
        if len(each) > 1:
            each = [f"<details><summary>{case}</summary>\n", *each, "</details>\n"]
        yield from each


def _case(path: str) -> str:
    return _name(path).partition("-")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".svg")
