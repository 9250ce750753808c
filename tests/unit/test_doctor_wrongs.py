"""Everything that the doctor can find is made true on a machine, or it is said why not."""

from __future__ import annotations

import ast
from pathlib import Path

import dmguard
from dmguard.core.codes import CODES
from tests.vm.wrongs import NOT_MADE, WRONGS

CORE = Path(dmguard.__file__).parent / "core"
SOURCES = (*(CORE / "findings").rglob("*.py"), CORE / "obstacle.py", CORE / "verdict.py")
SILENT = {
    "disk-no-rule": "of a disk that no rule is for nothing is told",
    "disk-in-vg": "it is where it should be",
    "disk-ignored": "it was asked for",
    "disk-not-ready": "the next look tells",
    "disk-not-probed": "the next look tells",
}
"""Verdicts that are no findings (core/findings/disks), and why."""

UNIT_TESTS = "\n".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))


def texts(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    found = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {text for text in found if isinstance(text, str)}


def raw_obstacles() -> set[str]:
    tree = ast.parse((CORE / "plan/raws.py").read_text())
    return {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in CODES}


def can_be_found() -> set[str]:
    """Every code that stands where findings are made."""
    return {text for path in SOURCES for text in texts(path)} & set(CODES) | raw_obstacles()


def test_every_finding_has_a_row_or_a_reason() -> None:
    found = can_be_found()
    assert len(found) > 80, "the scan finds too few: it looks in the wrong places"
    made = {wrong.code for wrong in WRONGS}
    assert found - made - set(SILENT) - set(NOT_MADE) == set()
    assert made | set(SILENT) | set(NOT_MADE) <= found, "what is no finding has no row"
    assert made & (set(SILENT) | set(NOT_MADE)) == set()


def test_each_row_is_there_once() -> None:
    codes = [wrong.code for wrong in WRONGS]
    assert sorted(codes) == sorted(set(codes))


def test_what_no_machine_is_brought_to_has_its_reason_and_a_unit_test() -> None:
    for code, reason in NOT_MADE.items():
        assert reason, code
        assert f'"{code}"' in UNIT_TESTS, code
