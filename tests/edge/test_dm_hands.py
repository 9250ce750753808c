"""loop/dmhands: whatever fails on the way, the pool goes on, and nothing is guessed."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.bare import Table
from dmguard.core.model import Resource
from dmguard.core.steps.dm import (
    AttachFile,
    CreateRaw,
    CutFile,
    DetachFile,
    DropTable,
    LoadTable,
    RestoreTable,
    ResumePool,
    SetCapacity,
    SetFileSize,
)
from dmguard.edge.dm import Live, Tables
from dmguard.edge.loopdev import Loops
from dmguard.edge.run import SEARCH_PATH, Runner
from dmguard.loop.dmhands import DmHands
from tests.edge import dmfake
from tests.edge.conftest import run, script
from tests.edge.dmfake import Device, Kernel
from tests.edge.loopfake import CLR_FD, LoopHost
from tests.unit.bares import make_head

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.loop.walk import Done

MIB = 1 << 20
NAME = "docker-98:0-15970-pool"
PARAMS = "7:1 7:0 128 32768 1 skip_block_zeroing"
# 100 chunks of 64 KiB and 200.
SMALL, LARGE = 100 << 16, 200 << 16
OLD, NEW = Table(SMALL // 512, PARAMS), Table(LARGE // 512, PARAMS)


class Bench:
    """A pool on a file of its size, hands, and a program that stands for dmsetup."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = Device(NAME, "", (254, 0), table=f"{PARAMS} ", sectors=SMALL // 512)
        self.kernel = Kernel([self.device])
        self.loops = LoopHost(root, 3)
        self.data = root / "data"
        self.data.touch()
        os.truncate(self.data, SMALL)
        self.loops.attach("loop0", self.data)
        found = self.data.stat()
        self.inode = (found.st_dev, found.st_ino)
        self.said = root / "said"

    def open(self) -> Tables:
        return Tables(os.open(self.root, os.O_RDONLY), self.kernel.ioctl)

    def do(self, *steps: Any) -> list[Done]:
        """Each step by its hand, in order."""
        with Runner(f"{self.root}/bin:{SEARCH_PATH}") as runner:
            loops = Loops(self.loops.sys, self.loops.dev, self.loops.ioctl)
            hands = DmHands(runner, self.open, loops).as_table()

            async def main() -> list[Done]:
                return [await hands[type(step)](step, 0) for step in steps]

            return run(main())

    def one(self, step: Any) -> tuple[bool, str]:
        (done,) = self.do(step)
        return done.ok, done.code

    @property
    def live(self) -> Live | None:
        with self.open() as tables:
            return tables.read_live(NAME)

    @property
    def grow(self) -> tuple[Any, ...]:
        return (
            SetFileSize(str(self.data), self.inode, SMALL, LARGE),
            SetCapacity("/dev/loop0", self.inode),
            LoadTable(NAME, OLD, NEW),
            ResumePool(NAME, OLD, NEW),
        )

    @property
    def undo(self) -> tuple[Any, ...]:
        cut = CutFile(str(self.data), self.inode, LARGE, SMALL, NAME, Resource.DATA, SMALL)
        return (RestoreTable(NAME, OLD, NEW), cut, SetCapacity("/dev/loop0", self.inode))

    def sizes(self) -> tuple[int, int]:
        return self.data.stat().st_size, self.loops.size("loop0")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def goes_on(table: Table) -> Live:
    return Live(table, suspended=False, inactive=False)


def test_a_pool_grows_with_its_file_and_its_loop_device(bench: Bench) -> None:
    for _ in range(2):  # again, after a crash
        assert all(done.ok for done in bench.do(*bench.grow))
        assert bench.live == goes_on(NEW)
        assert bench.sizes() == (LARGE, LARGE)


