"""edge/run, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from dmguard.edge.files import BusyError, Lock
from dmguard.edge.run import (
    SEARCH_PATH,
    CommandFailedError,
    CommandMissingError,
    CommandTimeoutError,
    Runner,
)
from tests.edge.conftest import children, run, script, until


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr("dmguard.edge.run._GRACE_S", 0.3)
    return Runner(path=f"{tmp_path}/bin:{SEARCH_PATH}")


def test_a_reader_answers_with_both_outputs_and_its_status(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "answer", 'echo "out $1"; echo err >&2')
    with runner:
        completed = run(runner.read(["answer", "a b"]))
    assert completed.argv == ("answer", "a b")
    assert (completed.status, completed.stdout, completed.stderr) == (0, "out a b\n", "err\n")
    assert 0 < completed.seconds < 20


def test_a_failing_reader_raises_with_its_last_lines(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "bad", "echo first >&2; echo '  the reason ' >&2; echo >&2; exit 5")
    with (
        runner,
        pytest.raises(CommandFailedError, match=r"bad 'x y': first; the reason$") as caught,
    ):
        run(runner.read(["bad", "x y"]))
    assert caught.value.completed.status == 5


def test_a_silent_failure_names_its_status(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "bad", "exit 3")
    with runner, pytest.raises(CommandFailedError, match="bad ended with status 3"):
        run(runner.read(["bad"]))


def test_a_failure_can_be_asked_for_as_an_answer(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "bad", "echo partial; exit 5")
    with runner:
        completed = run(runner.read(["bad"], check=False))
    assert (completed.status, completed.stdout) == (5, "partial\n")


def test_output_that_is_not_utf8_is_read_all_the_same(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "odd", r"printf 'a\377b'")
    with runner:
        assert run(runner.read(["odd"])).stdout == "a\ufffdb"


def test_a_missing_program_is_told_by_name(runner: Runner) -> None:
    with runner, pytest.raises(CommandMissingError, match="no-such-program: not found"):
        run(runner.read(["no-such-program"]))


def test_a_missing_program_is_told_to_a_writer_and_the_next_one_runs(runner: Runner) -> None:
    with runner:
        with pytest.raises(CommandMissingError, match="no-such-program"):
            run(runner.change(["no-such-program"]))
        assert not runner.writing
        assert run(runner.change(["true"])).status == 0


def test_a_reader_past_its_deadline_is_stopped(runner: Runner) -> None:
    with runner, pytest.raises(CommandTimeoutError, match=r"sleep 600: no answer within 0\.2 s"):
        run(runner.read(["sleep", "600"], timeout_s=0.2))
    assert children() == set()


def test_a_reader_that_ignores_sigterm_is_killed(runner: Runner, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script(
        tmp_path / "bin",
        "stubborn",
        f"trap '' TERM; echo $$ > {pid}; while :; do read x < {tmp_path}/fifo; done",
    )
    os.mkfifo(tmp_path / "fifo")  # to wait on without a child of its own
    with runner, pytest.raises(CommandTimeoutError):
        run(runner.read(["stubborn"], timeout_s=1.5))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def is_dead(pid: int) -> bool:
    """Gone, or a zombie that whoever inherited it has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_deadline_ends_a_grandchild_too(runner: Runner, tmp_path: Path) -> None:
    """It would hold the pipes open for as long as it lives."""
    pid = tmp_path / "pid"
    script(tmp_path / "bin", "parent", f"sleep 600 & echo $! > {pid}; wait")
    began = time.monotonic()
    with runner, pytest.raises(CommandTimeoutError):
        run(runner.read(["parent"], timeout_s=1.5))
    assert is_dead(int(pid.read_text()))
    assert time.monotonic() - began < 15


def test_readers_run_side_by_side(runner: Runner, tmp_path: Path) -> None:
    """Each waits for the other: one after the other they would not end."""
    os.mkfifo(tmp_path / "fifo")
    script(tmp_path / "bin", "talk", f"echo hello > {tmp_path}/fifo")
    script(tmp_path / "bin", "hear", f"cat {tmp_path}/fifo")

    async def main() -> str:
        heard, _ = await asyncio.gather(runner.read(["hear"]), runner.read(["talk"]))
        return heard.stdout

    with runner:
        assert run(main()) == "hello\n"


def test_disks_that_hang_keep_no_report_from_being_read(runner: Runner, tmp_path: Path) -> None:
    go, begun = tmp_path / "go", tmp_path / "begun"
    script(tmp_path / "bin", "look", f"echo x >> {begun}; until test -e {go}; do sleep 0.01; done")

    async def work() -> None:
        looks = [asyncio.create_task(runner.read(["look"], aside=True)) for _ in range(3)]
        await until(begun.exists)
        reports = await asyncio.gather(*(runner.read(["echo", "report"]) for _ in range(4)))
        assert {report.stdout for report in reports} == {"report\n"}
        assert begun.read_text() == "x\n"  # and only one of them is begun
        go.touch()
        await asyncio.gather(*looks)
        assert begun.read_text() == "x\n" * 3

    with runner:
        run(work())


