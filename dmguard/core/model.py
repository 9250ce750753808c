"""What dmguard knows of a host: volume groups, thin pools, and the kernel's view of them.

Every size is an integer number of bytes, every unknown is None (never 0), every closed
vocabulary an enum. Nothing here reads anything.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from dmguard.core.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dmguard.core.bare import BarePool, RawPool
    from dmguard.core.host import Host

K = TypeVar("K")
T = TypeVar("T")

METADATA_BLOCK = 4096
"""Bytes in one block of thin pool metadata (Linux, Documentation/admin-guide/device-mapper/
thin-provisioning.rst)."""

METADATA_MAX = 255 * ((1 << 14) - 64) * METADATA_BLOCK
"""The most metadata that the kernel uses, in bytes: 15.875 GiB (Linux,
drivers/md/persistent-data/dm-space-map-metadata.h, DM_SM_METADATA_MAX_BLOCKS)."""

TAG = "dmguard"
"""The LVM tag of PVs that dmguard made."""

METADATA_CROPPED = 33161216 * 512
"""Bytes of metadata that LVM gives a pool at most with allocation/thin_pool_crop_metadata."""


Devno = tuple[int, int]
"""Major and minor number of a block device."""


class Trigger(StrEnum):
    """Who woke the reconciler."""

    UDEV = "udev"
    JOURNAL = "journal"
    DM_EVENT = "dm-event"
    DBUS = "dbus"
    TIMER = "timer"
    START = "start"
    COMMAND = "command"


class Mode(StrEnum):
    """A thin pool's mode as its status line says it (Linux, drivers/md/dm-thin.c, pool_status)."""

    RW = "rw"
    RO = "ro"
    OUT_OF_DATA = "out_of_data_space"
    FAIL = "Fail"
    ERROR = "Error"


class Resource(StrEnum):
    """The two things that a thin pool runs out of."""

    DATA = "data"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Usage:
    """Used and total bytes of one resource."""

    used: int
    total: int

    @property
    def percent(self) -> float:
        return 100.0 * self.used / self.total if self.total else 100.0


@dataclass(frozen=True, slots=True)
class KernelPool:
    """One thin pool as the kernel runs it: its status and table lines, parsed.

    `data` and `metadata` are None when the kernel gives no numbers (mode Fail or Error).
    `low_water` is the live table's mark in chunks: the event is raised when so many are free.
    """

    dm_name: str
    vg_uuid: str
    lv_uuid: str
    devno: Devno
    event_nr: int
    size: int
    chunk: int
    low_water: int
    mode: Mode
    needs_check: bool
    errors_when_full: bool
    transaction_id: int | None
    data: Usage | None
    metadata: Usage | None
    suspended: bool = False
    leaves: frozenset[Devno] = frozenset()
    """The devices at the bottom of its data and metadata: what the live tables point at."""
    appeared: int | None = None
    """Microseconds of the monotonic clock at which udev first saw it; None if it does not say."""

    @property
    def is_tight(self) -> bool:
        """May who writes to it soon have to wait until it has grown?"""
        if self.mode is Mode.OUT_OF_DATA:
            return True
        return self.data is not None and self.data.used * 10 >= self.data.total * 9

    @property
    def ids(self) -> tuple[str, str]:
        """The uuids of VG and LV."""
        return self.vg_uuid, self.lv_uuid

    def holds(self, size: int) -> bool | None:
        """Can so many bytes of data be used? None when the kernel gives no numbers.

        `size` is its table's, which is as it was loaded: a pool that must be checked takes a larger
        one and not the space (Linux, drivers/md/dm-thin.c, maybe_resize_data_dev).
        """
        return None if self.data is None else self.data.total >= size // self.chunk * self.chunk

    @property
    def names(self) -> tuple[str, str]:
        """What an event calls it: its device's uuid (lvm2, dev_manager.c) and `major:minor`."""
        return f"LVM-{self.vg_uuid}{self.lv_uuid}-tpool", ":".join(map(str, self.devno))


