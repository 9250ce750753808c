"""What may hang is waited for no longer than it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dmguard.edge import deadline
from dmguard.edge.deadline import DoubtError, within
from tests.edge.conftest import run, until


def test_work_is_told_to_stop_when_its_time_is_up() -> None:
    async def main() -> None:
        with pytest.raises(DoubtError, match=r"^it: no answer within 0\.01 s$"):
            await within(0.01, "it", lambda stop: stop.wait(20))
        await until(lambda: not deadline._asked)  # long before its 20 s

    run(main())


def test_no_process_waits_for_work_that_hangs() -> None:
    """An interpreter ends although a thread of its own reads what never comes."""
    program = (
        "import asyncio, os\n"
        "from dmguard.edge.deadline import DoubtError, within\n"
        "async def main():\n"
        "    try:\n"
        "        await within(0.01, 'it', lambda stop: os.read(os.pipe()[0], 1))\n"
        "    except DoubtError as doubt:\n"
        "        print(doubt)\n"
        "asyncio.run(main())\n"
    )
    argv = [sys.executable, "-c", program]
    root = Path(deadline.__file__).parents[2]
    ended = subprocess.run(argv, cwd=root, timeout=20, check=True, capture_output=True, text=True)
    assert ended.stdout == "it: no answer within 0.01 s\n"
