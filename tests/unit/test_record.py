"""Each entry to the journal and to the history, and neither holds up the loop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dmguard.core.actions import Result
from dmguard.core.model import Trigger
from dmguard.core.outcome import Outcome, act_entry
from dmguard.loop.ink import Ink
from dmguard.loop.record import read_history
from tests.unit.builders import make_extend, make_state
from tests.unit.fakes import Bench, finish

ENTRY = act_entry(make_extend(), Outcome(Result.DONE, "above-threshold"), Trigger.TIMER)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, make_state())


def record(bench: Bench, times: int = 1) -> None:
    async def work() -> None:
        for _ in range(times):
            await bench.recorder.record(ENTRY)

    asyncio.run(finish(bench, work()))


def test_an_entry_goes_to_the_journal_and_to_the_history_with_one_id(bench: Bench) -> None:
    record(bench)
    (sent,), (kept,) = bench.journal.sent, read_history(bench.paths)
    assert sent["MESSAGE"] == kept.message == ENTRY.message
    assert sent["DMGUARD_ID"] == kept.id
    assert kept.at > 0
    assert replace(kept, id="", at=0.0) == ENTRY


def test_the_history_has_nothing_that_the_journal_has_not(bench: Bench) -> None:
    """Who is killed in between has told nothing yet, and is not believed to have done so."""
    bench.journal.flows = False

    async def work() -> None:
        recording = asyncio.create_task(bench.recorder.record(ENTRY))
        while not bench.journal.pending:
            await asyncio.sleep(0)
        await bench.ink.write(lambda: None)  # after all that was to be written
        assert read_history(bench.paths) == []
        assert not recording.done()
        bench.journal.pending[0].set_result(None)
        await recording
        assert len(read_history(bench.paths)) == 1

    asyncio.run(finish(bench, work()))


def test_a_journal_that_stands_still_is_waited_for_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    timeout = asyncio.timeout

    def impatient(delay: float) -> asyncio.Timeout:
        if delay != 77.0:
            return timeout(delay)
        waited.append(delay)
        return timeout(0)

    bench.journal.flows = False
    monkeypatch.setattr("dmguard.loop.record._PATIENCE_S", 77.0)
    monkeypatch.setattr(asyncio, "timeout", impatient)
    record(bench, times=3)
    assert waited == [77.0]
    assert len(read_history(bench.paths)) == 3

    for future in bench.journal.pending:
        future.set_result(None)
    record(bench)
    assert waited == [77.0] * 2


def test_two_entries_have_two_ids_and_stand_in_their_order(bench: Bench) -> None:
    record(bench, times=2)
    assert len({entry.id for entry in read_history(bench.paths)}) == 2
    assert read_history(bench.paths) == bench.told()


def test_the_last_ten_are_at_hand(bench: Bench) -> None:
    record(bench, times=12)
    assert bench.told() == read_history(bench.paths)[-10:]


def test_lines_that_are_no_entries_are_left_out(bench: Bench) -> None:
    record(bench)
    with bench.paths.history.open("ab") as history:
        history.write(b'[]\n{"code": 1}\n\xff\xfe\n3\nnull\n')
    assert len(read_history(bench.paths)) == 1


def test_a_history_that_is_not_there_is_empty(bench: Bench) -> None:
    assert read_history(bench.paths) == []


def test_a_history_that_cannot_be_written_leaves_the_journal(bench: Bench) -> None:
    bench.paths.history.mkdir(parents=True)
    record(bench)
    assert len(bench.journal.sent) == 1


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Set, it lets a write of the ink go on."""
    event = threading.Event()
    yield event
    event.set()


def test_a_write_that_hangs_does_not_hold_up_and_is_done_when_it_can_be(
    stuck: threading.Event,
) -> None:
    order: list[str] = []

    def first() -> None:
        stuck.wait(10)
        order.append("first")

    async def work() -> None:
        ink = Ink(patience_s=0.01)
        answers = [await ink.write(first)]
        # Those behind it do not even wait that long.
        answers.append(await ink.write(lambda: order.append("second")))
        assert (answers, order, is_late(ink)) == ([False, False], [], True)
        stuck.set()
        async with asyncio.timeout(10):
            while is_late(ink) or len(order) < 2:
                await asyncio.sleep(0)
        ink.close()

    asyncio.run(work())
    assert order == ["first", "second"]


def test_no_process_waits_for_a_write_that_hangs() -> None:
    """An interpreter ends although what it wrote is still on its way."""
    program = (
        "import asyncio, time\n"
        "from dmguard.loop.ink import Ink\n"
        "async def main():\n"
        "    ink = Ink(patience_s=0.01)\n"
        "    print(await ink.write(lambda: time.sleep(600)), flush=True)\n"
        "    ink.close()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "False\n")


def is_late(ink: Ink) -> bool:
    return ink.late


def test_a_write_that_fails_is_no_more_than_a_no() -> None:
    def fail() -> None:
        raise OSError("read-only file system")

    async def work() -> tuple[bool, bool]:
        ink = Ink()
        answers = await ink.write(fail), await ink.write(lambda: None)
        ink.close()
        return answers

    assert asyncio.run(work()) == (False, True)
