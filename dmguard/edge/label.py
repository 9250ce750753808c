"""The label of a PV that LVM did not come to give to a group: blanked again."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dmguard.core.halfpv import BEHIND_LABEL, LABEL_SPACE, unmade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import Devno


class OtherDiskError(Exception):
    """This is not the disk that it was when the act was decided."""


def unmake(node: str, devno: Devno, size: int) -> bool:
    """Take away what LVM wrote on a disk before a group has it; False if there is no such thing.

    OSError if anyone in the kernel has the disk. Wherever it is cut off, what is left is seen as
    the same half: the label, which says what is LVM's, goes last.
    """
    # udev takes it for an event of the disk when one that was open for writing is closed.
    with _opened(node, os.O_RDONLY) as descriptor:
        if _unmade(descriptor, node, devno, size) is None:
            return False
    with _opened(node, os.O_RDWR) as descriptor:
        before = _unmade(descriptor, node, devno, size)
        if before is None:
            return False
        for begin, end in ((BEHIND_LABEL, LABEL_SPACE), (0, BEHIND_LABEL)):
            _write(descriptor, before[begin:end], begin)
            os.fsync(descriptor)
    return True


@contextmanager
def _opened(node: str, flags: int) -> Iterator[int]:
    """A descriptor of a disk that nobody in the kernel has."""
    descriptor = os.open(node, flags | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unmade(descriptor: int, node: str, devno: Devno, size: int) -> bytes | None:
    status = os.fstat(descriptor)
    found = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if not stat.S_ISBLK(status.st_mode) or found != devno:
        raise OtherDiskError(f"{node} is another device by now")
    if os.lseek(descriptor, 0, os.SEEK_END) != size:
        raise OtherDiskError(f"{node} has another size by now")
    # LVM writes past the cache.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return unmade(os.pread(descriptor, LABEL_SPACE, 0))


def _write(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