@dataclass(frozen=True, slots=True)
class Pv:
    """One physical volume.

    `missing` is what LVM says of it: its device is away, or it came back (`devno` is not None)
    after the VG was changed without it. `device_size` and `data_start` are the whole device's
    size and where its extents begin; None when the device is away. `twin`: LVM sees it on another
    device, too.
    """

    name: str
    uuid: str
    size: int
    free: int
    allocatable: bool
    missing: bool
    devno: Devno | None = None
    device_size: int | None = None
    data_start: int = 0
    tags: tuple[str, ...] = ()
    twin: bool = False

    def growth(self, extent: int) -> int:
        """Bytes of its device that it does not use yet, in whole extents."""
        if self.device_size is None or self.missing:
            return 0
        return max(0, (self.device_size - self.data_start) // extent * extent - self.size)


@dataclass(frozen=True, slots=True)
class PoolLv:
    """One thin pool as LVM's metadata describes it; `profile` is the pool's own or its VG's."""

    vg: str
    name: str
    uuid: str
    size: int
    metadata_size: int
    chunk: int
    active: bool
    profile: str | None = None
    thin_count: int = 0
    transaction_id: int = 0
    skips_activation: bool = False
    autoactivates: bool = True
    active_components: tuple[str, ...] = ()
    """Names of its hidden volumes (`pool_tmeta`, `pool_tdata`) that are active by themselves."""

    @property
    def full_name(self) -> str:
        return f"{self.vg}/{self.name}"


@dataclass(frozen=True, slots=True)
class Volume:
    """A visible logical volume that is no pool; `profile` is its own."""

    name: str
    size: int
    segtype: str
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Vg:
    """One volume group with its PVs and its thin pools."""

    name: str
    uuid: str
    seqno: int
    size: int
    extent: int
    pvs: tuple[Pv, ...]
    pools: tuple[PoolLv, ...]
    spare: int | None = None
    exported: bool = False
    writeable: bool = True
    shared: bool = False
    mirrored: bool = False
    """Does it hold a mirror or RAID, whose legs LVM must bring into step itself?"""
    volumes: tuple[Volume, ...] = ()
    profile: str | None = None
    """What its volumes follow that have none of their own."""
    misnamed: bool = False
    """Has it volumes of names that LVM does not write? They are not listed here."""
    silent: bool = False
    """Do its disks not answer? The rest is then what was known of it before."""

    @property
    def free(self) -> int:
        """Bytes that LVM can allocate: vg_free also counts PVs that are not allocatable."""
        return sum(pv.free for pv in self.pvs if pv.allocatable and not pv.missing)

    @property
    def missing(self) -> tuple[Pv, ...]:
        return tuple(pv for pv in self.pvs if pv.missing)


@dataclass(frozen=True, slots=True)
class Profile:
    """The two autoextend settings of an LVM metadata profile; threshold 100 means off."""

    threshold: int
    percent: int


@dataclass(frozen=True, slots=True)
class Pool:
    """One thin pool: LVM's view joined with the kernel's; `kernel` is None when inactive."""

    lv: PoolLv
    vg: Vg
    kernel: KernelPool | None
    profile: Profile | None = None

    @property
    def name(self) -> str:
        return self.lv.full_name

    @property
    def dm_name(self) -> str:
        """What the device-mapper, and a consumer's configuration, call it."""
        return dm_name(self.lv.vg, self.lv.name)


class DiskKind(StrEnum):
    """What a block device is. Only the first two can be claimed."""

    DISK = "disk"
    MULTIPATH = "multipath"
    LOOP = "loop"
    MD = "md"
    OPTICAL = "optical"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Probe:
    """A close look at a disk: what is on it, and who uses it. `error`: it could not be told.

    `signatures` are as blkid and wipefs name them, with their offsets. `tables` are partition
    tables among them. `data_at` is the offset of the first byte found that is not blank.
    `half_pv`: LVM has begun to make it a PV, and no group has or had it; `beside` is then where the
    first byte was found that is neither blank nor of that.
    `users` are those that have it open or mounted; `mentions` are files that name it.
    `under_way`: the look has not come back yet.
    """

    signatures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    pv_label: bool = False
    data_at: int | None = None
    half_pv: bool = False
    beside: int | None = None
    users: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    error: str | None = None
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """One block device as the kernel and udev describe it. Sizes in bytes, unknown is None.

    `ready`: udev has finished with it. `stamp` changes with every event that udev handles for it.
    `content` is the kind of what udev found on it (ID_FS_TYPE, else the partition table's).
    """

    name: str
    devno: Devno
    size: int
    kind: DiskKind = DiskKind.DISK
    sector: int = 512
    diskseq: int | None = None
    read_only: bool = False
    removable: bool = False
    rotational: bool | None = None
    zoned: bool = False
    ready: bool = True
    multipath_leg: bool = False
    path: str | None = None
    links: tuple[str, ...] = ()
    serial: str | None = None
    wwn: str | None = None
    model: str | None = None
    vendor: str | None = None
    bus: str | None = None
    content: str | None = None
    partitions: tuple[str, ...] = ()
    partition_devnos: tuple[Devno, ...] = ()
    holders: tuple[str, ...] = ()
    slaves: tuple[str, ...] = ()
    stamp: int = 0
    probe: Probe | None = None

    @property
    def node(self) -> str:
        return f"/dev/{self.name}"

    @property
    def identity(self) -> str:
        """What the same disk has again after a reboot, as far as it has anything of the kind."""
        if self.wwn:
            return f"wwn:{self.wwn}"
        if self.serial:
            return f"serial:{self.serial}"
        return f"path:{self.path}" if self.path else f"name:{self.name}"

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """The same for as long as nothing happened to this very disk."""
        return (self.identity, self.devno, self.diskseq, self.size, self.stamp)


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: `state` as its ActiveState, times in microseconds of the monotonic clock.

    `entered` is when it last became active, `tried` when its last start began; 0 for never.
    """

    name: str
    state: str
    has_job: bool = False
    entered: int = 0
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Consumer:
    """A program of this host that keeps its data in a thin pool, as its configuration says.

    `dm_name` is the pool's device-mapper name. `broken`: it runs without its pool and does not
    try again (containerd's plugin in error); None when that could not be told, or was not asked.
    """

    name: str
    dm_name: str
    unit: Unit | None = None
    broken: bool | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The host at one moment. Two VGs of one name are kept apart by uuid.

    What is looked up for each pool or disk is indexed when it is first asked for: on a host with
    hundreds of them a search for each would cost their number squared.
    """

    vgs: tuple[Vg, ...]
    pools: tuple[Pool, ...]
    unknown: tuple[KernelPool, ...] = ()
    """Thin pools that the kernel runs and LVM's report does not list."""
    disks: tuple[Disk, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    ledger: Ledger = Ledger()
    dmeventd: bool = False
    """Can LVM reach dmeventd through its socket?"""
    late: frozenset[str] = frozenset()
    """Pools that this boot waited for in vain, as `vg/lv` or by their device-mapper names."""
    host: Host | None = None
    """The host's files and settings, where they were asked for."""
    bare: tuple[BarePool, ...] = ()
    """Thin pools that the kernel runs and that are none of LVM's."""
    raws: tuple[RawPool, ...] = ()
    """Those that are configured, up or not."""
    _indices: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _index(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._indices:
            self._indices[name] = make()
        found: T = self._indices[name]
        return found

    def pool(self, name: str) -> Pool | None:
        """The first of this name, as of all that follow."""
        return self._index("pools", lambda: _first((p.name, p) for p in self.pools)).get(name)

    def knows(self, name: str) -> bool:
        """Is there a pool of this name, LVM's or another, or is one configured?"""
        bare = {pool.name for pool in self.bare} | {raw.rule.name for raw in self.raws}
        return self.pool(name) is not None or name in bare

    def vg(self, name: str) -> Vg | None:
        return self._index("vgs", lambda: _first((vg.name, vg) for vg in self.vgs)).get(name)

    def namesakes(self, vg: Vg) -> int:
        """How many VGs have its name, itself among them."""
        counts = self._index("names", lambda: Counter(vg.name for vg in self.vgs))
        return counts[vg.name]

    def pools_of(self, vg: Vg) -> tuple[Pool, ...]:
        found = self._index("by vg", lambda: _grouped((p.vg.uuid, p) for p in self.pools))
        return tuple(found.get(vg.uuid, ()))

    def disk_at(self, devno: Devno | None) -> Disk | None:
        found = self._index("disks", lambda: _first((d.devno, d) for d in self.disks))
        return None if devno is None else found.get(devno)

    def alike(self, disk: Disk) -> tuple[Disk, ...]:
        """The disks with its WWN or its serial number, itself among them."""
        numbered = ((key, one) for one in self.disks for key in _numbers(one))
        index = self._index("alike", lambda: _grouped(numbered))
        return tuple(one for key in _numbers(disk) for one in index.get(key, ()))

    def home(self, devno: Devno) -> Vg | None:
        """The VG that has a PV on this device."""
        pvs = ((pv.devno, vg) for vg in self.vgs for pv in vg.pvs if pv.devno is not None)
        return self._index("homes", lambda: _first(pvs)).get(devno)


def _numbers(disk: Disk) -> Iterator[tuple[str, str]]:
    if disk.wwn:
        yield ("wwn", disk.wwn)
    if disk.serial is not None:
        yield ("serial", disk.serial)


def _first(pairs: Iterable[tuple[K, T]]) -> dict[K, T]:
    found: dict[K, T] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def split_dm_name(name: str) -> str | None:
    """`vg/lv` of a volume's device-mapper name; None if it is no such name."""
    parts = re.split(r"(?<!-)-(?!-)", name)
    if len(parts) != 2 or not all(parts):
        return None
    return "/".join(part.replace("--", "-") for part in parts)


def dm_name(vg: str, lv: str) -> str:
    """The device-mapper name of a volume: hyphens within the names are doubled."""
    return f"{vg.replace('-', '--')}-{lv.replace('-', '--')}"
