"""Loop devices and the files behind them.

The kernel keeps the file open for as long as the device is there, so that what is asked of it
here is in memory, whatever its file system does. A file is told by its inode: the path that the
kernel shows is the one of another mount namespace, or of a file that is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.bare import SECTOR, Backing, LoopFile, Place
from dmguard.edge.loopfile import LoopChangedError, opened

if TYPE_CHECKING:
    from dmguard.core.bare import Inode
    from dmguard.core.model import Devno

SYS, DEV = Path("/sys"), Path("/dev")

_SET_CAPACITY, _CONFIGURE, _GET_STATUS, _GET_FREE = 0x4C07, 0x4C0A, 0x4C05, 0x4C82
_CLR_FD = 0x4C01
# struct loop_info64 and loop_config (Linux, include/uapi/linux/loop.h).
_INFO = struct.Struct("=5Q 4I 64s 64s 32s 2Q")
_CONFIG = struct.Struct(f"=2I {_INFO.size}s 64x")
_TRIES = 8

Ioctl = Callable[[int, int, bytearray | int], int]


def _ioctl(descriptor: int, request: int, argument: bytearray | int) -> int:
    if isinstance(argument, int):
        return int(fcntl.ioctl(descriptor, request, argument))
    return int(fcntl.ioctl(descriptor, request, argument, True))  # noqa: FBT003 - fcntl's own signature


class Loops:
    """The loop devices of this host."""

    def __init__(self, sys: Path = SYS, dev: Path = DEV, ioctl: Ioctl = _ioctl) -> None:
        self._sys = sys
        self._dev = dev
        self._ioctl = ioctl

    def read_backing(self, devno: Devno) -> Backing:
        """What this device is, and the file behind it if it is a loop device."""
        folder = self._sys / "dev" / "block" / f"{devno[0]}:{devno[1]}"
        try:
            name = folder.resolve(strict=True).name
            size = int((folder / "size").read_text()) * SECTOR
        except (OSError, ValueError):
            return Backing(devno)
        if size < 0:
            return Backing(devno)
        backing = Backing(devno, f"/dev/{name}", size)
        return replace(backing, file=self.read_file(name)) if backing.is_loop else backing

    def read_file(self, name: str) -> LoopFile | None:
        """The file behind a loop device; None if it has none, or its path leads elsewhere."""
        try:
            text = (self._sys / "block" / name / "loop" / "backing_file").read_text("utf-8")
            path = text.removesuffix("\n")
            inode, offset, limit = self._status(name)
            found, system = os.stat(path, follow_symlinks=False), os.statvfs(path)  # noqa: PTH116 - one call, as the next
        except (OSError, ValueError):
            # No path that is not UTF-8 could be told, nor be written in the configuration.
            return None
        if (found.st_dev, found.st_ino) != inode or not stat.S_ISREG(found.st_mode):
            return None
        return LoopFile(
            path=path,
            inode=inode,
            size=found.st_size,
            allocated=found.st_blocks * SECTOR,
            room=system.f_bavail * system.f_frsize,
            offset=offset,
            limit=limit,
        )

    def find(self, inode: Inode) -> tuple[str, ...]:
        """The names of the loop devices that show this file."""
        return tuple(name for name in self._names() if self._inode(name) == inode)

    def read_place(self, path: str) -> Place | None:
        """What a path leads to; None if there is nothing, or neither file nor block device."""
        try:
            found = os.stat(path)  # noqa: PTH116 - as above
        except OSError:
            return None
        if stat.S_ISBLK(found.st_mode):
            number = (os.major(found.st_rdev), os.minor(found.st_rdev))
            size = self.read_backing(number).size
            return None if size is None else Place(path, is_file=False, size=size, devno=number)
        if not stat.S_ISREG(found.st_mode):
            return None
        inode = (found.st_dev, found.st_ino)
        names = self.find(inode)
        devno = self._number(names[0]) if len(names) == 1 else None
        return Place(
            path,
            is_file=True,
            size=found.st_size,
            devno=devno,
            inode=inode,
            allocated=found.st_blocks * SECTOR,
        )

    def set_capacity(self, name: str, inode: Inode) -> None:
        """Let a loop device show its file's present size. LoopChangedError if it has another."""
        with opened(self._dev / name, os.O_RDWR) as descriptor:
            if self._ask(descriptor)[0] != inode:
                raise LoopChangedError(f"/dev/{name} has another file behind it")
            self._ioctl(descriptor, _SET_CAPACITY, 0)

    def attach(self, path: str) -> str:
        """The name of the loop device that shows a file whole: the one that does, or a new one."""
        with opened(Path(path), os.O_RDWR) as file:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise LoopChangedError(f"{path} is no file")
            names = self.find((found.st_dev, found.st_ino))
            if names:
                return self._only(names, path)
            for _ in range(_TRIES):
                name = self._attach_free(file, path)
                if name is not None:
                    return name
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)

    def detach(self, path: str) -> None:
        """Take a file off the loop device that shows it whole; fine if it is on none.

        LoopChangedError if anything holds the device: told to let go of its file then, the kernel
        would do so later.
        """
        with opened(Path(path), os.O_RDONLY) as file:
            found = os.fstat(file)
        names = self.find((found.st_dev, found.st_ino))
        if not names:
            return
        name = self._only(names, path)
        try:
            with opened(self._dev / name, os.O_RDWR | os.O_EXCL) as device:
                self._ioctl(device, _CLR_FD, 0)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise LoopChangedError(f"/dev/{name} is in use") from error
            raise

    def _attach_free(self, file: int, path: str) -> str | None:
        """None if another was faster."""
        with opened(self._dev / "loop-control", os.O_RDWR) as control:
            name = f"loop{self._ioctl(control, _GET_FREE, 0)}"
        shown = os.fsencode(path)[:63]
        info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, shown, b"", b"", 0, 0)
        with opened(self._dev / name, os.O_RDWR) as device:
            try:
                self._ioctl(device, _CONFIGURE, bytearray(_CONFIG.pack(file, 0, info)))
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return None
                raise
        return name

    def _only(self, names: tuple[str, ...], path: str) -> str:
        # Two devices on one file each have a cache of their own: what one writes the other does
        # not see.
        _, offset, limit = self._status(names[0])
        if len(names) > 1 or offset or limit:
            raise LoopChangedError(f"{path} is on {', '.join(names)} in another way")
        return names[0]

    def _names(self) -> Iterator[str]:
        files = (self._sys / "block").glob("loop*/loop/backing_file")
        return (file.parent.parent.name for file in sorted(files))

    def _inode(self, name: str) -> Inode | None:
        try:
            return self._status(name)[0]
        except OSError:
            return None

    def _status(self, name: str) -> tuple[Inode, int, int]:
        with opened(self._dev / name, os.O_RDONLY) as descriptor:
            return self._ask(descriptor)

    def _ask(self, descriptor: int) -> tuple[Inode, int, int]:
        """The file's inode, and offset and limit of the part of it that is shown."""
        buffer = bytearray(_INFO.size)
        self._ioctl(descriptor, _GET_STATUS, buffer)
        device, inode, _, offset, limit = _INFO.unpack_from(buffer)[:5]
        return (device, inode), offset, limit

    def _number(self, name: str) -> Devno | None:
        try:
            major, _, minor = (self._sys / "block" / name / "dev").read_text().partition(":")
            return int(major), int(minor)
        except (OSError, ValueError):
            return None
