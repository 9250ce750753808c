"""What is locked in memory, read from the kernel: smaps of a process of our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.edge.schema import TREE

PROGRAM = """
import gc, json, mmap, re, sys, threading
from dmguard.edge.memlock import lock_memory
stop = threading.Event()
threading.Thread(target=stop.wait).start()  # with a stack of 8 MiB, as every thread
reason = lock_memory()
later = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
later[:1] = b"x"
found = []
for line in open("/proc/self/smaps"):
    # start-end perms offset dev inode path, and then fields
    head = re.match(r"[0-9a-f]+-[0-9a-f]+ (\\S+) \\S+ \\S+ \\S+ *(.*)", line)
    if head:
        found.append({"perms": head[1], "path": head[2]})
    else:
        name, value = line.split(":", 1)
        found[-1][name] = value.split() if name == "VmFlags" else int(value.split()[0])
stop.set()
kept = {"frozen": gc.get_freeze_count(), "walked": len(gc.get_objects())}
print(json.dumps({"reason": reason, "maps": found, **kept}))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What a process that has locked itself, and has a thread, says of itself."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, check=True, timeout=60, cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(TREE)},
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    if told["reason"]:
        pytest.skip(f"not allowed here: {told['reason']}")
    return told


@pytest.fixture
def maps(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The mappings of that process."""
    return list(told["maps"])


def test_a_later_collection_walks_through_nothing_that_stays(told: dict[str, Any]) -> None:
    """Those that are walked through are what this program itself has found since."""
    assert told["frozen"] > 1000
    assert told["walked"] < told["frozen"]


def test_programs_and_libraries_are_in_memory_as_a_whole(maps: list[dict[str, Any]]) -> None:
    programs = [
        one for one in maps
        if one["path"].startswith("/") and one["perms"][0] == "r" and one["perms"][3] == "p"
    ]  # fmt: skip
    assert any(one["path"].endswith("/libc.so.6") and "x" in one["perms"] for one in programs)
    assert [one for one in programs if one["Rss"] != one["Size"]] == []


def test_all_that_can_be_touched_is_locked_from_then_on(maps: list[dict[str, Any]]) -> None:
    own = [one for one in maps if one["perms"][0] == "r" and not one["path"].startswith("[v")]
    assert [one for one in own if "lo" not in one["VmFlags"]] == []


def test_stacks_and_what_comes_later_take_no_more_than_is_used(maps: list[dict[str, Any]]) -> None:
    large = [one for one in maps if not one["path"] and one["perms"][0] == "r"]
    large = [one for one in large if one["Size"] >= 8 << 10]
    assert len(large) >= 1  # neighbours of one kind are one mapping
    assert all(one["Rss"] < one["Size"] // 2 for one in large), large
