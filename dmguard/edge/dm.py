"""The kernel's device-mapper, through /dev/mapper/control.

What the kernel does, and so what we do (Linux, drivers/md/dm-thin.c and dm-ioctl.c):

- A pool raises an event when it allocates a chunk with no more than the low water mark free, once
  until its table is loaded again; when its metadata has less than 4 MiB (or a quarter) free; and
  at every change of mode. A crossing of any other level of metadata raises none.
- poll(2) on the control device wakes for an event of any device, and for every create, remove and
  rename. It stays readable until DM_DEV_ARM_POLL. Arm first, then read: what comes between wakes
  again.
- A status without DM_NOFLUSH_FLAG commits the pool's metadata and can block on a full pool. With
  it, as here, none of these calls waits for I/O, so they run in the event loop.
- The list carries each device's event number in a fixed place from version 4.37 on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import struct
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Self

from dmguard.core.model import METADATA_BLOCK, Devno, KernelPool, Mode, Usage

CONTROL = "/dev/mapper/control"

_HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7x")
_TARGET = struct.Struct("=Q Q i I 16s")
_LIST_DEVICES, _DEV_STATUS, _TABLE_DEPS, _TABLE_STATUS, _DEV_ARM_POLL = 0x02, 0x07, 0x0B, 0x0C, 0x10
_SUSPENDED, _STATUS_TABLE, _BUFFER_FULL, _NOFLUSH, _UUID = 1 << 1, 1 << 4, 1 << 8, 1 << 11, 1 << 14
_NAME_HAS_UUID = 1
_OLDEST = (4, 37)
_SECTOR = 512
_POOL_UUID = re.compile(r"LVM-([A-Za-z0-9]{32})([A-Za-z0-9]{32})-tpool")

Ioctl = Callable[[int, int, bytearray], int]


class DmUnavailableError(Exception):
    """There is no usable device-mapper: no node, no module, no permission, or too old."""


class DmParseError(Exception):
    """The kernel said something about a device that we do not understand."""


@dataclass(frozen=True, slots=True)
class DmDevice:
    """One row of the kernel's list."""

    name: str
    uuid: str | None
    devno: tuple[int, int]
    event_nr: int

    @property
    def pool_ids(self) -> tuple[str, str] | None:
        """The uuids of VG and LV if this is an LVM thin pool.

        The uuid tells and the name does not: a pool without LVM thin volumes, as Docker's, is
        `vg-pool`, any other is `vg-pool-tpool` under a linear `vg-pool` (lvm2, dev_manager.c).
        """
        match = _POOL_UUID.fullmatch(self.uuid or "")
        return (match[1], match[2]) if match else None


def request_number(command: int, machine: str | None = None) -> int:
    """_IOWR(0xfd, command, struct dm_ioctl) of this architecture (Linux, asm/ioctl.h)."""
    machine = machine or platform.machine()
    # Read and write are 1 and 2 in two bits, or 2 and 4 in three: both together are one value.
    other = machine.startswith(("ppc", "mips", "sparc", "alpha"))
    direction = 6 << 29 if other else 3 << 30
    return direction | (_HEADER.size << 16) | (0xFD << 8) | command


def _ioctl(descriptor: int, request: int, buffer: bytearray) -> int:
    return int(fcntl.ioctl(descriptor, request, buffer, True))  # noqa: FBT003 - fcntl's own signature


