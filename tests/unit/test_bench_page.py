"""The documentation's page of figures."""

from __future__ import annotations

import re

import pytest

from tests.bench.bounds import Verdict
from tests.bench.page import BEGIN, END, rewrite, section


def test_what_is_between_the_marks_is_made_anew_and_the_rest_stays() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = rewrite(page, "new\n")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert rewrite(once, "new\n") == once


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_marks_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="bench"):
        rewrite(page, "new")


def test_the_section_has_every_bound_every_picture_and_the_table() -> None:
    verdicts = [
        Verdict("race", "small", "out of space", 0.25, 0.5, met=True, detail="1 to 4"),
        Verdict("race", "large", "out of space", None, 0.5, met=False),
    ]
    drawn = ["bench/idle.svg", "bench/race-one.svg", "bench/race-other.svg"]
    made = section({"rounds": "3"}, verdicts, drawn, "the table\n")
    assert "| rounds | 3 |" in made
    assert "| race small out of space | 0.25 | 0.50 | met | 1 to 4 |" in made
    assert "| race large out of space | never | 0.50 | **not met** |  |" in made
    assert re.findall(r"!\[.*?\]\((.*?)\)", made) == drawn
    # Several of one case are folded up.
    assert made.count("<details><summary>race</summary>") == made.count("<details>") == 1
    assert "```\nthe table\n```" in made
