"""What a command loads: on a slow machine that is most of the time that it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dmguard.app.cli import COMMANDS
from dmguard.core.entry import Entry
from tests.edge.schema import TREE

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import atexit, sys
from pathlib import Path
atexit.register(lambda: Path(sys.argv[1]).write_text("\\n".join(sys.modules)))
from dmguard.app.cli import main
raise SystemExit(main(sys.argv[2:]))
"""
FRAME = {"dmguard", "dmguard.app", "dmguard.app.cli"}
ENTRY = Entry(
    "pool-late", "activate", "refused", "start", "vg", "vg/pool", "pool-late", "it is late"
)
SLOW = {"asyncio", "dbus_next", "logging", "pyudev", "shutil", "tenacity"}
"""What only a command that looks at pools needs."""
ACTING = {"dmguard.core.actions", "dmguard.core.steps", "dmguard.app.render", "dmguard.app.wiring"}
"""The same of dmguard's own."""


class Loads:
    """Runs commands, and tells the modules that each has loaded in the end."""

    def __init__(self, folder: Path) -> None:
        self._list = folder / "modules"

    def __call__(self, *words: str, code: int = 0, before: str = "") -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", before + PROGRAM, self._list, *words],
            capture_output=True, text=True, check=False, timeout=60, cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": str(TREE)},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return set(self._list.read_text().split())


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    return Loads(tmp_path)


def of_dmguard(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "dmguard"}


def test_the_version_needs_no_verb(loads: Loads) -> None:
    loaded = loads("--version")
    assert of_dmguard(loaded) == FRAME
    assert loaded & SLOW == set()


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_of_a_verb_needs_no_other_and_nothing_that_the_verb_uses(
    verb: str, loads: Loads
) -> None:
    loaded = loads(verb, "--help")
    assert of_dmguard(loaded) == FRAME | {f"dmguard.app.cli.{verb}"}
    assert loaded & SLOW == set()


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["no-such-verb"], 2), ([], 2)])
def test_what_lists_the_verbs_needs_them_all_and_nothing_that_they_use(
    words: list[str], code: int, loads: Loads
) -> None:
    loaded = loads(*words, code=code)
    assert of_dmguard(loaded) == FRAME | {f"dmguard.app.cli.{verb}" for verb in COMMANDS}
    assert loaded & SLOW == set()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["explain"], 0),
        (["explain", "pool-late"], 0),
        (["explain", "no-such-code"], 3),
        (["config", "show", "--root", "/nowhere"], 0),
        (["config", "check", "--root", "/nowhere", "--json"], 0),
    ],
)
def test_what_looks_at_no_pool_needs_neither_an_event_loop_nor_actions(
    words: list[str], code: int, loads: Loads
) -> None:
    loaded = loads(*words, code=code)
    assert loaded & (SLOW | ACTING) == set()


def test_the_history_needs_neither_an_event_loop_nor_actions(loads: Loads, tmp_path: Path) -> None:
    elsewhere = (
        "from pathlib import Path; from dmguard.loop import record;"
        f"paths = record.Paths(lib=Path({str(tmp_path)!r})); record.Paths = lambda: paths"
    )
    (tmp_path / "history.jsonl").write_text(json.dumps(ENTRY.as_values()) + "\n")
    loaded = loads("history", before=elsewhere)
    assert loaded & (SLOW | ACTING) == set()


WHOLE_AGENT = """
import contextlib
with contextlib.suppress(SystemExit):
    main(["--version"])
from dmguard.app import agent, wiring
from dmguard.core.model import State
from dmguard.core.plan import Past, make_plan
from dmguard.core.settings import Settings
from dmguard.edge import block, bus, udev
from dmguard.loop import survey
"""
"""All that the agent has loaded when it locks its memory; begun as every command is."""

UNUSED = {
    "_hashlib", "_ssl", "ssl", "gi", "tornado", "multiprocessing", "http.client", "unittest",
}  # fmt: skip
"""Each of them is several MiB, or brings such a one."""


def run_program(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"from dmguard.app.cli import main\n{WHOLE_AGENT}\n{text}"],
        capture_output=True, text=True, check=False, timeout=60, cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(TREE)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\n")[2]


def test_the_agent_loads_no_large_library_that_it_does_not_use() -> None:
    told = run_program("""
import sys
print(*(name for name, module in sys.modules.items() if module is not None))
print(open("/proc/self/maps").read())
""")
    loaded, _, maps = told.partition("\n")
    assert "asyncio" in loaded.split()
    assert set(loaded.split()) & UNUSED == set()
    assert [name for name in ("libssl", "libcrypto", "libglib") if name in maps] == []


def test_what_is_loaded_for_nothing_at_all_is_enough_to_grow_a_pool() -> None:
    told = run_program("""
import sys
from tests.unit.builders import make_pool, make_state
make_plan(State((), ()), Settings(), Past())
before = set(sys.modules)
full = make_pool(99, 99)
plan = make_plan(make_state(full), Settings(), Past())
print(*(action.act for action in plan.actions))
print(*(set(sys.modules) - before))
""")
    acts, new = told.splitlines()
    assert acts.split() == ["extend-metadata", "extend-data"]
    assert new.split() == []
