"""Files below loop devices: made larger, and cut again where nothing was written."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.bare import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.bare import Inode


class LoopChangedError(Exception):
    """A file or a loop device is not as it was when the act was decided."""


class LoopRoomError(Exception):
    """A file system has no room for what its file would grow by."""


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor for as long as it is needed."""
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_head(path: str) -> bytes:
    """The first block of thin metadata."""
    with opened(Path(path), os.O_RDONLY) as descriptor:
        return os.pread(descriptor, HEAD, 0)


def grow_file(path: str, inode: Inode, was: int, size: int) -> None:
    """Make a file larger, with nothing in the new part, on disk when this returns.

    A pool that is larger than its file after a power cut could not be brought up again.
    """
    with opened(Path(path), os.O_RDWR | os.O_NOFOLLOW) as descriptor:
        now = _size_of(descriptor, path, inode, (was, size))
        if now < size:
            system = os.fstatvfs(descriptor)
            room = system.f_bavail * system.f_frsize
            if size - now > room:
                raise LoopRoomError(f"{path}: {size - now} bytes more, and {room} are free")
            os.ftruncate(descriptor, size)
        os.fsync(descriptor)


def cut_file(path: str, inode: Inode, was: int, size: int) -> None:
    """Take a growth back. Refused when there is anything in the part that would go."""
    with opened(Path(path), os.O_RDWR | os.O_NOFOLLOW) as descriptor:
        now = _size_of(descriptor, path, inode, (was, size))
        if now == size:
            return
        try:
            os.lseek(descriptor, size, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            raise LoopChangedError(f"{path}: there is something beyond {size} bytes")
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)


def _size_of(descriptor: int, path: str, inode: Inode, sizes: tuple[int, int]) -> int:
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) != inode or not stat.S_ISREG(found.st_mode):
        raise LoopChangedError(f"{path} is another file now")
    if found.st_size not in sizes:
        raise LoopChangedError(f"{path} has {found.st_size} bytes now")
    return found.st_size
