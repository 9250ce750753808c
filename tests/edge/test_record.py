"""loop/record and loop/publish, on real files: what is remembered, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.entry import Entry
from dmguard.loop.ink import Ink
from dmguard.loop.memory import Memory
from dmguard.loop.publish import Publisher, is_alive, published_findings, read_published
from dmguard.loop.record import Paths, Recorder, read_history
from tests.edge.conftest import run, until

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = Entry("vg-dry", "extend-data", "refused", "timer", "vg", "vg/pool", "vg-dry", "no space")


class Journal:
    """Stands in for the journal's writer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []

    def send(self, message: str, **fields: str) -> Future[None]:
        self.sent.append((message, fields))
        written: Future[None] = Future()
        written.set_result(None)
        return written


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(run=tmp_path / "run", lib=tmp_path / "lib")


def make_recorder(paths: Paths, ink: Ink) -> tuple[Recorder, Journal]:
    journal: Any = Journal()
    return Recorder(paths, journal, ink), journal


def test_a_write_that_is_done_in_time_is_true() -> None:
    done: list[int] = []
    ink = Ink()
    assert run(ink.write(lambda: done.append(1))) is True
    ink.close()
    assert done == [1]


def test_a_write_that_fails_is_false_and_the_next_one_is_tried() -> None:
    ink = Ink()

    def fail() -> None:
        raise OSError(28, "No space left on device")

    async def main() -> list[bool]:
        return [await ink.write(fail), await ink.write(lambda: None)]

    assert run(main()) == [False, True]
    ink.close()


def test_a_write_that_is_begun_comes_in_its_turn_and_its_failure_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flowing, written, ink = threading.Event(), list[int](), Ink()

    def begun() -> None:
        assert flowing.wait(20)
        written.append(0)
        raise OSError(28, "No space left on device")

    async def main() -> bool:
        ink.begin(begun)
        assert written == []
        flowing.set()
        return await ink.write(lambda: written.append(1))

    assert run(main()) is True
    ink.close()
    assert written == [0, 1]
    assert "No space left on device" in caplog.text


def test_a_disk_that_stands_still_is_not_waited_for_and_loses_nothing() -> None:
    flowing, written, ink = threading.Event(), list[int](), Ink(patience_s=0.3)

    def stuck() -> None:
        assert flowing.wait(20)
        written.append(0)

    async def main() -> list[bool]:
        answers = [await ink.write(stuck)]
        assert ink.late
        began = asyncio.get_running_loop().time()
        answers += [await ink.write(partial(written.append, n)) for n in range(1, 21)]
        assert asyncio.get_running_loop().time() - began < 3  # patience is spent once, not 20 times
        assert written == []
        flowing.set()
        await until(lambda: not ink.late and len(written) == 21)
        answers.append(await ink.write(lambda: written.append(21)))
        return answers

    assert run(main()) == [False] * 21 + [True]
    assert written == list(range(22))
    ink.close()


def test_an_entry_goes_to_the_journal_and_to_the_history_once(paths: Paths) -> None:
    ink = Ink()
    recorder, journal = make_recorder(paths, ink)
    run(recorder.record(ENTRY))
    ink.close()
    (kept,) = read_history(paths)
    assert (kept.message, kept.at > 1e9, len(kept.id)) == ("no space", True, 32)
    ((message, fields),) = journal.sent
    assert message == "no space"
    assert fields["DMGUARD_ID"] == kept.id
    assert (fields["DMGUARD_REASON"], fields["DMGUARD_POOL"]) == ("vg-dry", "vg/pool")
    assert recorder.recent == [kept]


def test_only_the_last_ten_are_held_in_memory(paths: Paths) -> None:
    ink = Ink()
    recorder, _ = make_recorder(paths, ink)

    async def main() -> None:
        for _ in range(13):
            await recorder.record(ENTRY)

    run(main())
    ink.close()
    assert len(recorder.recent) == 10
    assert read_history(paths)[-10:] == recorder.recent


def test_lines_that_are_no_entries_are_left_out_of_the_history(paths: Paths) -> None:
    paths.lib.mkdir()
    good = json.dumps(ENTRY.as_values())
    lines = [good, '{"code": "vg-', "[]", "null", "3", '{"code": "vg-dry"}', "", "\x00", good]
    paths.history.write_text("\n".join(lines))
    assert read_history(paths) == [ENTRY, ENTRY]


def test_what_is_published_is_written_on_change_and_at_most_once_a_second(paths: Paths) -> None:
    ink = Ink()
    recorder, _ = make_recorder(paths, ink)

    async def main() -> list[Any]:
        publisher = Publisher(paths, Memory(), recorder)
        seen = []
        publisher.sources["timer"] = "listening"
        publisher.publish()
        first = paths.state.stat().st_ino
        seen.append(read_published(paths))
        publisher.sources["timer"] = "down: x"
        publisher.publish()
        publisher.publish()
        assert paths.state.stat().st_ino == first
        publisher.close()  # writes what waits
        seen.append(read_published(paths))
        return seen

    first, second = run(main())
    ink.close()
    assert (first["schema"], first["pid"], first["sources"]) == (
        1,
        os.getpid(),
        {"timer": "listening"},
    )
    assert second["sources"] == {"timer": "down: x"}
    assert sorted(entry.name for entry in paths.run.iterdir()) == ["state.json"]
    assert paths.state.stat().st_mode & 0o777 == 0o644


def test_what_waits_is_published_without_being_asked_again(paths: Paths) -> None:
    ink = Ink()
    recorder, _ = make_recorder(paths, ink)

    async def main() -> None:
        publisher = Publisher(paths, Memory(), recorder)
        publisher.publish()
        publisher.sources["timer"] = "down"
        publisher.publish()
        await until(lambda: (read_published(paths) or {})["sources"] == {"timer": "down"})

    run(main())
    ink.close()
    assert is_alive(read_published(paths))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_a_state_that_cannot_be_read_is_none(paths: Paths, text: str) -> None:
    paths.run.mkdir()
    paths.state.write_text(text)
    assert read_published(paths) is None


def test_an_agent_is_alive_for_as_long_as_its_process() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert is_alive({"pid": child.pid})
    child.communicate()
    assert not is_alive({"pid": child.pid})


@pytest.mark.parametrize("published", [None, {}, {"pid": None}, {"pid": "x"}])
def test_an_agent_that_published_no_pid_is_not_alive(published: dict[str, Any] | None) -> None:
    assert is_alive(published) is False


@pytest.mark.parametrize(
    ("published", "codes"),
    [
        (None, []),
        ({}, []),
        ({"findings": [{"code": "vg-dry", "subject": "vg", "message": "m"}]}, ["vg-dry"]),
        ({"findings": [{"code": "vg-dry"}]}, []),
        ({"findings": ["x"]}, []),
        ({"findings": 3}, []),
    ],
)
def test_findings_that_were_told_are_recalled_if_they_can_be(
    published: dict[str, Any] | None, codes: list[str]
) -> None:
    assert [finding.code for finding in published_findings(published)] == codes


def test_findings_of_another_version_with_unknown_codes_are_not_recalled() -> None:
    rows = [
        {"code": code, "subject": "vg/pool", "message": "it is so"}
        for code in ("vg-dry", "from-the-future")
    ]
    assert [f.code for f in published_findings({"findings": rows})] == ["vg-dry"]
