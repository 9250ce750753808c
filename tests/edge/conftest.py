"""What every edge test shares: nothing may stay behind, and a way to run coroutines."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

_THREADS_END_S = 5.0
_TEST_S = 30.0


def children() -> set[int]:
    """The processes that this one started and has not reaped."""
    found: set[int] = set()
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        try:
            found |= {int(word) for word in path.read_text().split()}
        except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
            continue
    return found


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a task, a child process or a non-daemon thread."""
    had_threads, had_children = threads(), children()
    yield
    for thread in threads() - had_threads:
        thread.join(_THREADS_END_S)
    left = sorted(thread.name for thread in threads() - had_threads)
    orphans = sorted(children() - had_children)
    assert not left, f"threads left behind: {left}"
    assert not orphans, f"child processes left behind: {orphans}"


def _tasks_left() -> list[str]:
    return sorted(repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()})


async def _whole(main: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(_TEST_S):
        result = await main
    names = _tasks_left()
    for _ in range(10):  # what was cancelled just now may take a few turns to end
        if not names:
            break
        await asyncio.sleep(0)
        names = _tasks_left()
    assert not names, f"tasks left behind: {names}"
    return result


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, within a bound, and fail if it leaves a task behind."""
    return asyncio.run(_whole(main))


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait until something outside this loop is so; TimeoutError if it never is."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def script(directory: Path, name: str, text: str) -> Path:
    """An executable shell script in a directory that serves as a search path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
