"""Thin pools without LVM: their live tables, what lies below them, and those that are configured.

Docker makes one on two loop devices when it is given no other (loop-lvm); Kata's and containerd's
guides make one on files or disks (a raw pool).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.model import Resource

if TYPE_CHECKING:
    from dmguard.core.model import Devno, KernelPool
    from dmguard.core.settings import RawRule

SECTOR = 512
HEAD = 4096
"""Bytes of the first block of metadata. The kernel makes a new pool where it is all zero (Linux,
drivers/md/dm-thin-metadata.c, __superblock_all_zeroes)."""

_DOCKER = re.compile(r"docker-\d+:\d+-\d+-pool")
_MAGIC = 27022010


@dataclass(frozen=True, slots=True)
class Table:
    """A thin pool's table: its length in sectors, and the rest as the kernel prints it."""

    sectors: int
    params: str

    def resized(self, size: int) -> Table:
        """The same table for so many bytes; nothing but its length is another."""
        return replace(self, sectors=size // SECTOR)

    def __str__(self) -> str:
        return f"0 {self.sectors} thin-pool {self.params}"


Inode = tuple[int, int]
"""The number of a file's file system, and its own on that."""


@dataclass(frozen=True, slots=True)
class LoopFile:
    """The file behind a loop device. Sizes in bytes.

    `offset` and `limit` are the part of it that the device shows; a limit of 0 is none. `room` is
    what its file system has free.
    """

    path: str
    inode: Inode
    size: int
    allocated: int
    room: int
    offset: int = 0
    limit: int = 0

    @property
    def owed(self) -> int:
        """Bytes that it may still take from its file system at its present size."""
        return max(0, self.size - self.allocated)


@dataclass(frozen=True, slots=True)
class Backing:
    """What data or metadata lies on. `file` is None for a disk, or if it could not be found."""

    devno: Devno
    node: str = ""
    size: int | None = None
    file: LoopFile | None = None

    @property
    def is_loop(self) -> bool:
        return self.node.startswith("/dev/loop")


@dataclass(frozen=True, slots=True)
class BarePool:
    """One such pool as the kernel runs it; `kernel` has no uuids of LVM's."""

    kernel: KernelPool
    table: Table
    data: Backing
    metadata: Backing

    @property
    def name(self) -> str:
        return self.kernel.dm_name

    @property
    def is_docker(self) -> bool:
        """Is it one that Docker made of files (moby, graphdriver/devmapper)?"""
        return _DOCKER.fullmatch(self.name) is not None

    @property
    def is_loop(self) -> bool:
        return self.data.is_loop and self.metadata.is_loop

    def backing(self, resource: Resource) -> Backing:
        return self.data if resource is Resource.DATA else self.metadata


@dataclass(frozen=True, slots=True)
class Superblock:
    """The first block of thin metadata, as far as it must fit: bytes in a chunk, and of data."""

    chunk: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """What a path of a raw pool leads to: a block device, or a file that may be on a loop device.

    `devno` is the device's, None for a file that is on none. `inode` and `allocated` are a file's.
    """

    path: str
    is_file: bool
    size: int
    devno: Devno | None = None
    inode: Inode | None = None
    allocated: int = 0

    @property
    def owed(self) -> int:
        """Bytes that a file may still take from its file system at its present size."""
        return max(0, self.size - self.allocated) if self.is_file else 0


@dataclass(frozen=True, slots=True)
class RawPool:
    """A raw pool that is configured, and what there is of it; None for what is not there.

    `head` is the first block of its metadata, empty if it is not to be read.
    """

    rule: RawRule
    pool: BarePool | None = None
    data: Place | None = None
    metadata: Place | None = None
    head: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of data in whole chunks."""
        size = self.data.size if self.data else 0
        return size // self.rule.block_size * self.rule.block_size


def read_superblock(head: bytes) -> Superblock | None:
    """The superblock, or None if this is none (Linux, drivers/md/dm-thin-metadata.c,
    struct thin_disk_superblock).
    """
    if len(head) < HEAD or struct.unpack_from("<Q", head, 32) != (_MAGIC,):
        return None
    # The space map of the data begins with its number of blocks (dm-space-map-common.h,
    # struct disk_sm_root).
    (blocks,) = struct.unpack_from("<Q", head, 64)
    (chunk,) = struct.unpack_from("<I", head, 336)
    return Superblock(chunk * SECTOR, blocks * chunk * SECTOR)
