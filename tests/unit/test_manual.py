"""Each procedure of Docker's manual is done by a test, or README says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm.manual import PROCEDURES, TOLD

ROOT = Path(__file__).resolve().parents[2]
TESTS = "\n".join(file.read_text() for file in sorted((ROOT / "tests" / "vm").glob("test_*.py")))
MARKED = {
    name
    for words in re.findall(r"^@procedures\(([^)]*)\)", TESTS, re.MULTILINE)
    for name in re.findall(r'"(P\d+)"', words)
}


@pytest.mark.parametrize("name", [name for name in PROCEDURES if name not in TOLD])
def test_a_test_in_a_machine_does_it(name: str) -> None:
    assert name in MARKED


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
@pytest.mark.parametrize("name", TOLD)
def test_readme_says_why_not(name: str, readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", text)
