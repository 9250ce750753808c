"""The resident LVM: a real process, with the real library and with one that does as it is told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.edge.files import BusyError, Lock
from dmguard.edge.resident import server
from dmguard.edge.resident.client import Resident
from dmguard.edge.run import Completed, Runner
from tests.edge.conftest import children, run, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

CLIENT = "dmguard.edge.resident.client"
FAKE = (sys.executable, str(Path(__file__).with_name("residentfake.py")), server.__file__)
REAL = (sys.executable, "-IS", server.__file__)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@asynccontextmanager
async def started(
    command: Sequence[str] = FAKE, version: Callable[[], Hashable] = lambda: 1
) -> AsyncIterator[Resident]:
    """One that is ready, and that is gone with its runner afterwards."""
    with Runner() as runner:
        resident = Resident(runner, command, version)
        resident.expect(growth=True)
        await until(lambda: resident.ready)
        try:
            yield resident
        finally:
            await resident.close()


async def ask(resident: Resident, line: str) -> Completed | None:
    with Path(os.devnull).open() as nothing:
        return await resident.change(line.split(), stdin=nothing.fileno())


def the_one() -> int:
    (pid,) = children()
    return pid


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("version",), ""),
        (("nonsense",), ""),
        (("lvextend",), "No command with matching syntax recognised"),
        (("lvextend", "--nonsense"), "nonsense"),
        (
            ("lvextend", "--config", "global/notify_dbus=0 activation/monitoring=0", "-L", "x"),
            "Invalid argument for --size",
        ),
        (("lvextend", "--size", "1g", "vg/lv/too/many"), "vg/lv/too/many"),
    ],
)
def test_the_real_library_answers_as_a_process_of_its_own_would(
    words: tuple[str, ...], complaint: str
) -> None:
    plain = subprocess.run(["lvm", *words], capture_output=True, text=True, check=False)

    async def main() -> Completed | None:
        with Path(os.devnull).open() as nothing:
            async with started(REAL) as resident:
                return await resident.change(words, stdin=nothing.fileno())

    completed = run(main())
    assert completed is not None
    assert completed.argv == ("lvm", " ".join(w if " " not in w else f"'{w}'" for w in words))
    assert completed.status == plain.returncode
    assert completed.stdout == plain.stdout
    assert complaint in plain.stderr
    assert complaint in completed.stderr


def test_both_outputs_and_the_status_come_back_each_time_anew() -> None:
    async def main() -> list[Completed | None]:
        async with started() as resident:
            return [await ask(resident, f"say out{n} err{n} {n}") for n in (0, 5)]

    first, second = run(main())
    assert first is not None
    assert second is not None
    assert (first.status, first.stdout, first.stderr) == (0, "out0", "err0")
    assert (second.status, second.stdout, second.stderr) == (5, "out5", "err5")


def test_what_is_said_at_length_is_cut_and_its_end_is_kept() -> None:
    async def main() -> Completed | None:
        async with started() as resident:
            line = ["say", "x", f"{'y' * 60_000}.the-reason", "5"]
            with Path(os.devnull).open() as nothing:
                return await resident.change(line, stdin=nothing.fileno())

    completed = run(main())
    assert completed is not None
    assert completed.status == 5
    assert completed.complaint.endswith(".the-reason")
    assert 10_000 < len(completed.stderr) < 40_000


def test_it_has_a_name_of_its_own_and_lvms_library() -> None:
    async def main() -> tuple[str, str]:
        async with started(REAL):
            folder = Path(f"/proc/{the_one()}")
            return (folder / "comm").read_text().strip(), (folder / "maps").read_text()

    name, maps = run(main())
    assert name == server.NAME
    assert "liblvm2cmd" in maps


def test_a_command_holds_the_lock_as_its_input_to_its_end_whatever_becomes_of_the_agent(
    lock: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        async with started() as resident:
            with Lock.acquire(lock) as held:
                task = asyncio.create_task(
                    resident.change(("wait", str(tmp_path / "go")), stdin=held.descriptor)
                )
                await until((tmp_path / "go.waits").exists)
                assert not resident.ready
                task.cancel()
            # The agent's own is closed: the command's is what keeps it.
            with pytest.raises(BusyError):
                Lock.acquire(lock)
            (tmp_path / "go").touch()
            await until(lambda: resident.ready)
            Lock.acquire(lock).release()

    run(main())


def test_it_finishes_what_it_is_at_when_the_agent_is_gone_and_then_ends(
    lock: Path, tmp_path: Path
) -> None:
    source = f"""
