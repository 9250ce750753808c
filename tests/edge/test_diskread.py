"""edge/diskread: what is on a disk is told by its bytes, and no error is taken for a blank."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Probe
from dmguard.edge.diskread import places
from tests.edge.diskcontents import noise
from tests.edge.diskfake import (
    EVERYWHERE,
    LARGE,
    LOOPS,
    MIB,
    SMALL,
    Host,
    Looped,
    filled,
    looked_at,
    make_host,
)
from tests.unit import pvhead

if TYPE_CHECKING:
    from tests.edge.diskcontents import Content


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


def half(*pieces: tuple[int, bytes], beside: int | None = None, fill: bytes = b"\0") -> Content:
    """LVM's first writes, and one byte of another's."""

    def write(disk: bytearray) -> None:
        disk[:] = pvhead.head(*pieces, fill=fill) + fill * (len(disk) - (1 << 20))
        if beside is not None:
            disk[beside] ^= 0x55

    return write


BEGUN = (512, pvhead.LABEL), (4096, pvhead.PREPARED), (4608, pvhead.TEXT)
WHOLE_HALF = Probe(("LVM2_member at 0x218",), pv_label=True, data_at=512, half_pv=True)


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("content", "probe"),
    [
        (half(*BEGUN), WHOLE_HALF),
        (half(*BEGUN, beside=100), replace(WHOLE_HALF, data_at=100, beside=100)),
        (half(*BEGUN, beside=-1), replace(WHOLE_HALF, beside=-1)),
        (half((4096, pvhead.HEADER)), Probe(data_at=4096, half_pv=True)),
        (half(*BEGUN, fill=b"\xff"), WHOLE_HALF),
        (
            half((512, pvhead.LABEL), (4096, pvhead.COMMITTED), (4608, pvhead.TEXT)),
            replace(WHOLE_HALF, half_pv=False),
        ),
    ],
    ids=["half", "head", "tail", "header", "flash", "committed"],
)
def test_a_physical_volume_that_no_group_has_or_had(
    tmp_path: Path, content: Content, probe: Probe, size: int, place: str
) -> None:
    if probe.beside == -1:
        probe = replace(probe, beside=size - 1)
    assert looked_at(filled(tmp_path, content, size), place) == probe


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("where", ["first", "head", "middle", "tail", "last"])
def test_one_byte_is_seen(tmp_path: Path, size: int, where: str, place: str) -> None:
    reads = list(places(size))
    offset = {
        "first": 0,
        "head": 4 * MIB - 1,
        "middle": sum(reads[len(reads) // 2]) - 1,
        "tail": size - 4 * MIB,
        "last": size - 1,
    }[where]
    host = make_host(tmp_path, size)
    with host.node.open("r+b") as file:
        file.seek(offset)
        file.write(b"A")
    assert looked_at(host, place) == Probe(data_at=offset)


@pytest.mark.parametrize("where", [0, 1, SMALL - 1])
@pytest.mark.parametrize(("ground", "other"), [(b"\x00", 0xFF), (b"\xff", 0x00), (b"\x00", 0x01)])
def test_both_kinds_of_blank_on_one_disk_are_data(
    tmp_path: Path, ground: bytes, other: int, where: int
) -> None:
    def mixed(disk: bytearray) -> None:
        disk[:] = ground * len(disk)
        disk[where] = other

    data_at = looked_at(filled(tmp_path, mixed), "file").data_at
    expected = where
    if where == 0:
        expected = 1 if other in (0x00, 0xFF) else 0  # the first byte says what blank is
    assert data_at == expected


def test_bytes_without_meaning_are_data(tmp_path: Path) -> None:
    assert looked_at(filled(tmp_path, noise), "file") == Probe(data_at=0)


@pytest.mark.parametrize("size", [64 * MIB + 512, LARGE, 100 << 30, (7 << 40) + 512])
def test_both_ends_are_read_whole_and_the_middle_evenly(size: int) -> None:
    reads = list(places(size))
    offsets = [offset for offset, _ in reads]
    assert offsets == sorted(set(offsets))
    assert sum(length for offset, length in reads if offset + length <= 4 * MIB) == 4 * MIB
    assert sum(length for offset, length in reads if offset >= size - 4 * MIB) == 4 * MIB
    between = [offset for offset in offsets if 4 * MIB <= offset < size - 4 * MIB]
    assert len(between) >= 1024
    gaps = [after - before for before, after in pairwise(between)]
    assert max(gaps) <= (size - 8 * MIB) / 1024 + 4096
    assert all(length <= MIB and offset + length <= size for offset, length in reads)


@pytest.mark.parametrize("size", [64 * MIB + 512, 100 << 30])
def test_a_brief_look_reads_both_ends_whole_and_little_between(size: int) -> None:
    whole, brief = list(places(size)), list(places(size, samples=0))
    assert set(brief) < set(whole)
    ends = [read for read in whole if read[0] < 4 * MIB or read[0] >= size - 4 * MIB]
    between = set(brief) - set(ends)
    assert len(brief) == len(ends) + len(between)
    assert len(between) <= 20


@pytest.mark.parametrize("size", [8192, 8192 + 512, MIB - 512, 64 * MIB])
def test_a_small_disk_is_read_whole(size: int) -> None:
    reads = list(places(size))
    ends = [offset + length for offset, length in reads]
    assert [0, *ends] == [*(offset for offset, _ in reads), size]


def test_a_disk_that_changed_its_size(host: Host) -> None:
    os.truncate(host.node, SMALL + 512)
    expected = f"/dev/disk: size changed from {SMALL} to {SMALL + 512} bytes"
    assert host.look() == Probe(error=expected)


def test_a_disk_too_small_to_look_at(tmp_path: Path) -> None:
    assert "too few" in str(make_host(tmp_path, 4096).look().error)


def test_a_node_that_is_no_disk(host: Host) -> None:
    host.node.unlink()
    os.mkfifo(host.node)
    assert host.look() == Probe(error="/dev/disk is not a block device")


@pytest.mark.parametrize("place", ["loop"] if LOOPS else ["file"])
def test_another_device_behind_the_name(host: Host, place: str) -> None:
    if place == "file":
        device = replace(host.disk, name="null")
        seen = Host(replace(host.roots, dev=Path("/dev")), device).look()
        assert seen == Probe(error="/dev/null is not a block device")
        return
    with Looped(host) as real:
        seen = real.look(replace(real.disk, devno=(8, 240)))
        assert seen == Probe(error=f"{real.disk.node} is another device by now")


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_disk_that_cannot_be_read_to_its_end(
    tmp_path: Path, size: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(tmp_path, size)
    if place == "loop":
        with Looped(host) as real:
            os.truncate(host.node, size - 2 * MIB)  # reading behind the end of the file is EIO
            error = real.look().error
        assert error == f"{real.disk.node}: reading at byte {size - 512}: Input/output error"
        return
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda fd, length, at: pread(fd, length, at)[: size - MIB - at]
    )
    assert "bytes at byte" in str(host.look().error)


@pytest.mark.parametrize("at", [0, 510, 4096, 5 * MIB, SMALL - 4096, SMALL - MIB])
def test_an_error_of_one_block_is_an_error(
    host: Host, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread

    def bad(descriptor: int, length: int, offset: int) -> bytes:
        if offset <= at < offset + length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", bad)
    seen = host.look()
    assert seen == Probe(error=seen.error)
    assert str(seen.error).endswith("Input/output error")
