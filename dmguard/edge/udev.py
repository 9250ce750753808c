"""The only module that imports pyudev: the disks of this host, and udev's events.

What the libraries do, and so what we do (pyudev 0.24, Monitor and Properties; systemd, sd-device):

- A netlink socket that the kernel could not put a message into has a pending ENOBUFS. pyudev
  polls before it reads, and raises an OSError without a number for it each time. Nothing clears
  it, so that the socket stays readable for ever, until SO_ERROR is read.
- libudev asks for a receive buffer of 128 MiB by itself. It is left alone.
- pyudev decodes what it hands out strictly, and udev keeps what a disk says of itself.
- The truth of a Device object, and its length, count properties: compare it with None.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyudev

from dmguard.core.model import Disk, DiskKind
from dmguard.edge.roots import clean
from dmguard.edge.udevdb import record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.model import Devno

_BLOCK = Path("/sys/block")
_SECTOR = 512  # sysfs counts in these whatever the disk's own sectors are
_LIMIT = 256

# By the kernel's names (Linux, Documentation/admin-guide/devices.txt and the drivers).
_NEVER = re.compile(r"(ram|zram|fd)\d+")
_BY_NAME = (
    (DiskKind.LOOP, re.compile(r"loop\d+")),
    (DiskKind.MD, re.compile(r"md(\d+|_.+)")),
    (DiskKind.OPTICAL, re.compile(r"sr\d+")),
    # Of another host, of another layer, or memory. The last are hardware areas of an eMMC.
    (DiskKind.OTHER, re.compile(r"(nbd|rbd|rnbd|drbd|bcache|zd|ublkb|etherd!e|dcssblk)\d+.*")),
    (DiskKind.OTHER, re.compile(r"(mtdblock|ubiblock|pmem)\d+.*|mmcblk\d+(boot|gp|rpmb)\d*")),
)


class LostEventsError(Exception):
    """The kernel dropped events: anything may have changed."""


def read_disks(context: pyudev.Context | None = None) -> tuple[Disk, ...]:
    """Every whole block device that could hold data, by name, without a probe.

    Left out: RAM and floppy disks, loop devices without a file, and device-mapper's devices
    except multipath maps. One that vanishes, or gives its name to another, while it is read is
    left out too: an event tells of it. The kernel's '!' in a name is '/', as in /dev.

    A host may have thousands of thin devices. Their names and a file each are all that is read
    of them.
    """
    context = pyudev.Context() if context is None else context
    disks = (_read_disk(context, base) for base in _BLOCK.iterdir())
    return tuple(sorted((disk for disk in disks if disk), key=lambda disk: disk.name))


def _read_disk(context: pyudev.Context, base: Path) -> Disk | None:
    try:
        if not _concerns(base):
            return None
        before = _signs(base)
        device = pyudev.Devices.from_path(context, str(base))
        disk = _build(base, device, _Properties(device))
        return disk if _signs(base) == before else None
    except (OSError, ValueError, pyudev.DeviceNotFoundError):
        return None


def _concerns(base: Path) -> bool:
    """Told from the kernel alone, before udev is asked."""
    if _NEVER.fullmatch(base.name):
        return False
    if base.name.startswith("dm-"):
        return _is_map(base)
    return not (_BY_NAME[0][1].fullmatch(base.name) and _number(base, "size") == 0)


def _is_map(base: Path) -> bool:
    """Is it a multipath map? A partition of one has a prefix of its own (kpartx)."""
    return (_attribute(base, "dm/uuid") or "").startswith("mpath-")


def _signs(base: Path) -> tuple[str | None, str | None]:
    """What is another if the name is another device's by now."""
    return _attribute(base, "dev"), _attribute(base, "diskseq")


class _Properties:
    """udev's properties of one device, none of which is trusted."""

    def __init__(self, device: pyudev.Device) -> None:
        self._properties = device.properties

    def first(self, *names: str) -> str | None:
        """The first of these that says something, with '?' for what cannot be printed."""
        return next((clean(raw) for raw in map(self._raw, names) if raw), None)

    def is_set(self, name: str, value: str) -> bool:
        return self._raw(name) == value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of names, in which udev has escaped blanks."""
        return tuple(sorted(clean(word) for word in self._raw(name).split(" ") if word))

    def _raw(self, name: str) -> str:
        try:
            return str(self._properties.get(name, ""))
        except UnicodeDecodeError as error:
            return error.object.decode(errors="replace")


def _build(base: Path, device: pyudev.Device, udev: _Properties) -> Disk:
    """OSError or ValueError if what every disk has is not there: it has just gone."""
    devno = _devno(base)
    partitions = sorted(path.name for path in base.iterdir() if (path / "partition").exists())
    diskseq = _attribute(base, "diskseq") or udev.first("DISKSEQ")
    rotational = _attribute(base, "queue/rotational")
    return Disk(
        name=_name(base.name),
        devno=devno,
        size=_number(base, "size") * _SECTOR,
        kind=_kind(base, device),
        sector=_positive(_attribute(base, "queue/logical_block_size") or str(_SECTOR)),
        diskseq=int(diskseq) if diskseq else None,
        read_only=_number(base, "ro") != 0,
        removable=_is_removable(base, device, udev),
        rotational=None if rotational is None else rotational != "0",
        zoned=_attribute(base, "queue/zoned") not in (None, "none"),
        ready=_is_ready(device, udev),
        multipath_leg=_is_leg(base, udev),
        path=udev.first("ID_PATH"),
        links=udev.words("DEVLINKS"),
        serial=udev.first("ID_SERIAL_SHORT", "ID_SERIAL", "DM_SERIAL"),  # the last is a map's
        wwn=udev.first("ID_WWN_WITH_EXTENSION", "ID_WWN", "DM_WWN"),
        model=udev.first("ID_MODEL"),
        vendor=udev.first("ID_VENDOR"),
        bus=udev.first("ID_BUS"),
        content=udev.first("ID_FS_TYPE", "ID_PART_TABLE_TYPE"),
        partitions=tuple(map(_name, partitions)),
        partition_devnos=_devnos(base, partitions),
        holders=_holders(base, partitions),
        slaves=_listed(base / "slaves"),
        stamp=_stamp(devno),
    )


def _kind(base: Path, device: pyudev.Device) -> DiskKind:
    """By the kernel's name if it tells; else a disk is what has a device of some bus under it."""
    for kind, pattern in _BY_NAME:
        if pattern.fullmatch(base.name):
            return kind
    if base.name.startswith("dm-"):
        return DiskKind.MULTIPATH if _is_map(base) else DiskKind.OTHER
    plain = device.device_type == "disk" and (base / "device").exists()
    return DiskKind.DISK if plain else DiskKind.OTHER


