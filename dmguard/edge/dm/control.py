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
- The whole buffer is copied in, however little of it is meant: a list of a thousand devices needs
  256 KiB, and with such a buffer every other call takes a hundred times as long.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple, Self

from dmguard.edge.dm.pools import build_bare, build_pool
from dmguard.edge.dm.wire import (
    BUFFER_FULL,
    HEADER,
    NOFLUSH,
    STATUS_TABLE,
    DmDevice,
    DmParseError,
    DmUnavailableError,
    decode_deps,
    decode_list,
    decode_target,
    encode_devno,
    request_number,
    text_of,
)

if TYPE_CHECKING:
    from dmguard.core.bare import BarePool
    from dmguard.core.model import Devno, KernelPool
    from dmguard.edge.dm.wire import Target

CONTROL = "/dev/mapper/control"

_LIST_DEVICES, _DEV_STATUS, _TABLE_DEPS, _TABLE_STATUS, _DEV_ARM_POLL = 0x02, 0x07, 0x0B, 0x0C, 0x10
_UUID = 1 << 14
_NOFLUSH_TABLE = NOFLUSH | STATUS_TABLE
_BUFFER = {_LIST_DEVICES: 16384}
_SMALL = 2048
_LARGEST = 64 << 20
"""Two hundred thousand devices fit."""
_OLDEST = (4, 37)

Ioctl = Callable[[int, int, bytearray], int]
_Key = tuple[str, "Devno"]


def _ioctl(descriptor: int, request: int, buffer: bytearray) -> int:
    return int(fcntl.ioctl(descriptor, request, buffer, True))  # noqa: FBT003 - fcntl's own signature


class Thin(NamedTuple):
    """A thin device, and how many have it open."""

    name: str
    opened: int