import asyncio
from pathlib import Path
from dmguard.edge.files import Lock
from dmguard.edge.resident.client import Resident
from dmguard.edge.run import Runner

async def main():
    resident = Resident(Runner(), {FAKE!r}, lambda: 1)
    resident.expect(growth=True)
    while not resident.ready:
        await asyncio.sleep(0.01)
    held = Lock.acquire(Path({str(lock)!r}))
    await resident.change(("wait", {str(tmp_path / "go")!r}), stdin=held.descriptor)

asyncio.run(main())
"""
    agent = subprocess.Popen([sys.executable, "-c", source])

    def is_free() -> bool:
        try:
            Lock.acquire(lock).release()
        except BusyError:
            return False
        return True

    async def main() -> None:
        await until((tmp_path / "go.waits").exists)
        tasks = Path(f"/proc/{agent.pid}/task").glob("*/children")
        (pid,) = (word for task in tasks for word in task.read_text().split())
        agent.kill()
        agent.wait()
        assert not is_free()
        assert Path(f"/proc/{pid}").exists()
        (tmp_path / "go").touch()
        await until(is_free)
        await until(lambda: not Path(f"/proc/{pid}").exists())

    run(main())


@pytest.mark.parametrize("busy", [True, False])
def test_a_command_waits_for_its_turn_among_those_that_are_processes(
    tmp_path: Path, *, busy: bool
) -> None:
    written, go = tmp_path / "written", tmp_path / "go"

    async def main() -> None:
        with Runner() as runner:
            resident = Resident(runner, FAKE, lambda: 1)
            resident.expect(growth=True)
            await until(lambda: resident.ready)
            first = None
            if busy:
                wait = f"touch {go}.waits; until test -e {go}; do sleep 0.01; done"
                first = asyncio.create_task(runner.change(["sh", "-c", wait]))
                await until(Path(f"{go}.waits").exists)
            second = asyncio.create_task(ask(resident, f"write {written}"))
            if first is None:
                await until(written.exists)
            else:
                await asyncio.sleep(0.05)  # in which the other test has it written
                assert not written.exists()
                go.touch()
                await first
            completed = await second
            assert completed is not None
            assert (completed.status, written.exists()) == (0, True)
            await resident.close()

    run(main())


def test_a_prompt_reads_an_empty_file(lock: Path) -> None:
    async def main() -> Completed | None:
        async with started() as resident:
            with Lock.acquire(lock) as held:
                return await resident.change(("read",), stdin=held.descriptor)

    completed = run(main())
    assert completed is not None
    assert completed.status == 0


@pytest.mark.parametrize("word", ["it's", "#", "a\nb", "a\tb", "ä", "", "$(id)", "a\\"])
def test_a_word_that_could_be_read_otherwise_is_not_given_to_it(word: str) -> None:
    async def main() -> tuple[Completed | None, Completed | None]:
        async with started() as resident:
            with Path(os.devnull).open() as nothing:
                bad = await resident.change(("say", word, "e", "0"), stdin=nothing.fileno())
            return bad, await ask(resident, "say o e 0")

    bad, good = run(main())
    assert bad is None
    assert good is not None


def test_one_that_dies_in_a_command_is_told_of_and_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"{CLIENT}._FIRST_PAUSE_S", 0.5)

    async def main() -> None:
        async with started() as resident:
            first = the_one()
            died = await ask(resident, "die")
            assert died is not None
            assert died.status < 0
            assert "in the middle of a command" in died.complaint
            assert await ask(resident, "say o e 0") is None
            await until(lambda: _left(resident) == set())
            assert not resident.ready, "not before its pause is over"
            await until(lambda: _again(resident))
            assert the_one() != first
            completed = await ask(resident, "say o e 0")
            assert completed is not None
            assert completed.status == 0

    run(main())
    assert [record for record in caplog.records if "in the middle" in record.getMessage()]


def _again(resident: Resident) -> bool:
    """Is there one, and no more than one? The old one ends by itself."""
    return len(_left(resident, growth=True)) == 1 and resident.ready


def _left(resident: Resident, *, growth: bool = False) -> set[int]:
    resident.expect(growth=growth)
    return children()


def test_one_that_died_beside_is_replaced() -> None:
    async def main() -> None:
        async with started() as resident:
            first = the_one()
            os.kill(first, 9)
            await until(lambda: _again(resident) and the_one() != first)
            assert await ask(resident, "say o e 0") is not None

    run(main())


def test_one_that_grew_answers_until_another_is_ready() -> None:
    """A hundred growths in a row do not wait for it, nor does each become a process."""

    async def main() -> None:
        async with started() as resident:
            first = the_one()
            await ask(resident, "say o e 0")
            await ask(resident, "grow 8")
            resident.expect(growth=True)
            assert the_one() == first
            await ask(resident, "grow 10")
            while first in _left(resident, growth=True):
                assert await ask(resident, "say o e 0") is not None
            assert await ask(resident, "say o e 0") is not None
            the_one()

    run(main())


def test_another_is_not_begun_for_one_that_is_no_longer_needed() -> None:
    async def main() -> None:
        async with started() as resident:
            await ask(resident, "say o e 0")
            await ask(resident, "grow 18")
            await resident.close()
            await until(lambda: not _left(resident))

    run(main())


def test_another_configuration_of_lvms_is_begun_anew() -> None:
    version = [1]

    async def main() -> None:
        async with started(version=lambda: tuple(version)) as resident:
            first = the_one()
            version.append(2)
            await until(lambda: _again(resident) and the_one() != first)
            assert await ask(resident, "say o e 0") is not None

    run(main())


def test_it_is_there_only_while_growth_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with Runner() as runner:
            resident = Resident(runner, FAKE, lambda: 1)
            resident.expect(growth=False)
            await asyncio.sleep(0)
            assert not children()
            assert await ask(resident, "say o e 0") is None
            resident.expect(growth=True)
            await until(lambda: resident.ready)
            assert len(_left(resident)) == 1, "growth may be near again"
            assert await ask(resident, "say o e 0") is not None
            monkeypatch.setattr(f"{CLIENT}._KEEP_S", 0.0)
            resident.expect(growth=True)
            await until(lambda: not _left(resident))
            assert await ask(resident, "say o e 0") is None

    run(main())


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("no-such-program",), "not found"),
        (("false",), "before it was ready"),
        ((*REAL[:2], "/nonexistent"), "before it was ready"),
        ((*REAL, "libnothere.so"), "before it was ready"),
    ],
)
def test_one_that_cannot_be_started_is_told_of_and_nothing_fails(
    command: tuple[str, ...], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> Completed | None:
        with Runner() as runner:
            resident = Resident(runner, command, lambda: 1)
            resident.expect(growth=True)
            await until(lambda: bool(caplog.records))
            resident.expect(growth=True)
            answer = await ask(resident, "say o e 0")
            await resident.close()
            return answer

    assert run(main()) is None
    assert why in caplog.text


def test_one_that_does_not_become_ready_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"{CLIENT}._START_S", 0.2)
    mute = "import sys, socket; socket.socket(fileno=int(sys.argv[1])).recv(9)"
    command = (sys.executable, "-c", mute)

    async def main() -> None:
        with Runner() as runner:
            resident = Resident(runner, command, lambda: 1)
            resident.expect(growth=True)
            await until(lambda: bool(caplog.records))
            assert not resident.ready
            await resident.close()

    run(main())
    assert "does not become ready" in caplog.text


def test_it_can_be_closed_while_it_starts() -> None:
    async def main() -> None:
        with Runner() as runner:
            resident = Resident(runner, FAKE, lambda: 1)
            resident.expect(growth=True)
            await asyncio.sleep(0)
            await resident.close()
            assert not resident.ready

    run(main())


def test_a_program_that_never_begins_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one on a disk that does not answer."""
    monkeypatch.setattr(f"{CLIENT}._START_S", 0.2)
    monkeypatch.setattr(f"{CLIENT}._FIRST_PAUSE_S", 0.0)
    answers = threading.Event()
    popen = subprocess.Popen

    def begin(argv: tuple[str, ...], **how: Any) -> subprocess.Popen[bytes]:
        if argv[: len(FAKE)] == FAKE:
            answers.wait()
        return popen(argv, **how)

    monkeypatch.setattr("dmguard.edge.run.subprocess.Popen", begin)

    async def main() -> None:
        with Runner() as runner:
            resident = Resident(runner, FAKE, lambda: 1)
            await until(lambda: len(_left(resident, growth=True)) + len(caplog.records) > 1)
            completed = await runner.read(["echo", "here"])
            assert completed.stdout == "here\n"
            assert await ask(resident, "say o e 0") is None
            answers.set()
            await until(lambda: bool(_left(resident, growth=True)) and resident.ready)
            assert await ask(resident, "say o e 0") is not None
            await resident.close()

    run(main())
    assert "does not become ready" in caplog.text
