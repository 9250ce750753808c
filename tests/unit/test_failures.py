"""The page of what can be wrong names codes and tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dmguard.core.codes import CODES, Severity

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| What is wrong")
]


def names_in(module: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / "vm" / f"{module}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) > 30
    assert {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_names_codes_and_tests_that_there_are(row: list[str]) -> None:
    codes = re.findall(r"`([^`]+)`", row[2])
    assert codes
    assert set(codes) <= CODES.keys()
    named = re.findall(r"`(\w+)::(\w+)`", row[4])
    assert named or row[4].startswith("none: ")
    for module, test in named:
        assert test in names_in(module)


def grave() -> list[str]:
    of_pools = (row for row in CODES.values() if row.code.startswith(("pool-", "out-of-")))
    return [row.code for row in of_pools if row.severity <= Severity.ERROR]


@pytest.mark.parametrize("code", grave())
def test_whatever_is_grave_about_a_pool_has_a_row(code: str) -> None:
    assert f"`{code}`" in PAGE
