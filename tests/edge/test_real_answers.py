"""What real machines answered, and what must not happen again."""

from __future__ import annotations

import asyncio
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Trigger
from dmguard.edge import files, lvm, systemd
from dmguard.edge.dm import (
    Control,
    DmParseError,
    DmUnavailableError,
    decode_list,
    parse_status,
    parse_table,
    request_number,
)
from dmguard.edge.retry import retry
from dmguard.edge.run import SEARCH_PATH, Runner
from dmguard.edge.sources.timer import Timer
from tests.edge.conftest import run, script, until

if TYPE_CHECKING:
    from dmguard.core.model import Vg
    from dmguard.core.wake import Wake

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = ("2.03.16", "2.03.31")
BUSY = """\
  /run/lock/lvm/V_docker: flock failed: Resource temporarily unavailable
  Can't get lock for docker.
  Cannot process volume group docker
"""


def golden(name: str) -> str:
    return (GOLDEN / f"lvm-{name}.json").read_text()


def vg(text: str, name: str) -> Vg:
    return next(vg for vg in lvm.parse_report(text) if vg.name == name)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_report_of_each_lvm_is_read_whole(version: str) -> None:
    docker = vg(golden(version), "docker")
    assert (docker.size, docker.extent, docker.spare) == (2139095040, 4194304, 8388608)
    assert not docker.exported
    assert not docker.shared
    assert docker.writeable
    assert [pv.name for pv in docker.pvs] == ["/dev/ubdb", "/dev/ubdc"]
    assert docker.free == docker.size - 209715200 - 2 * 8388608
    (pool,) = docker.pools
    assert (pool.full_name, pool.size, pool.metadata_size) == (
        "docker/thinpool",
        209715200,
        8388608,
    )
    assert (pool.chunk, pool.active, pool.profile) == (131072, True, "both")
    assert len(pool.uuid) == len(docker.uuid) == 32


@pytest.mark.parametrize("version", VERSIONS)
def test_an_exported_vg_and_its_inactive_pool_are_told_as_such(version: str) -> None:
    exported = vg(golden(version), "exported")
    assert exported.exported
    assert [(pool.name, pool.active) for pool in exported.pools] == [("ep", False)]


def test_a_missing_pv_is_told_and_its_space_is_not_free() -> None:
    before, after = vg(golden("2.03.16-missing-pv"), "data"), vg(golden("2.03.16"), "data")
    assert [pv.missing for pv in before.pvs] == [False, True]
    assert after.missing == ()
    assert before.free == before.pvs[0].free < after.free


def test_pvs_without_a_vg_do_not_spoil_the_report() -> None:
    orphan = '{"pv":[{"pv_name":"/dev/sdx"}],"pvseg":[{"pv_uuid":"a-b"}]}'
    assert lvm.parse_report(f'{{"report":[{orphan}]}}') == ()
    with_vgs = golden("2.03.16").rstrip().removesuffix("}").rstrip().removesuffix("]")
    assert lvm.parse_report(f"{with_vgs},{orphan}]}}") == lvm.parse_report(golden("2.03.16"))


def test_lvs_without_their_vg_are_an_error() -> None:
    with pytest.raises(lvm.ReportError, match="vg"):
        lvm.parse_report('{"report":[{"pv":[],"lv":[],"seg":[]}]}')


def test_every_cut_of_a_report_is_an_error() -> None:
    text = golden("2.03.31").rstrip()
    for end in range(0, len(text), 97):
        with pytest.raises(lvm.ReportError):
            lvm.parse_report(text[:end])


def fake_lvm(tmp_path: Path, times_busy: int) -> Runner:
    """An lvm that finds docker's lock held so many times, and answers as a real one did."""
    (tmp_path / "err").write_text(BUSY)
    script(
        tmp_path / "bin",
        "lvm",
        f"echo x >>{tmp_path}/calls\n"
        f'if [ "$(wc -l <{tmp_path}/calls)" -le {times_busy} ]; then\n'
        f"cat {GOLDEN}/lvm-2.03.16-busy.json; cat {tmp_path}/err >&2; exit 5; fi\n"
        f"cat {GOLDEN}/lvm-2.03.16.json",
    )
    return Runner(path=f"{tmp_path}/bin:{SEARCH_PATH}")


def test_a_vg_that_is_locked_just_now_is_not_left_out(tmp_path: Path) -> None:
    with fake_lvm(tmp_path, times_busy=2) as runner:
        vgs = run(lvm.read_vgs(runner))
    assert {vg.name for vg in vgs} == {"data", "docker", "exported"}
    assert (tmp_path / "calls").read_text() == "x\n" * 3


def test_a_vg_that_stays_locked_is_an_error_and_not_a_report_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_sleep(_: float) -> None:
        return

    impatient = functools.partial(retry, sleep=no_sleep)
    monkeypatch.setattr("dmguard.edge.lvm.retry", impatient)
    with (
        fake_lvm(tmp_path, times_busy=99) as runner,
        pytest.raises(lvm.ReportBusyError, match="Cannot process volume group docker"),
    ):
        run(lvm.read_vgs(runner))
    assert len((tmp_path / "calls").read_text().splitlines()) == 20


