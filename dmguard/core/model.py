"""What dmguard knows of a host: volume groups, thin pools, and the kernel's view of them.

Every size is an integer number of bytes, every unknown is None (never 0), every closed
vocabulary an enum. Nothing here reads anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

METADATA_BLOCK = 4096
"""Bytes in one block of thin pool metadata (Linux, Documentation/admin-guide/device-mapper/
thin-provisioning.rst)."""

METADATA_MAX = 255 * ((1 << 14) - 64) * METADATA_BLOCK
"""The most metadata that the kernel uses, in bytes: 15.875 GiB (Linux,
drivers/md/persistent-data/dm-space-map-metadata.h, DM_SM_METADATA_MAX_BLOCKS)."""


METADATA_CROPPED = 33161216 * 512
"""Bytes of metadata that LVM gives a pool at most with allocation/thin_pool_crop_metadata."""


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
    devno: tuple[int, int]
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


@dataclass(frozen=True, slots=True)
class Pv:
    """One physical volume."""

    name: str
    uuid: str
    size: int
    free: int
    allocatable: bool
    missing: bool


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

    @property
    def full_name(self) -> str:
        return f"{self.vg}/{self.name}"


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


@dataclass(frozen=True, slots=True)
class State:
    """The host at one moment. Two VGs of one name are kept apart by uuid."""

    vgs: tuple[Vg, ...]
    pools: tuple[Pool, ...]
    unknown: tuple[KernelPool, ...] = ()
    """Thin pools that the kernel runs and LVM's report does not list."""

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)