def test_the_environment_is_built_from_nothing(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LVM_SYSTEM_DIR", "DM_DEV_DIR", "LC_MESSAGES", "NOTIFY_SOCKET", "LD_PRELOAD_X"):
        monkeypatch.setenv(name, "poison")
    with runner:
        for method in (runner.read, runner.change):
            lines = run(method(["env"])).stdout.splitlines()
            assert sorted(lines) == [
                "HOME=/",
                "LC_ALL=C.UTF-8",
                f"PATH={tmp_path}/bin:{SEARCH_PATH}",
            ]


def test_a_child_has_its_own_session_no_input_and_no_foreign_directory(runner: Runner) -> None:
    text = "import os, sys; print(os.getsid(0) == os.getpid(), os.getcwd(), repr(sys.stdin.read()))"
    with runner:
        for method in (runner.read, runner.change):
            assert run(method(["python3", "-c", text])).stdout == "True / ''\n"


def test_no_descriptor_is_inherited_but_the_three(runner: Runner, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - os's own signature
    try:
        with runner:
            shown = run(runner.read(["sh", "-c", "ls /proc/$$/fd"])).stdout.split()
    finally:
        os.close(descriptor)
    assert shown[:3] == ["0", "1", "2"]
    assert str(descriptor) not in shown


def test_a_cancelled_writer_still_finishes_its_work(runner: Runner, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script(
        tmp_path / "bin",
        "work",
        f"cd {tmp_path}; : > began; read x < go; mv began finished; exit 7",
    )

    async def main() -> None:
        task = asyncio.create_task(runner.change(["work"]))
        await until((tmp_path / "began").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert runner.writing
        assert (tmp_path / "began").exists()
        (tmp_path / "go").write_text("now\n")
        await until(lambda: not runner.writing)

    with runner:
        run(main())
    assert (tmp_path / "finished").exists()


def test_closing_waits_for_a_writer(runner: Runner, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script(tmp_path / "bin", "work", f"cd {tmp_path}; : > began; read x < go; mv began finished")

    async def main() -> None:
        with runner:
            task = asyncio.create_task(runner.change(["work"]))
            await until((tmp_path / "began").exists)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # Opened for both ends, or this would wait for the script to open its own.
            go = os.open(tmp_path / "go", os.O_RDWR)
            os.write(go, b"now\n")
        assert (tmp_path / "finished").exists()
        os.close(go)

    run(main())


def test_two_writers_never_overlap(runner: Runner, tmp_path: Path) -> None:
    script(
        tmp_path / "bin",
        "alone",
        f"cd {tmp_path}; mkdir busy || exit 9; sleep 0.05; rmdir busy; echo $1 >> order",
    )

    async def main() -> list[int]:
        done = await asyncio.gather(*(runner.change(["alone", str(i)]) for i in range(5)))
        return [completed.status for completed in done]

    with runner:
        assert run(main()) == [0] * 5
    assert (tmp_path / "order").read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_failing_writer_is_an_answer_and_no_error(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "fail", "echo 'no space' >&2; exit 5")
    with runner:
        completed = run(runner.change(["fail"]))
    assert (completed.status, completed.complaint) == (5, "no space")


def test_a_writer_that_died_has_its_signal_as_status(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "die", "kill -9 $$")
    with runner:
        completed = run(runner.change(["die"]))
    assert (completed.status, completed.complaint) == (-9, "die ended with status -9")


def test_a_lock_handed_as_input_is_held_until_the_child_ends(
    runner: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "lock"
    os.mkfifo(tmp_path / "go")
    script(
        tmp_path / "bin", "hold", f"read x && exit 9; : > {tmp_path}/began; read x < {tmp_path}/go"
    )

    async def main() -> int:
        lock = Lock.acquire(path)
        task = asyncio.create_task(runner.change(["hold"], stdin=lock.descriptor))
        await until((tmp_path / "began").exists)
        lock.release()
        with pytest.raises(BusyError):
            Lock.acquire(path)
        (tmp_path / "go").write_text("now\n")
        return (await task).status

    with runner:
        assert run(main()) == 0
    Lock.acquire(path).release()
    assert path.read_bytes() == b""


def test_the_last_commands_are_remembered_from_their_start(runner: Runner, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script(tmp_path / "bin", "hang", f"read x < {tmp_path}/go")

    async def main() -> tuple[str, ...]:
        for _ in range(25):
            await runner.read(["true"])
        task = asyncio.create_task(runner.read(["hang"]))
        await until(lambda: runner.recent[-1].argv == ("hang",))
        assert not task.done()
        (tmp_path / "go").write_text("now\n")
        await task
        return tuple(started.argv[0] for started in runner.recent)

    with runner:
        assert run(main()) == ("true",) * 19 + ("hang",)


def test_a_change_without_a_process_waits_for_its_turn(runner: Runner, tmp_path: Path) -> None:
    script(tmp_path / "bin", "slow", f"until test -e {tmp_path}/go; do sleep 0.05; done")
    done: list[str] = []

    async def main() -> None:
        first = asyncio.create_task(runner.change(["slow"]))
        await until(lambda: bool(children()))
        second = asyncio.create_task(runner.work("it", lambda: done.append("second")))
        await asyncio.sleep(0)
        assert runner.writing
        words, seconds = runner.writing_for or ("", -1.0)
        assert words == "slow"
        assert 0 <= seconds < 60
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        assert not done
        (tmp_path / "go").touch()
        await first
        await until(lambda: done == ["second"])
        await until(lambda: not runner.writing)
        assert runner.writing_for is None
        assert await runner.work("it", lambda: 7) == 7

    with runner:
        run(main())