def test_the_list_of_a_real_kernel_is_decoded() -> None:
    devices = {d.name: d for d in decode_list((GOLDEN / "list-devices-4.47.bin").read_bytes())}
    assert len(devices) == 9
    assert sorted(d.name for d in devices.values() if d.pool_ids) == [
        "data-pool-tpool",
        "docker-thinpool",
    ]
    assert devices["docker-thinpool"].devno == (254, 2)
    docker = vg(golden("2.03.16"), "docker")
    assert devices["docker-thinpool"].pool_ids == (docker.uuid, docker.pools[0].uuid)


def test_a_status_line_of_a_real_kernel_is_read() -> None:
    status = parse_status("0 213/2048 0/1600 - rw no_discard_passdown queue_if_no_space - 512 ", 1)
    assert status.metadata is not None
    assert (status.metadata.used, status.metadata.total) == (213 * 4096, 2048 * 4096)
    assert not status.needs_check
    assert not status.errors_when_full


def test_request_numbers_are_the_same_on_every_architecture() -> None:
    for machine in ("x86_64", "aarch64", "s390x", "ppc64le", "mips64", "sparc64", "alpha"):
        numbers = [request_number(command, machine) for command in (0x02, 0x0C, 0x10)]
        assert numbers == [0xC138FD02, 0xC138FD0C, 0xC138FD10], machine


def test_a_number_too_long_for_an_integer_is_a_parse_error() -> None:
    with pytest.raises(DmParseError):
        parse_table(f"254:0 254:1 {'9' * 5000} 0")
    with pytest.raises(DmParseError):
        parse_status(f"{'9' * 5000} 1/2 3/4 - rw", 65536)


def test_a_node_that_is_not_device_mapper_is_unavailable_and_leaks_nothing() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(DmUnavailableError, match="/dev/null"):
        Control.open("/dev/null")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_queued_writer_keeps_the_lock_that_its_cancelled_caller_let_go(tmp_path: Path) -> None:
    async def scenario(runner: Runner) -> None:
        lock = files.Lock.acquire(tmp_path / "lock")
        first = asyncio.create_task(runner.change(["timeout", "20", "cat", f"{tmp_path}/gate"]))
        await until(lambda: len(runner.recent) == 1)
        told = f"readlink /proc/self/fd/0 >{tmp_path}/stdin; timeout 20 cat {tmp_path}/gate2"
        second = asyncio.create_task(runner.change(["sh", "-c", told], stdin=lock.descriptor))
        await asyncio.sleep(0)
        second.cancel()
        lock.release()
        with pytest.raises(files.BusyError):
            files.Lock.acquire(tmp_path / "lock")
        with (tmp_path / "other").open("w"):  # takes the number that the lock had
            (tmp_path / "gate").write_bytes(b"")
            await first
            await until((tmp_path / "stdin").exists)
            await until(lambda: (tmp_path / "stdin").read_text() != "")
        with pytest.raises(files.BusyError):
            files.Lock.acquire(tmp_path / "lock")
        (tmp_path / "gate2").write_bytes(b"")

    # Two named pipes hold the writers where they are until the test lets them go on.
    os.mkfifo(tmp_path / "gate")
    os.mkfifo(tmp_path / "gate2")
    with Runner() as runner:
        run(scenario(runner))
    assert (tmp_path / "stdin").read_text() == f"{tmp_path}/lock\n"
    files.Lock.acquire(tmp_path / "lock").release()


def test_a_line_may_hold_what_unicode_calls_a_line_break(tmp_path: Path) -> None:
    for line in ("a\u2028b", "c\x85d", ""):
        files.append_line(tmp_path / "history", line, limit=1000)
    assert files.read_lines(tmp_path / "history") == ["a\u2028b", "c\x85d", ""]


def test_a_line_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(OSError, match="No space left"):
        files.append_line(tmp_path / "history", "too long", limit=1000)
    monkeypatch.undo()
    files.append_line(tmp_path / "history", "next", limit=1000)
    assert files.read_lines(tmp_path / "history") == ["too", "next"]


def test_text_that_is_not_utf8_does_not_end_the_journal_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []

    def write(message: str, _: dict[str, str]) -> None:
        message.encode()
        taken.append(message)

    monkeypatch.setattr(systemd, "write_entry", write)
    writer = systemd.JournalWriter()
    for message in ("before", "bad \udc80", "after"):
        writer.send(message)
    writer.close(10)
    assert taken == ["before", "after"]
    assert writer.dropped == 1


def test_a_status_cannot_break_out_of_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def take(text: str) -> bool:
        sent.append(text)
        return True

    monkeypatch.setattr("dmguard.edge.systemd.daemon.notify", take)
    assert systemd.notify(STATUS="one\nSTOPPING=1")
    assert sent == ["STATUS=one STOPPING=1"]


def test_a_look_asked_for_before_the_timer_runs_is_kept() -> None:
    async def scenario() -> list[Wake]:
        wakes: list[Wake] = []
        timer = Timer(3600)
        timer.look_within(0.0)
        task = asyncio.create_task(timer.run(wakes.append))
        await until(lambda: bool(wakes))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return wakes

    assert [wake.trigger for wake in run(scenario())] == [Trigger.TIMER]