class Control:
    """An open control device. Each open file has its own 'last event seen' for poll."""

    def __init__(self, descriptor: int, ioctl: Ioctl = _ioctl) -> None:
        self._descriptor = descriptor
        self._ioctl = ioctl
        self._size = 16384

    @classmethod
    def open(cls, path: str = CONTROL) -> Control:
        """DmUnavailableError if there is nothing to open, or it is older than 4.37."""
        try:
            control = cls(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise DmUnavailableError(f"{path}: {error.strerror}") from error
        try:
            control.check_version()
        except OSError as error:
            control.close()
            raise DmUnavailableError(f"{path}: {error.strerror}") from error
        except DmUnavailableError:
            control.close()
            raise
        return control

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def version(self) -> tuple[int, int]:
        header = _HEADER.unpack_from(self._call(0x00))
        return header[0], header[1]

    def check_version(self) -> None:
        """DmUnavailableError if the list has no event numbers yet."""
        version = self.version()
        if version < _OLDEST:
            raise DmUnavailableError(f"device-mapper {version} is older than {_OLDEST}")

    def arm_poll(self) -> None:
        """Forget the events so far: poll wakes for the next."""
        self._call(_DEV_ARM_POLL)

    def list_devices(self) -> tuple[DmDevice, ...]:
        """Every device of the kernel's, with its uuid."""
        reply = self._call(_LIST_DEVICES, flags=_UUID)
        return tuple(self._with_uuid(device) for device in decode_list(reply))

    def list_pools(self) -> tuple[DmDevice, ...]:
        """The LVM thin pools among them."""
        return tuple(device for device in self.list_devices() if device.pool_ids)

    def read_pools(self) -> tuple[KernelPool, ...]:
        """Every LVM thin pool with its status and table, in the order of their names."""
        devices = self.list_devices()
        volumes = {device.devno for device in devices if (device.uuid or "").startswith("LVM-")}
        pools = (self._read_whole(device, volumes) for device in devices if device.pool_ids)
        return tuple(
            sorted((pool for pool in pools if pool is not None), key=lambda pool: pool.dm_name)
        )

    def _read_whole(self, device: DmDevice, volumes: Set[Devno]) -> KernelPool | None:
        pool = self.read_pool(device)
        return pool and replace(pool, leaves=frozenset(self.leaves(device.devno, volumes)))

    def leaves(self, devno: Devno, volumes: Set[Devno]) -> Iterator[Devno]:
        """The devices that a volume lies on in the end: what LVM calls its PVs.

        `volumes` are LVM's own devices, which are looked through. One that is gone has none.
        """
        try:
            below = decode_deps(self._call(_TABLE_DEPS, devno=devno))
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        for device in below:
            if device in volumes:
                yield from self.leaves(device, volumes)
            else:
                yield device

    def read_pool(self, device: DmDevice) -> KernelPool | None:
        """One pool; None if it is gone, or has no live thin-pool table."""
        try:
            status = self._call(_TABLE_STATUS, device.name, flags=_NOFLUSH)
            table = self._call(_TABLE_STATUS, device.name, flags=_NOFLUSH | _STATUS_TABLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise
        live, wanted = decode_target(status), decode_target(table)
        if live is None or wanted is None or live.kind != "thin-pool":
            return None
        return build_pool(device, live, wanted, _HEADER.unpack_from(status)[7])

    def _with_uuid(self, device: DmDevice) -> DmDevice:
        # Kernels before 5.11 do not put the uuid into the list.
        if device.uuid is not None:
            return device
        try:
            header = _HEADER.unpack_from(self._call(_DEV_STATUS, device.name))
        except OSError as error:
            if error.errno == errno.ENXIO:
                return device
            raise
        return DmDevice(device.name, _text(header[12]), device.devno, device.event_nr)

    def _call(
        self, command: int, name: str = "", flags: int = 0, devno: Devno | None = None
    ) -> bytearray:
        """One ioctl, with a larger buffer for as long as the kernel says that it was too small."""
        while True:
            buffer = bytearray(self._size)
            # One value a field of struct dm_ioctl, in its order: a column of them says less.
            _HEADER.pack_into(
                buffer, 0, 4, 0, 0, self._size, _HEADER.size, 0, 0, flags, 0, 0,
                _encode(devno) if devno else 0,
                name.encode(), b"",
            )  # fmt: skip
            self._ioctl(self._descriptor, request_number(command), buffer)
            if not _HEADER.unpack_from(buffer)[7] & _BUFFER_FULL:
                return buffer
            self._size *= 2


@dataclass(frozen=True, slots=True)
class Target:
    """One line of a device's status or table. `size` in bytes."""

    kind: str
    size: int
    params: str


def decode_list(reply: bytes | bytearray) -> Iterator[DmDevice]:
    """The records of DM_LIST_DEVICES (Linux, include/uapi/linux/dm-ioctl.h, dm_name_list)."""
    offset = _HEADER.unpack_from(reply)[4]
    if struct.unpack_from("=Q", reply, offset)[0] == 0:
        return
    while True:
        device, following = struct.unpack_from("=Q I", reply, offset)
        name = _text(bytes(reply[offset + 12 : offset + 12 + 128]))
        extra = _align(offset + 12 + len(name.encode()) + 1)
        event_nr, flags = struct.unpack_from("=I I", reply, extra)
        uuid = None
        if flags & _NAME_HAS_UUID:
            uuid = _text(bytes(reply[extra + 8 : extra + 8 + 129]))
        elif flags:
            uuid = ""
        yield DmDevice(name, uuid, _devno(device), event_nr)
        if not following:
            return
        offset += following


def decode_deps(reply: bytes | bytearray) -> tuple[Devno, ...]:
    """The devices that a live table points at (Linux, dm-ioctl.h, struct dm_target_deps)."""
    offset = _HEADER.unpack_from(reply)[4]
    (count,) = struct.unpack_from("=I", reply, offset)
    return tuple(_devno(device) for device in struct.unpack_from(f"={count}Q", reply, offset + 8))


def decode_target(reply: bytes | bytearray) -> Target | None:
    """The first target of DM_TABLE_STATUS; None without a live table."""
    header = _HEADER.unpack_from(reply)
    if header[5] == 0:
        return None
    _, length, _, _, kind = _TARGET.unpack_from(reply, header[4])
    begin = header[4] + _TARGET.size
    end = reply.index(0, begin)
    return Target(_text(kind), length * _SECTOR, bytes(reply[begin:end]).decode(errors="replace"))


def build_pool(device: DmDevice, live: Target, table: Target, flags: int) -> KernelPool:
    """Status and table of a thin pool, joined."""
    ids = device.pool_ids
    if ids is None:
        raise DmParseError(f"{device.name}: not an LVM thin pool: {device.uuid}")
    try:
        chunk, low_water = parse_table(table.params)
        status = parse_status(live.params, chunk)
    except DmParseError as error:
        raise DmParseError(f"{device.name}: {error}") from None
    return KernelPool(
        dm_name=device.name,
        vg_uuid=ids[0],
        lv_uuid=ids[1],
        devno=device.devno,
        event_nr=device.event_nr,
        size=live.size,
        chunk=chunk,
        low_water=low_water,
        mode=status.mode,
        needs_check=status.needs_check,
        errors_when_full=status.errors_when_full,
        transaction_id=status.transaction_id,
        data=status.data,
        metadata=status.metadata,
        suspended=bool(flags & _SUSPENDED),
    )


@dataclass(frozen=True, slots=True)
class Status:
    """A thin pool's status line."""

    mode: Mode
    needs_check: bool = False
    errors_when_full: bool = False
    transaction_id: int | None = None
    data: Usage | None = None
    metadata: Usage | None = None


def parse_status(params: str, chunk: int) -> Status:
    """A status line; DmParseError for one that is not.

    Five fields have their place. What follows differs from kernel to kernel and is read by word.
    """
    words = params.split()
    if words in (["Fail"], ["Error"]):
        return Status(Mode(words[0]))
    count = r"(\d{1,20})"
    blocks = f"{count}/{count}"
    modes = "(rw|ro|out_of_data_space)"
    pattern = rf"{count} {blocks} {blocks} (?:\d{{1,20}}|-) {modes}(?: (.*))?"
    match = re.fullmatch(pattern, " ".join(words), re.ASCII)
    if not match:
        raise DmParseError(f"unknown status {params!r}")
    rest = (match[7] or "").split()
    return Status(
        mode=Mode(match[6]),
        needs_check="needs_check" in rest,
        errors_when_full="error_if_no_space" in rest,
        transaction_id=int(match[1]),
        metadata=Usage(int(match[2]) * METADATA_BLOCK, int(match[3]) * METADATA_BLOCK),
        data=Usage(int(match[4]) * chunk, int(match[5]) * chunk),
    )


def parse_table(params: str) -> tuple[int, int]:
    """A table line → (bytes in a chunk, low water mark in chunks)."""
    match = re.match(r"\S+ \S+ (\d{1,20}) (\d{1,20})(?: |$)", params, re.ASCII)
    if not match or int(match[1]) == 0:
        raise DmParseError(f"unknown table {params!r}")
    return int(match[1]) * _SECTOR, int(match[2])


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def _align(offset: int) -> int:
    # Records are aligned to 8 from the start of the data, which itself is aligned.
    return (offset + 7) & ~7


def _encode(devno: Devno) -> int:
    """(major, minor) → the kernel's huge_encode_dev."""
    major, minor = devno
    return (major << 8) | (minor & 0xFF) | ((minor & ~0xFF) << 12)


def _devno(device: int) -> Devno:
    """The kernel's huge_encode_dev → (major, minor)."""
    return (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & ~0xFF)