def test_a_swap_that_fails_is_taken_back_whole(bench: Bench) -> None:
    bench.device.too_long = SMALL // 512
    with pytest.raises(OSError, match="Invalid argument"):
        bench.do(*bench.grow)
    assert bench.live == goes_on(OLD), "it does not wait for what comes next"
    assert all(done.ok for done in bench.do(*bench.undo))
    assert bench.live == goes_on(OLD)
    assert bench.sizes() == (SMALL, SMALL)


def test_a_table_that_was_loaded_and_not_swapped_in_is_dropped(bench: Bench) -> None:
    bench.do(*bench.grow[:3])
    assert bench.live == Live(OLD, suspended=False, inactive=True)
    assert all(done.ok for done in bench.do(*bench.undo))
    assert bench.live == goes_on(OLD)
    assert bench.sizes() == (SMALL, SMALL)


def test_a_pool_that_another_suspended_stays_as_he_left_it(bench: Bench) -> None:
    bench.do(*bench.grow[:2])
    bench.device.flags = dmfake.SUSPENDED
    assert bench.one(bench.grow[2]) == (False, "loop-changed")
    drop = DropTable(NAME, NEW)
    assert bench.one(drop) == (True, "")
    assert bench.live == Live(OLD, suspended=True, inactive=False)
    theirs = Table(333 * 128, PARAMS)
    with bench.open() as tables:
        tables.load(NAME, theirs)
    assert bench.one(drop) == (False, "loop-changed")
    with bench.open() as tables:
        assert tables.read_loaded(NAME) == theirs
        tables.load(NAME, NEW)
    assert bench.one(drop) == (True, "")
    assert bench.live == Live(OLD, suspended=True, inactive=False)


def test_a_pool_that_was_left_with_the_new_table_gets_the_old_one(bench: Bench) -> None:
    bench.do(*bench.grow[:2])
    bench.device.sectors, bench.device.flags = NEW.sectors, dmfake.SUSPENDED
    assert all(done.ok for done in bench.do(*bench.undo))
    assert bench.live == goes_on(OLD)


def test_where_the_kernel_takes_only_the_new_table_the_pool_goes_on_with_it(bench: Bench) -> None:
    """It has resized the pool before it failed. The file is then in use, and stays."""
    bench.do(*bench.grow[:2])
    bench.device.flags = dmfake.SUSPENDED
    bench.device.too_short = NEW.sectors
    bench.device.status = bench.device.status.replace("/100 ", "/200 ")
    restored, cut, _ = bench.do(*bench.undo)
    assert restored.ok
    assert bench.live == goes_on(NEW)
    assert (cut.ok, cut.code) == (False, "loop-changed")
    assert bench.sizes() == (LARGE, LARGE)


def test_a_pool_that_takes_no_table_is_told(bench: Bench) -> None:
    bench.device.flags = dmfake.SUSPENDED
    bench.device.too_short = NEW.sectors + 1
    with pytest.raises(OSError, match="Invalid argument"):
        bench.do(bench.undo[0])


def test_a_pool_on_other_devices_is_resumed_as_it_is(bench: Bench) -> None:
    other = PARAMS.replace("7:0", "7:5")
    bench.device.table, bench.device.flags = f"{other} ", dmfake.SUSPENDED
    assert bench.one(bench.undo[0]) == (True, "")
    assert bench.live == goes_on(Table(OLD.sectors, other))


def test_a_pool_that_is_gone_needs_nothing(bench: Bench) -> None:
    bench.kernel.devices.clear()
    with pytest.raises(OSError, match="No such device"):
        bench.do(bench.undo[0])
    assert bench.one(bench.undo[1]) == (False, "loop-changed")


@pytest.mark.parametrize(
    "changes",
    [
        {"table": "7:1 7:5 128 32768 1 skip_block_zeroing "},
        {"table": "7:1 7:0 128 9 1 skip_block_zeroing "},
        {"sectors": 777},
        {"flags": dmfake.SUSPENDED},
        {"targets": 0},
    ],
)
def test_a_table_is_only_loaded_beside_the_one_that_it_was_made_from(
    bench: Bench, changes: dict[str, object]
) -> None:
    for name, value in changes.items():
        setattr(bench.device, name, value)
    assert bench.one(bench.grow[2]) == (False, "loop-changed")
    assert bench.device.inactive is None


