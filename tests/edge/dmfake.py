"""A device-mapper that answers ioctls as the kernel lays its answers out.

struct dm_ioctl: version[3] @0, data_size @12, data_start @16, target_count @20, open_count @24,
flags @28, event_nr @32, dev @40, name[128] @48, uuid[129] @176; 312 bytes
(Linux, include/uapi/linux/dm-ioctl.h).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, field

HEADER = 312
VERSION, LIST, DEV_STATUS, TABLE_DEPS, TABLE_STATUS, ARM_POLL = 0x00, 0x02, 0x07, 0x0B, 0x0C, 0x10
DEV_SUSPEND, TABLE_LOAD, TABLE_CLEAR = 0x06, 0x09, 0x0A
INACTIVE, SKIP_LOCKFS, QUERY_INACTIVE = 1 << 6, 1 << 10, 1 << 12
BUFFER_FULL, STATUS_TABLE, NOFLUSH, SUSPENDED, LIST_UUID = 1 << 8, 1 << 4, 1 << 11, 1 << 1, 1 << 14

VG_ID, LV_ID = "V" * 32, "L" * 32
POOL_UUID = f"LVM-{VG_ID}{LV_ID}-tpool"


@dataclass
class Device:
    name: str
    uuid: str = ""
    devno: tuple[int, int] = (253, 0)
    event_nr: int = 0
    kind: str = "thin-pool"
    status: str = "1 10/1024 5/100 - rw discard_passdown queue_if_no_space - 1024 "
    table: str = "253:1 253:0 128 25 1 skip_block_zeroing "
    sectors: int = 12800
    targets: int = 1
    flags: int = 0
    gone: bool = False
    opened: int = 0
    deps: tuple[tuple[int, int], ...] = ()
    inactive: tuple[int, str] | None = None
    too_long: int | None = None
    """A table of more sectors is loaded and not swapped in: its device is too small."""
    too_short: int = 0
    """One of fewer is swapped in and not resumed: the pool has more already."""


def pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)


def encode_devno(major: int, minor: int) -> int:
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def encode_list(devices: list[Device], *, uuids: bool = True) -> bytes:
    """dm_name_list records; without uuids as kernels before 5.11 have them."""
    records = []
    for device in devices:
        record = pad(struct.pack("=Q I", 0, 0) + device.name.encode() + b"\0")
        flags = 0 if not uuids else 1 if device.uuid else 2
        record += struct.pack("=I I", device.event_nr, flags)
        if uuids and device.uuid:
            record += device.uuid.encode() + b"\0"
        records.append(pad(record))
    out = b""
    for device, record in zip(devices, records, strict=True):
        following = 0 if device is devices[-1] else len(record)
        out += struct.pack("=Q I", encode_devno(*device.devno), following) + record[12:]
    return out or struct.pack("=Q I", 0, 0)


def encode_target(device: Device, params: str, sectors: int | None = None) -> bytes:
    if not device.targets:
        return b""
    length = device.sectors if sectors is None else sectors
    spec = struct.pack("=Q Q i I 16s", 0, length, 0, 0, device.kind.encode())
    return spec + params.encode() + b"\0"


def encode_deps(devices: tuple[tuple[int, int], ...]) -> bytes:
    """struct dm_target_deps: a count, padding, and the numbers as the kernel encodes them."""
    numbers = (encode_devno(*devno) for devno in devices)
    return struct.pack(f"=I 4x {len(devices)}Q", len(devices), *numbers)


def reply(payload: bytes, *, targets: int = 0, flags: int = 0, uuid: str = "") -> bytearray:
    """A whole answer, for the decoders."""
    buffer = bytearray(HEADER) + payload
    struct.pack_into("=5I I i I", buffer, 0, 4, 48, 0, len(buffer), HEADER, targets, 0, flags)
    buffer[176 : 176 + len(uuid)] = uuid.encode()
    return buffer


@dataclass
class Kernel:
    """`ioctl` is what Control takes in place of fcntl's. `asked` has every call's command."""

    devices: list[Device] = field(default_factory=list)
    uuids_in_list: bool = True
    fails: OSError | None = None
    asked: list[tuple[int, str, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def ioctl(self, _: int, request: int, buffer: bytearray) -> int:
        command = request & 0xFF
        assert request == 3 << 30 | HEADER << 16 | 0xFD << 8 | command
        version, size, start, flags = (
            struct.unpack_from("=3I", buffer, 0),
            *struct.unpack_from("=2I", buffer, 12),
            *struct.unpack_from("=I", buffer, 28),
        )
        assert (version, size, start) == ((4, 0, 0), len(buffer), HEADER)
        assert struct.unpack_from("=I", buffer, 32) == (0,)
        name = bytes(buffer[48:176]).split(b"\0")[0].decode()
        self.asked.append((command, name, flags))
        self.sizes.append(size)
        if self.fails is not None:
            raise self.fails
        (devno,) = struct.unpack_from("=Q", buffer, 40)
        if command in (DEV_SUSPEND, TABLE_LOAD, TABLE_CLEAR):
            self._change(self._find(name), command, flags, bytes(buffer[HEADER:]))
            return 0
        answer = self._deps(devno) if command == TABLE_DEPS else self._answer(command, name, flags)
        if len(answer) > size:
            struct.pack_into("=I", buffer, 28, flags | BUFFER_FULL)
        else:
            buffer[: len(answer)] = answer
            struct.pack_into("=I", buffer, 12, size)
        return 0

    def _deps(self, number: int) -> bytearray:
        found = (one for one in self.devices if encode_devno(*one.devno) == number)
        device = next((one for one in found if not one.gone), None)
        if device is None:
            raise OSError(errno.ENXIO, "No such device or address")
        return reply(encode_deps(device.deps))

    def _find(self, name: str) -> Device:
        device = next((one for one in self.devices if one.name == name and not one.gone), None)
        if device is None:
            raise OSError(errno.ENXIO, "No such device or address")
        return device

    def _change(self, device: Device, command: int, flags: int, payload: bytes) -> None:
        """As the kernel does it, with what it leaves behind when it fails half way (do_resume)."""
        if command == TABLE_LOAD:
            start, length, _, following, kind = struct.unpack_from("=Q Q i I 16s", payload)
            assert (start, kind.rstrip(b"\0")) == (0, b"thin-pool")
            params = payload[40 : payload.index(0, 40)].decode()
            assert following == 40 + len(pad(params.encode() + b"\0"))
            device.inactive = (length, params)
        elif command == TABLE_CLEAR:
            device.inactive = None
        else:
            assert flags == NOFLUSH | SKIP_LOCKFS, "a full pool would not be resumed"
            self._resume(device)
        device.flags &= ~INACTIVE
        device.flags |= INACTIVE if device.inactive else 0

    def _resume(self, device: Device) -> None:
        loaded, device.inactive = device.inactive, None
        if loaded is not None:
            device.flags |= SUSPENDED
            if device.too_long is not None and loaded[0] > device.too_long:
                device.flags &= ~INACTIVE
                raise OSError(errno.EINVAL, "Invalid argument")
            device.sectors, device.table = loaded
        if device.flags & SUSPENDED and device.sectors < device.too_short:
            device.flags &= ~INACTIVE
            raise OSError(errno.EINVAL, "Invalid argument")
        device.flags &= ~SUSPENDED

    def _answer(self, command: int, name: str, flags: int) -> bytearray:
        if command == LIST:
            with_uuids = self.uuids_in_list and bool(flags & LIST_UUID)
            return reply(encode_list(self.devices, uuids=with_uuids))
        if command in (VERSION, ARM_POLL):
            return reply(b"")
        device = self._find(name)
        if command == DEV_STATUS:
            return reply(b"", targets=device.targets, uuid=device.uuid)
        assert command == TABLE_STATUS, command
        assert flags & NOFLUSH, "this would commit the pool's metadata and can block"
        if flags & QUERY_INACTIVE:
            if device.inactive is None:
                return reply(b"", flags=device.flags, uuid=device.uuid)
            sectors, loaded = device.inactive
            payload = encode_target(device, f"{loaded} ", sectors)
            return reply(payload, targets=1, flags=device.flags, uuid=device.uuid)
        params = device.table if flags & STATUS_TABLE else device.status
        payload = encode_target(device, params)
        answer = reply(payload, targets=device.targets, flags=device.flags, uuid=device.uuid)
        struct.pack_into("=i", answer, 24, device.opened)
        return answer
