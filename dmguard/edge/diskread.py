"""What is on a disk, by reading it: is it blank, and if not, what do we know ourselves of it?"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.halfpv import LABEL_SPACE, unmade
from dmguard.edge.deadline import DoubtError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from dmguard.core.model import Disk

EDGE = 4 << 20
"""Bytes read at either end of a disk."""
WHOLE = 64 << 20
"""A disk of at most so many bytes is read from end to end."""
SAMPLES = 1024
"""Blocks read between the two ends of a larger one."""
BLOCK = 4096

_CHUNK = 1 << 20
_MIDDLE = tuple(
    shift + place
    for shift in (0, 1 << 20)
    for place in (64 << 20, 256 << 30, *((128 << 20) * group for group in (1, 3, 5, 7, 9, 25, 27)))
)
"""Where filesystems keep copies of their superblock, with and without a first partition's 1 MiB:
btrfs at 64 MiB and 256 GiB, ext4 of 4 KiB blocks in the groups 1, 3, 5, 7, 9, 25 and 27."""


@dataclass(frozen=True, slots=True)
class Content:
    """What reading found. `marks`: partition tables by name and offset; the rest as Probe's."""

    data_at: int | None = None
    half_pv: bool = False
    beside: int | None = None
    marks: tuple[tuple[str, int], ...] = ()


def read_content(node: Path, disk: Disk, stop: threading.Event, *, brief: bool = False) -> Content:
    """Read both ends, and the whole or samples between. DoubtError, OSError: it cannot be told.

    Blank is a disk of nothing but 0x00, or of nothing but 0xff (erased flash).
    """
    descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_same(descriptor, disk)
        # What is cached may be older than what another host, or a raw write, has put there.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead
        marks = tuple(_marks(descriptor, disk))
        data_at = _data_at(descriptor, disk, stop, brief=brief)
        if data_at is None or data_at >= LABEL_SPACE or disk.size <= LABEL_SPACE:
            return Content(data_at, marks=marks)
        head = unmade(_pread(descriptor, disk, 0, LABEL_SPACE))
        if head is None:
            return Content(data_at, marks=marks)
        beside = _data_at(descriptor, disk, stop, brief=brief, head=head)
        return Content(data_at, half_pv=True, beside=beside, marks=marks)
    finally:
        os.close(descriptor)


def _check_same(descriptor: int, disk: Disk) -> None:
    """DoubtError unless this is the device that the disk describes, or a file of its size."""
    status = os.fstat(descriptor)
    if stat.S_ISBLK(status.st_mode):
        devno = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if devno != disk.devno:
            raise DoubtError(f"{disk.node} is another device by now")
    elif not stat.S_ISREG(status.st_mode):
        raise DoubtError(f"{disk.node} is not a block device")
    # The end of a block device is what BLKGETSIZE64 says (Linux, block/fops.c, blkdev_llseek).
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size != disk.size:
        raise DoubtError(f"{disk.node}: size changed from {disk.size} to {size} bytes")
    if size < 2 * BLOCK:
        raise DoubtError(f"{disk.node}: {size} bytes are too few to look at")


def _data_at(
    descriptor: int, disk: Disk, stop: threading.Event, *, brief: bool, head: bytes = b""
) -> int | None:
    """The offset of the first byte read that is not blank, as if the disk began with `head`."""
    fill = head[:1] or _pread(descriptor, disk, 0, 1)
    if fill not in (b"\x00", b"\xff"):
        return 0
    for offset, length in places(disk.size, samples=0 if brief else SAMPLES):
        if stop.is_set():
            raise DoubtError(f"{disk.node}: the look at it was given up")
        # The head is as long as what is read first.
        data = head if head and offset == 0 else _pread(descriptor, disk, offset, length)
        rest = data.lstrip(fill)
        if rest:
            return offset + length - len(rest)
    return None


def places(size: int, samples: int = SAMPLES) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is read of a disk of so many bytes, in order.

    Beside the two ends: so many samples, and where filesystems keep copies of their superblock.
    """
    if size <= WHOLE:
        yield from _chunks(0, size)
        return
    last = size - EDGE
    even = (EDGE + (last - EDGE) * number // samples // BLOCK * BLOCK for number in range(samples))
    known = (place for place in _MIDDLE if EDGE <= place <= last - BLOCK)
    yield from _chunks(0, EDGE)
    for offset in sorted({*even, *known}):
        yield offset, BLOCK
    yield from _chunks(last, size)


def _chunks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for offset in range(begin, end, _CHUNK):
        yield offset, min(_CHUNK, end - offset)


def _pread(descriptor: int, disk: Disk, offset: int, length: int) -> bytes:
    """Exactly so many bytes, or DoubtError."""
    try:
        data = os.pread(descriptor, length, offset)
    except OSError as error:
        raise DoubtError(f"{disk.node}: reading at byte {offset}: {error.strerror}") from error
    if len(data) != length:
        raise DoubtError(f"{disk.node}: only {len(data)} of {length} bytes at byte {offset}")
    return data


def _marks(descriptor: int, disk: Disk) -> Iterator[tuple[str, int]]:
    """Partition tables by their own marks, for sectors of 512 and of 4096 bytes.

    libblkid does not look for a backup GPT when the protective MBR is gone.
    """
    for sector in (512, 4096):
        if _pread(descriptor, disk, sector, 8) == b"EFI PART":
            yield "gpt", sector
        if _pread(descriptor, disk, disk.size - sector, 8) == b"EFI PART":
            yield "gpt (backup)", disk.size - sector
    if _pread(descriptor, disk, 510, 2) == b"\x55\xaa":
        yield "dos", 510
