"""The kernel's buffers: struct dm_ioctl, and the records that follow it (Linux,
include/uapi/linux/dm-ioctl.h).
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmguard.core.model import Devno

HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7x")
TARGET = struct.Struct("=Q Q i I 16s")
_RECORD, _EVENT = struct.Struct("=Q I"), struct.Struct("=I I")
SUSPENDED, STATUS_TABLE, BUFFER_FULL, NOFLUSH = 1 << 1, 1 << 4, 1 << 8, 1 << 11
_NAME_HAS_UUID = 1
_SECTOR = 512
_NAME, _UUID = 128, 129
"""Bytes of a name and of a uuid at most, with the NUL at their ends (DM_NAME_LEN, DM_UUID_LEN)."""
_POOL_UUID = re.compile(r"LVM-([A-Za-z0-9]{32})([A-Za-z0-9]{32})-tpool")


class DmUnavailableError(Exception):
    """There is no usable device-mapper: no node, no module, no permission, or too old."""


class DmParseError(Exception):
    """The kernel said something about a device that we do not understand."""


class DmDevice(NamedTuple):
    """One row of the kernel's list: a tuple, for a host may have thousands of them."""

    name: str
    uuid: str | None
    devno: tuple[int, int]
    event_nr: int

    @property
    def is_lvm(self) -> bool:
        return (self.uuid or "").startswith("LVM-")

    @property
    def pool_ids(self) -> tuple[str, str] | None:
        """The uuids of VG and LV if this is an LVM thin pool.

        The uuid tells and the name does not: a pool without LVM thin volumes, as Docker's, is
        `vg-pool`, any other is `vg-pool-tpool` under a linear `vg-pool` (lvm2, dev_manager.c).
        """
        if self.uuid is None or not self.uuid.endswith("-tpool"):
            return None
        match = _POOL_UUID.fullmatch(self.uuid)
        return (match[1], match[2]) if match else None


@lru_cache
def request_number(command: int, machine: str | None = None) -> int:
    """_IOWR(0xfd, command, struct dm_ioctl) of this architecture (Linux, asm/ioctl.h)."""
    machine = machine or os.uname().machine
    # Read and write are 1 and 2 in two bits, or 2 and 4 in three: both together are one value.
    other = machine.startswith(("ppc", "mips", "sparc", "alpha"))
    direction = 6 << 29 if other else 3 << 30
    return direction | (HEADER.size << 16) | (0xFD << 8) | command


@dataclass(frozen=True, slots=True)
class Target:
    """One line of a device's status or table. `size` in bytes."""

    kind: str
    size: int
    params: str


P = ParamSpec("P")
T = TypeVar("T")


def _whole(decode: Callable[P, T]) -> Callable[P, T]:
    """DmParseError for an answer that ends before it says so."""

    @wraps(decode)
    def decoded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return decode(*args, **kwargs)
        except (struct.error, ValueError) as error:
            raise DmParseError(f"{decode.__name__}: {error}") from error

    return decoded


@_whole
def decode_list(reply: bytes | bytearray) -> tuple[DmDevice, ...]:
    """The records of DM_LIST_DEVICES (Linux, include/uapi/linux/dm-ioctl.h, dm_name_list)."""
    return tuple(_records(reply))


def _records(reply: bytes | bytearray) -> Iterator[DmDevice]:
    offset = HEADER.unpack_from(reply)[4]
    device, following = _RECORD.unpack_from(reply, offset)
    while device:
        end = _end(reply, offset + _RECORD.size, _NAME)
        name = reply[offset + _RECORD.size : end].decode(errors="replace")
        extra = _align(end + 1)
        event_nr, flags = _EVENT.unpack_from(reply, extra)
        uuid = "" if flags else None
        if flags & _NAME_HAS_UUID:
            extra += _EVENT.size
            uuid = reply[extra : _end(reply, extra, _UUID)].decode(errors="replace")
        yield DmDevice(name, uuid, decode_devno(device), event_nr)
        if not following:
            return
        offset += following
        device, following = _RECORD.unpack_from(reply, offset)


@_whole
def decode_deps(reply: bytes | bytearray) -> tuple[Devno, ...]:
    """The devices that a live table points at (Linux, dm-ioctl.h, struct dm_target_deps)."""
    offset = HEADER.unpack_from(reply)[4]
    (count,) = struct.unpack_from("=I", reply, offset)
    return tuple(
        decode_devno(device) for device in struct.unpack_from(f"={count}Q", reply, offset + 8)
    )


@_whole
def decode_target(reply: bytes | bytearray) -> Target | None:
    """The first target of DM_TABLE_STATUS; None without a live table."""
    header = HEADER.unpack_from(reply)
    if header[5] == 0:
        return None
    _, length, _, _, kind = TARGET.unpack_from(reply, header[4])
    begin = header[4] + TARGET.size
    end = _end(reply, begin, len(reply))
    return Target(text_of(kind), length * _SECTOR, bytes(reply[begin:end]).decode(errors="replace"))


def _end(reply: bytes | bytearray, begin: int, most: int) -> int:
    """Where a text ends: ValueError if that is not within so many bytes."""
    return reply.index(0, begin, begin + most)


def text_of(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def _align(offset: int) -> int:
    # Records are aligned to 8 from the start of the data, which itself is aligned.
    return (offset + 7) & ~7


def encode_devno(devno: Devno) -> int:
    """(major, minor) → the kernel's huge_encode_dev."""
    major, minor = devno
    return (major << 8) | (minor & 0xFF) | ((minor & ~0xFF) << 12)


def decode_devno(device: int) -> Devno:
    """The kernel's huge_encode_dev → (major, minor)."""
    return (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & ~0xFF)