def _is_removable(base: Path, device: pyudev.Device, udev: _Properties) -> bool:
    """Can it be pulled out by whoever passes by?

    A fixed disk in a USB case says 'removable 0', and udev may say that its bus is 'ata'
    (systemd, 60-persistent-storage.rules): the tree of devices tells.
    """
    return (
        _number(base, "removable") != 0
        or base.name.startswith("mmcblk")
        or udev.is_set("ID_BUS", "usb")
        or device.find_parent("usb") is not None
    )


def _is_ready(device: pyudev.Device, udev: _Properties) -> bool:
    return (
        bool(device.is_initialized)
        and not udev.is_set("SYSTEMD_READY", "0")
        and not udev.is_set("DM_UDEV_DISABLE_OTHER_RULES_FLAG", "1")
    )


def _is_leg(base: Path, udev: _Properties) -> bool:
    """Is it one of several ways to a disk? The kernel hides those of NVMe's own multipath.

    multipath says 1 for yes, 0 for no, and 2 for not yet known (multipath(8), -u).
    """
    return (
        udev.first("DM_MULTIPATH_DEVICE_PATH") not in (None, "0")
        or udev.is_set("ID_FS_TYPE", "mpath_member")
        or _attribute(base, "hidden") == "1"
    )


def _holders(base: Path, partitions: Iterable[str]) -> tuple[str, ...]:
    """What the kernel has stacked upon the disk and its partitions."""
    found = set(_listed(base / "holders"))
    for partition in partitions:
        with contextlib.suppress(FileNotFoundError):  # the table is being read again
            found.update(_listed(base / partition / "holders"))
    return tuple(sorted(found))


def _listed(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(_name(path.name) for path in directory.iterdir()))


def _name(kernel_name: str) -> str:
    return kernel_name.replace("!", "/")


def _stamp(devno: Devno) -> int:
    try:
        return record_of(devno).stat().st_mtime_ns
    except OSError:
        return 0


def _devno(base: Path) -> Devno:
    major, minor = (base / "dev").read_text().split(":")
    return int(major), int(minor)


def _devnos(base: Path, partitions: Iterable[str]) -> tuple[Devno, ...]:
    found = []
    for partition in partitions:
        with contextlib.suppress(FileNotFoundError):  # as above
            found.append(_devno(base / partition))
    return tuple(found)


def _number(base: Path, attribute: str) -> int:
    """What every block device has; OSError or ValueError if it has it no more."""
    number = int((base / attribute).read_text())
    if number < 0:
        raise ValueError(f"{attribute} is {number}")
    return number


def _positive(text: str) -> int:
    if (number := int(text)) <= 0:
        raise ValueError(f"{number} is no size")
    return number


def _attribute(base: Path, attribute: str) -> str | None:
    """One line of sysfs; None if this device, or this kernel, has no such file.

    Another OSError, as ENODEV of a device that has just gone, is no answer.
    """
    try:
        return (base / attribute).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None


class BlockMonitor:
    """Listens to the netlink socket for events of block devices."""

    def __init__(self, monitor: pyudev.Monitor) -> None:
        """Begins to listen: events from here on are kept until they are read."""
        self._monitor = monitor
        monitor.start()
        self._socket = socket.socket(fileno=os.dup(monitor.fileno()))

    @classmethod
    def open(cls, source: str = "udev", tag: str | None = "dmguard") -> Self:
        """OSError if there is no netlink.

        "udev" tells of an event when the rules have run, and only while udevd runs. "kernel"
        tells at once, of devices that nobody has looked at and that bear no tag: `tag` None.
        """
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
        monitor.filter_by("block")
        if tag is not None:
            monitor.filter_by_tag(tag)
        return cls(monitor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The descriptor is the library's, and goes with its last reference."""
        self._socket.close()
        self._monitor = None

    def fileno(self) -> int:
        return int(self._monitor.fileno())

    def drain(self, limit: int = _LIMIT) -> tuple[str, ...]:
        """The names of the devices of up to so many events; never waits.

        LostEventsError if the kernel dropped some. It is told once for one overflow. What is
        in the queue can be read afterwards; what this very call had read is among the lost.
        Any other OSError is the socket's end.
        """
        names: list[str] = []
        while len(names) < limit:
            device = self._next()
            if device is None:
                break
            names.append(str(device.sys_name))
        return tuple(names)

    def _next(self) -> pyudev.Device | None:
        try:
            return self._monitor.poll(timeout=0)
        except OSError as error:
            # The read has cleared the error, and names it. The poll has not done the one or the
            # other; reading SO_ERROR does both.
            number = error.errno or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number == errno.ENOBUFS:
                raise LostEventsError from error
            raise
