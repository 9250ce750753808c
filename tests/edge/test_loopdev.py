"""edge/loopdev: a file is told by its inode, grows on disk, and is cut only where it is empty."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from dmguard.core.bare import HEAD, Backing, Place
from dmguard.edge.loopdev import Loops
from dmguard.edge.loopfile import LoopChangedError, LoopRoomError, cut_file, grow_file, read_head
from tests.edge.loopfake import CLR_FD, CONFIGURE, GET_STATUS, LoopHost

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def host(tmp_path: Path) -> LoopHost:
    return LoopHost(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of 4 MiB, of which the first is written."""
    file = tmp_path / "data"
    file.write_bytes(b"x" * MIB)
    os.truncate(file, 4 * MIB)
    return file


def loops(host: LoopHost) -> Loops:
    return Loops(host.sys, host.dev, host.ioctl)


def inode(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def test_what_lies_below_is_told_with_its_sizes_and_the_room_there_is(
    host: LoopHost, data: Path
) -> None:
    host.attach("loop1", data, offset=512, limit=MIB)
    backing = loops(host).read_backing((7, 1))
    assert (backing.node, backing.size, backing.is_loop) == ("/dev/loop1", 4 * MIB, True)
    file, system = backing.file, os.statvfs(data)
    assert file is not None
    assert (file.path, file.inode, file.size) == (str(data), inode(data), 4 * MIB)
    assert (file.offset, file.limit) == (512, MIB)
    assert file.allocated == data.stat().st_blocks * 512
    assert file.owed == 4 * MIB - file.allocated
    assert abs(file.room - system.f_bavail * system.f_frsize) < 1 << 30


def test_a_disk_has_no_file_and_what_is_not_there_has_nothing(host: LoopHost) -> None:
    host.add_disk("sdb", "8:16", 9 * MIB)
    assert loops(host).read_backing((8, 16)) == Backing((8, 16), "/dev/sdb", 9 * MIB)
    assert loops(host).read_backing((8, 32)) == Backing((8, 32))


def test_a_path_that_leads_to_another_file_is_none(host: LoopHost, data: Path) -> None:
    host.attach("loop0", data)
    shown = host.sys / "block/loop0/loop/backing_file"
    other = data.with_name("other")
    other.touch()
    for text in (f"{data} (deleted)", str(other), str(data.parent)):
        shown.write_text(f"{text}\n")
        assert loops(host).read_file("loop0") is None
    link = data.with_name("link")
    link.symlink_to(data)
    shown.write_text(f"{link}\n")
    assert loops(host).read_file("loop0") is None


def test_a_path_that_is_no_utf8_is_none(host: LoopHost, data: Path) -> None:
    host.attach("loop0", data)
    assert loops(host).read_file("loop0") is not None
    shown = host.sys / "block/loop0/loop/backing_file"
    shown.write_bytes(os.fsencode(data.parent) + b"/\xff\n")

    assert loops(host).read_file("loop0") is None


@pytest.mark.parametrize("text", ["-1\n", "x\n", "", "1" * 5000])
def test_a_size_that_is_none_is_unknown(host: LoopHost, data: Path, text: str) -> None:
    host.attach("loop0", data)
    (host.sys / "block/loop0/size").write_text(text)
    assert loops(host).read_backing((7, 0)) == Backing((7, 0))


def test_a_path_that_no_path_can_be_is_none(host: LoopHost, data: Path) -> None:
    host.attach("loop0", data)
    (host.sys / "block/loop0/loop/backing_file").write_text(f"{data}\0\n")
    assert loops(host).read_backing((7, 0)).file is None


def test_a_loop_device_of_another_file_is_not_resized(host: LoopHost, data: Path) -> None:
    host.attach("loop0", data)
    os.truncate(data, 6 * MIB)
    with pytest.raises(LoopChangedError, match="another file behind it"):
        loops(host).set_capacity("loop0", (1, 2))
    assert host.size("loop0") == 4 * MIB
    loops(host).set_capacity("loop0", inode(data))
    assert host.size("loop0") == 6 * MIB


def test_a_file_is_put_on_a_loop_device_once(host: LoopHost, data: Path) -> None:
    assert loops(host).attach(str(data)) == "loop0"
    assert host.files == {"loop0": data}
    assert loops(host).attach(str(data)) == "loop0"
    assert host.asked.count(CONFIGURE) == 1


def test_a_file_is_taken_off_its_loop_device(host: LoopHost, data: Path) -> None:
    loops(host).attach(str(data))
    loops(host).detach(str(data))
    assert host.files == {}
    loops(host).detach(str(data))
    assert host.asked.count(CLR_FD) == 1


def test_a_loop_device_that_is_in_use_or_shows_a_part_stays(host: LoopHost, data: Path) -> None:
    host.attach("loop0", data)
    host.fails[CLR_FD] = errno.EBUSY
    with pytest.raises(LoopChangedError, match="/dev/loop0 is in use"):
        loops(host).detach(str(data))
    host.fails.clear()
    host.parts["loop0"] = (512, 0)
    with pytest.raises(LoopChangedError, match="in another way"):
        loops(host).detach(str(data))
    assert host.files == {"loop0": data}


def test_one_that_is_taken_meanwhile_is_let_alone(host: LoopHost, data: Path) -> None:
    other = data.with_name("other")
    other.touch()
    honest = host._configure

    def slower(name: str, argument: bytearray) -> None:
        if name == "loop0" and name not in host.files:
            host.attach("loop0", other)
        honest(name, argument)

    host._configure = slower  # type: ignore[method-assign]
    assert loops(host).attach(str(data)) == "loop1"


@pytest.mark.parametrize("twice", [True, False])
def test_a_file_that_is_shown_in_another_way_is_refused(
    host: LoopHost,
    data: Path,
    twice: bool,  # noqa: FBT001 - a table
) -> None:
    host.attach("loop0", data, offset=0 if twice else 512)
    if twice:
        host.attach("loop1", data)
    with pytest.raises(LoopChangedError, match="in another way"):
        loops(host).attach(str(data))


def test_what_is_no_file_is_not_attached_and_nothing_is_made(host: LoopHost, data: Path) -> None:
    missing = data.with_name("missing")
    with pytest.raises(FileNotFoundError):
        loops(host).attach(str(missing))
    assert not missing.exists()
    with pytest.raises(IsADirectoryError):
        loops(host).attach(str(data.parent))
    assert CONFIGURE not in host.asked


def test_an_error_of_the_kernel_is_raised(host: LoopHost, data: Path) -> None:
    host.fails[CONFIGURE] = errno.EPERM
    with pytest.raises(PermissionError):
        loops(host).attach(str(data))
    host.fails[CONFIGURE] = errno.EBUSY
    with pytest.raises(OSError, match="busy"):
        loops(host).attach(str(data))


def test_a_place_is_a_file_with_its_loop_device_if_it_is_on_one(host: LoopHost, data: Path) -> None:
    place = Place(str(data), is_file=True, size=4 * MIB, inode=inode(data), allocated=MIB)
    assert loops(host).read_place(str(data)) == place
    host.attach("loop1", data)
    found = loops(host).read_place(str(data))
    assert found is not None
    assert found.devno == (7, 1)
    host.fails[GET_STATUS] = errno.ENXIO
    assert loops(host).read_place(str(data)) == place
    assert loops(host).read_place(str(data.parent)) is None
    assert loops(host).read_place("/nowhere") is None


def test_a_file_grows_with_nothing_in_its_new_part(data: Path) -> None:
    allocated = data.stat().st_blocks
    for _ in range(2):  # again, after a crash
        grow_file(str(data), inode(data), 4 * MIB, 6 * MIB)
        assert data.stat().st_size == 6 * MIB
    assert data.stat().st_blocks == allocated


def test_a_file_that_is_not_as_it_was_is_left_alone(data: Path) -> None:
    for function in (grow_file, cut_file):
        with pytest.raises(LoopChangedError, match="has 4194304 bytes now"):
            function(str(data), inode(data), 5 * MIB, 6 * MIB)
        with pytest.raises(LoopChangedError, match="another file now"):
            function(str(data), (1, 2), 4 * MIB, 6 * MIB)
    link = data.with_name("link")
    link.symlink_to(data)
    with pytest.raises(OSError, match="symbolic links"):
        grow_file(str(link), inode(data), 4 * MIB, 6 * MIB)
    assert data.stat().st_size == 4 * MIB


def test_what_does_not_fit_is_refused_before_anything_is_done(data: Path) -> None:
    with pytest.raises(LoopRoomError, match="are free"):
        grow_file(str(data), inode(data), 4 * MIB, 1 << 60)
    assert data.stat().st_size == 4 * MIB


def test_only_an_empty_part_is_cut(data: Path) -> None:
    cut_file(str(data), inode(data), 4 * MIB, 2 * MIB)
    assert data.stat().st_size == 2 * MIB
    cut_file(str(data), inode(data), 4 * MIB, 2 * MIB)  # again, after a crash
    with pytest.raises(LoopChangedError, match="there is something beyond 524288"):
        cut_file(str(data), inode(data), 2 * MIB, MIB // 2)
    assert data.read_bytes()[: MIB + 1] == b"x" * MIB + b"\0"


def test_the_head_of_metadata_is_one_block(data: Path) -> None:
    assert read_head(str(data)) == b"x" * HEAD
