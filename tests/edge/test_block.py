"""edge/block: a disk is blank and unused only if everything that can be asked says so."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Probe
from dmguard.edge import deadline
from dmguard.edge.block import probe
from dmguard.edge.diskread import places
from dmguard.edge.run import Runner
from tests.edge.conftest import run, script, until
from tests.edge.diskcontents import erased, gpt
from tests.edge.diskfake import (
    BLANK,
    EVERYWHERE,
    LARGE,
    MIB,
    SMALL,
    Host,
    filled,
    looked_at,
    make_host,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.edge.diskcontents import Content


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("content", [lambda disk: None, erased], ids=["zeros", "erased"])
@pytest.mark.parametrize("size", [SMALL, LARGE, 3 * MIB + 512, 64 * MIB])
def test_nothing_on_it(tmp_path: Path, content: Content, size: int, place: str) -> None:
    assert looked_at(filled(tmp_path, content, size), place) == BLANK


def test_a_brief_look_sees_what_is_at_the_ends_and_who_uses_the_disk(host: Host) -> None:
    async def main() -> None:
        with Runner() as runner:
            assert await probe(host.disk, runner, roots=host.roots, brief=True) == BLANK
            with host.node.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"A")
                file.flush()
                seen = await probe(host.disk, runner, roots=host.roots, brief=True)
            assert seen.data_at == host.disk.size - 1

    run(main())


def test_a_disk_that_has_gone(host: Host) -> None:
    host.node.unlink()
    assert host.look() == Probe(error=f"/dev/disk: {host.node}: No such file or directory")


class DeadDisk:
    """Reads that do not return until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pread = os.pread
        self.count = 0
        self.asked, self.alive = threading.Event(), threading.Event()
        monkeypatch.setattr(os, "pread", self.read)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self.count += 1
        self.asked.set()
        assert self.alive.wait(20)
        return self.pread(descriptor, length, offset)


def test_a_dead_disk_holds_up_one_thread_and_no_process(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = DeadDisk(monkeypatch)

    async def main() -> None:
        with Runner() as runner:
            first = await probe(host.disk, runner, roots=host.roots, timeout_s=0.2)
            assert first == Probe(error="/dev/disk: no answer within 0.2 s")
            count = threading.active_count()
            again = await probe(host.disk, runner, roots=host.roots)
            assert again == Probe(error="/dev/disk: an earlier look at it has not come back")
            assert threading.active_count() == count
            assert runner.recent == ()
            dead.alive.set()
            await until(lambda: not deadline._asked)
            assert await probe(host.disk, runner, roots=host.roots) == BLANK

    run(main())


def test_a_cancelled_look_stops_reading(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = DeadDisk(monkeypatch)

    async def main() -> None:
        with Runner() as runner:
            task = asyncio.create_task(probe(host.disk, runner, roots=host.roots))
            await until(dead.asked.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            dead.alive.set()
            await until(lambda: not deadline._asked)

    run(main())
    assert dead.count < len(list(places(SMALL)))


def test_tables_are_known_without_the_tools(tmp_path: Path) -> None:
    host = filled(tmp_path, gpt)
    script(tmp_path / "bin", "blkid", "exit 2")
    script(tmp_path / "bin", "wipefs", "exit 0")
    seen = host.look(path=f"{tmp_path / 'bin'}")
    assert set(seen.tables) == {"gpt", "gpt (backup)", "dos"}
    assert "dos at 0x1fe" in seen.signatures
