"""What changes the host is asked for by the hands of the executor, and by nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dmguard

PACKAGE = Path(dmguard.__file__).parent
WRITERS = frozenset(
    {
        *("change", "work"),  # of Runner
        *("reset_failed", "start_unit", "stop_unit", "restart_unit", "reload_unit"),  # of Manager
    }
)


def used_in(source: str) -> set[str]:
    """The writers that a source names: called, or handed to somebody else."""
    nodes = ast.walk(ast.parse(source))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} & WRITERS


def test_only_the_executors_hands_change_the_host() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    used = {str(path.relative_to(PACKAGE)): used_in(path.read_text()) for path in files}
    assert {name: words for name, words in used.items() if words} == {
        "loop/hands.py": WRITERS - {"work"},
        "loop/dmhands.py": {"change", "work"},
        "loop/lvmhands.py": {"change"},
        "loop/repairhands.py": {"change"},
        # The other end of a process that only the hands ask.
        "edge/resident/client.py": {"work"},
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("async def f(loop):\n    await loop.runner.change(('lvm', 'vgremove'))", {"change"}),
        ("do = self._runner.work", {"work"}),
        ("ask = {START: manager.start_unit}", {"start_unit"}),
        ("async def f(runner):\n    await runner.read(('lvm', 'lvs'))", set()),
        ("change = 1", set()),
    ],
)
def test_a_writer_is_seen_wherever_it_is_named(source: str, found: set[str]) -> None:
    assert used_in(source) == found
