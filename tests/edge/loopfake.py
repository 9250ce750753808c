"""Loop devices as sysfs and their ioctls show them (Linux, include/uapi/linux/loop.h).

The nodes are ordinary files in a folder, so that they can be opened.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

SET_CAPACITY, CONFIGURE, GET_STATUS, GET_FREE = 0x4C07, 0x4C0A, 0x4C05, 0x4C82
CLR_FD = 0x4C01
INFO = 232
CONFIG = 304


class LoopHost:
    """`sys` and `dev` of a host with so many free loop devices; `size` of each in bytes."""

    def __init__(self, root: Path, count: int = 2) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        self.files: dict[str, Path] = {}
        self.parts: dict[str, tuple[int, int]] = {}
        self.asked: list[int] = []
        self.fails: dict[int, int] = {}
        self.dev.mkdir()
        (self.dev / "loop-control").touch()
        for number in range(count):
            self._make(f"loop{number}", f"7:{number}")

    def _make(self, name: str, number: str) -> None:
        (self.dev / name).touch()
        folder = self.sys / "block" / name
        folder.mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        (folder / "size").write_text("0\n")
        links = self.sys / "dev" / "block"
        links.mkdir(parents=True, exist_ok=True)
        (links / number).symlink_to(folder)

    def add_disk(self, name: str, number: str, size: int) -> None:
        self._make(name, number)
        (self.sys / "block" / name / "size").write_text(f"{size // 512}\n")

    def attach(self, name: str, file: Path, offset: int = 0, limit: int = 0) -> None:
        self.files[name] = file
        self.parts[name] = (offset, limit)
        folder = self.sys / "block" / name / "loop"
        folder.mkdir()
        (folder / "backing_file").write_text(f"{file}\n")
        self.measure(name)

    def measure(self, name: str) -> None:
        """Take over the file's size, as the kernel does when it is told to."""
        size = self.files[name].stat().st_size
        (self.sys / "block" / name / "size").write_text(f"{size // 512}\n")

    def size(self, name: str) -> int:
        return int((self.sys / "block" / name / "size").read_text()) * 512

    def ioctl(self, descriptor: int, request: int, argument: bytearray | int) -> int:
        self.asked.append(request)
        if self.fails.get(request):
            raise OSError(self.fails[request], os.strerror(self.fails[request]))
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        name = path.name
        if request == GET_FREE:
            assert name == "loop-control"
            free = (
                int(n.name[4:]) for n in self.dev.glob("loop[0-9]*") if n.name not in self.files
            )
            return min(free)
        if request == CONFIGURE:
            assert isinstance(argument, bytearray)
            assert len(argument) == CONFIG
            self._configure(name, argument)
            return 0
        if name not in self.files:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        if request == CLR_FD:
            self._detach(name)
            return 0
        if request == SET_CAPACITY:
            self.measure(name)
            return 0
        assert request == GET_STATUS, request
        assert isinstance(argument, bytearray)
        assert len(argument) == INFO
        found = self.files[name].stat()
        offset, limit = self.parts[name]
        struct.pack_into("=5Q", argument, 0, found.st_dev, found.st_ino, 0, offset, limit)
        return 0

    def _detach(self, name: str) -> None:
        del self.files[name]
        folder = self.sys / "block" / name / "loop"
        (folder / "backing_file").unlink()
        folder.rmdir()

    def _configure(self, name: str, argument: bytearray) -> None:
        (file,) = struct.unpack_from("=I", argument, 0)
        if name in self.files:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        assert not any(argument[8 : 8 + 56]), "neither flags nor an offset"
        self.attach(name, Path(f"/proc/self/fd/{file}").readlink())