class Control:
    """An open control device. Each open file has its own 'last event seen' for poll."""

    def __init__(self, descriptor: int, ioctl: Ioctl = _ioctl) -> None:
        self._descriptor = descriptor
        self._ioctl = ioctl
        self._sizes = dict(_BUFFER)
        self._leaves: dict[_Key, frozenset[Devno]] = {}
        self._kinds: dict[tuple[str, str | None, Devno], str] = {}
        self._list: tuple[bytearray, tuple[DmDevice, ...]] = (bytearray(), ())

    @classmethod
    def open(cls, path: str = CONTROL) -> Self:
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
        header = HEADER.unpack_from(self._call(0x00))
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
        # A growth lists them several times, and of many most lists are what the last one was.
        if reply == self._list[0]:
            return self._list[1]
        devices = decode_list(reply)
        if any(device.uuid is None for device in devices):
            # Not kept: who had gone before its uuid was asked for may be back.
            devices = tuple(map(self._with_uuid, devices))
        else:
            self._list = reply, devices
        for gone in self._kinds.keys() - {device[:3] for device in devices}:
            del self._kinds[gone]
        return devices

    def list_pools(self) -> tuple[DmDevice, ...]:
        """The thin pools among them, LVM's and others."""
        devices = self.list_devices()
        return tuple(device for device in devices if device.pool_ids or self._is_bare(device))

    def read_pools(
        self,
        devices: Sequence[DmDevice] | None = None,
        *,
        anew: bool = True,
        kept: Iterable[KernelPool] = (),
    ) -> tuple[KernelPool, ...]:
        """Every LVM thin pool with its status and table, in the order of their names.

        `devices`: the list, if it is known. Not `anew`: what a pool lies on is as it was read
        last, which saves half of the calls. `kept`: pools that are given as they are unless they
        have raised an event since.
        """
        devices = self.list_devices() if devices is None else devices
        volumes = {device.devno for device in devices if device.is_lvm}
        known = {} if anew else self._leaves
        there = {(device.uuid or "", device.devno) for device in devices}
        self._leaves = {key: leaves for key, leaves in self._leaves.items() if key in there}
        as_they_are = {(pool.dm_name, pool.ids, pool.devno, pool.event_nr): pool for pool in kept}
        pools = (
            as_they_are.get((device.name, ids, device.devno, device.event_nr))
            or self._read_whole(device, volumes, known)
            for device in devices
            if (ids := device.pool_ids)
        )
        return tuple(
            sorted((pool for pool in pools if pool is not None), key=lambda pool: pool.dm_name)
        )

    def read_bare(self, devices: Sequence[DmDevice] | None = None) -> tuple[BarePool, ...]:
        """Every thin pool that is none of LVM's, in the order of their names."""
        devices = self.list_devices() if devices is None else devices
        pools = (self._read_bare(device) for device in devices if self._is_bare(device))
        return tuple(sorted((pool for pool in pools if pool is not None), key=lambda p: p.name))

    def list_thins(self, pool: str) -> tuple[Thin, ...]:
        """The thin devices in a pool of this name that are none of LVM's."""
        devices = self.list_devices()
        names = (pool, f"{pool}-tpool")
        pools = {":".join(map(str, device.devno)) for device in devices if device.name in names}
        found = []
        for device in devices:
            table = None if self._is_strange(device) else self._ask(device, _NOFLUSH_TABLE)
            target = None if table is None else decode_target(table)
            if table is None or target is None or target.kind != "thin":
                continue
            if target.params.partition(" ")[0] in pools:
                found.append(Thin(device.name, HEADER.unpack_from(table)[6]))
        return tuple(found)

    @staticmethod
    def _is_strange(device: DmDevice) -> bool:
        """Is it LVM's, or one whose table is not to be asked for?"""
        # The kernel puts the key of dm-crypt into its table for whoever asks (Linux,
        # drivers/md/dm-crypt.c, crypt_status), and nobody is to have it in memory for this.
        return device.is_lvm or (device.uuid or "").startswith("CRYPT-")

    def _is_bare(self, device: DmDevice) -> bool:
        """Is it a thin pool, and none of LVM's?

        The list does not say what a device is. It stays what it is for as long as it is there, so
        each is asked once: on a host with many containers nearly all are their thin devices.
        """
        if self._is_strange(device):
            return False
        key = device[:3]  # its event number aside
        kind = self._kinds.get(key)
        if kind is None:
            table = self._ask(device, _NOFLUSH_TABLE)
            target = None if table is None else decode_target(table)
            kind = None if target is None else target.kind
            if kind is not None:
                self._kinds[key] = kind
        return kind == "thin-pool"

    def _read_whole(
        self, device: DmDevice, volumes: Set[Devno], known: Mapping[_Key, frozenset[Devno]]
    ) -> KernelPool | None:
        lines = self._lines(device)
        if lines is None:
            return None
        key = (device.uuid or "", device.devno)
        leaves = known.get(key)
        if leaves is None:
            leaves = frozenset(self.leaves(device.devno, volumes))
        self._leaves[key] = leaves
        return build_pool(device, *lines, leaves)

    def leaves(self, devno: Devno, volumes: Set[Devno]) -> Iterator[Devno]:
        """The devices that a volume lies on in the end: what LVM calls its PVs.

        `volumes` are LVM's own devices, which are looked through. One that is gone has none.
        """
        seen, pending = {devno}, [devno]
        while pending:
            try:
                below = decode_deps(self._call(_TABLE_DEPS, devno=pending.pop()))
            except OSError as error:
                if error.errno == errno.ENXIO:
                    continue
                raise
            # Several volumes may lie on one, which is asked once.
            for device in dict.fromkeys(below):
                if device not in volumes:
                    yield device
                elif device not in seen:
                    seen.add(device)
                    pending.append(device)

    def _read_bare(self, device: DmDevice) -> BarePool | None:
        lines = self._lines(device)
        return lines and build_bare(build_pool(device, *lines), lines[1])

    def _lines(self, device: DmDevice) -> tuple[Target, Target, int] | None:
        """Status and table of a pool, and the flags of the status."""
        status, table = self._ask(device, NOFLUSH), self._ask(device, _NOFLUSH_TABLE)
        if status is None or table is None:
            return None
        live, wanted = decode_target(status), decode_target(table)
        if live is None or wanted is None or live.kind != "thin-pool":
            return None
        return live, wanted, HEADER.unpack_from(status)[7]

    def _ask(self, device: DmDevice, flags: int) -> bytearray | None:
        """Its status, or its table; None if it is gone."""
        try:
            return self._call(_TABLE_STATUS, device.name, flags=flags)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    def _with_uuid(self, device: DmDevice) -> DmDevice:
        # Kernels before 5.11 do not put the uuid into the list.
        if device.uuid is not None:
            return device
        try:
            header = HEADER.unpack_from(self._call(_DEV_STATUS, device.name))
        except OSError as error:
            if error.errno == errno.ENXIO:
                return device
            raise
        return DmDevice(device.name, text_of(header[12]), device.devno, device.event_nr)

    def _call(
        self,
        command: int,
        name: str = "",
        flags: int = 0,
        devno: Devno | None = None,
        target: bytes = b"",
    ) -> bytearray:
        """One ioctl, with a larger buffer for as long as the kernel says that it was too small."""
        while True:
            size = max(self._sizes.get(command, _SMALL), HEADER.size + len(target))
            buffer = bytearray(size)
            # One value a field of struct dm_ioctl, in its order: a column of them says less.
            HEADER.pack_into(
                buffer, 0, 4, 0, 0, size, HEADER.size, 1 if target else 0, 0, flags, 0, 0,
                encode_devno(devno) if devno else 0,
                name.encode(), b"",
            )  # fmt: skip
            buffer[HEADER.size : HEADER.size + len(target)] = target
            self._ioctl(self._descriptor, request_number(command), buffer)
            if not HEADER.unpack_from(buffer)[7] & BUFFER_FULL:
                return buffer
            if size >= _LARGEST:
                raise DmParseError(f"{name}: an answer of more than {size} bytes")
            self._sizes[command] = 2 * size