def test_a_file_is_not_cut_while_the_pool_has_more_or_nobody_knows(bench: Bench) -> None:
    bench.do(*bench.grow[:2])
    bench.device.status = bench.device.status.replace("/100 ", "/101 ")
    assert bench.one(bench.undo[1]) == (False, "loop-changed")
    bench.device.status = "Fail"
    assert bench.one(bench.undo[1]) == (False, "loop-changed")
    assert bench.sizes() == (LARGE, LARGE)
    metadata = replace(bench.undo[1], resource=Resource.METADATA, kept=1024 * 4096)
    bench.device.status = "1 10/1024 5/100 - rw discard_passdown queue_if_no_space - 1024 "
    assert bench.one(metadata) == (True, "")
    assert bench.sizes() == (SMALL, LARGE)


def test_a_change_behind_ones_back_and_a_full_file_system_have_their_codes(bench: Bench) -> None:
    assert bench.one(replace(bench.grow[0], inode=(1, 2))) == (False, "loop-changed")
    assert bench.one(replace(bench.grow[1], inode=(1, 2))) == (False, "loop-changed")
    assert bench.one(replace(bench.grow[0], size=1 << 60)) == (False, "loop-no-space")


RAW = CreateRaw(
    "devpool", 204800, "", "", metadata_is_file=True, data_is_file=True, rest="128 400 0"
)


@pytest.fixture
def raw(bench: Bench) -> CreateRaw:
    metadata = bench.root / "metadata"
    metadata.write_bytes(make_head())
    script(bench.root / "bin", "dmsetup", f'echo "$*" >> {bench.said}')
    return replace(RAW, metadata=str(metadata), data=str(bench.data))


def test_a_raw_pool_is_made_of_the_loop_devices_of_its_files(bench: Bench, raw: CreateRaw) -> None:
    # The nodes are read through /dev, which is the real one.
    assert all(done.ok for done in bench.do(AttachFile(raw.metadata), AttachFile(raw.data)))
    assert bench.loops.files["loop1"] == bench.root / "metadata"
    device = bench.root / "disk"
    device.write_bytes(make_head())
    step = replace(raw, metadata=str(device), metadata_is_file=False)
    assert bench.one(step) == (True, "")
    table = f"0 204800 thin-pool {device} /dev/loop0 128 400 0"
    assert bench.said.read_text() == f"create devpool --table {table}\n"


def test_a_file_for_which_no_pool_came_is_taken_off_again(bench: Bench, raw: CreateRaw) -> None:
    bench.do(AttachFile(raw.metadata))
    assert bench.one(DetachFile(raw.metadata)) == (True, "")
    assert list(bench.loops.files) == ["loop0"]
    bench.loops.fails[CLR_FD] = errno.EBUSY
    assert bench.one(DetachFile(raw.data)) == (False, "loop-changed")
    assert list(bench.loops.files) == ["loop0"]


@pytest.mark.parametrize("head", [bytes(4096), b"", b"\1" * 4096])
def test_no_pool_is_made_on_blank_or_strange_metadata(
    bench: Bench, raw: CreateRaw, head: bytes
) -> None:
    device = bench.root / "disk"
    device.write_bytes(head)
    step = replace(raw, metadata=str(device), metadata_is_file=False)
    assert bench.one(step) == (False, "raw-no-pool")
    assert not bench.said.exists()


def test_what_dmsetup_complains_of_is_told(bench: Bench, raw: CreateRaw) -> None:
    script(bench.root / "bin", "dmsetup", "echo 'Device or resource busy' >&2; exit 1")
    device = bench.root / "disk"
    device.write_bytes(make_head())
    (done,) = bench.do(replace(raw, metadata=str(device), metadata_is_file=False))
    assert (done.ok, done.complaint) == (False, "Device or resource busy")
