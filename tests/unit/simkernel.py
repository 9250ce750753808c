"""What the kernel makes of thin pools: to the chunk, event by event.

Said without the code that is tested. The event of a pool's mark is raised once for each table, and
before the chunk is allocated that is to cross it (Linux, drivers/md/dm-thin.c, alloc_data_block).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmguard.core.model import METADATA_BLOCK, METADATA_MAX, Disk, KernelPool, Mode, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_QUEUES_S = 60.0
"""dm_thin_pool's no_space_timeout."""

OFF = 100
"""The threshold of LVM's that means none."""

_LEAST_THRESHOLD = 50
_DEAD = (Mode.FAIL, Mode.ERROR)


@dataclass(slots=True)
class SimPv:
    """A PV, on the disk of this serial number; `flagged` is LVM's own MISSING flag."""

    uuid: str
    serial: str
    size: int
    free: int
    flagged: bool = False
    tags: tuple[str, ...] = ()
    allocatable: bool = True


@dataclass(slots=True)
class SimKernel:
    """A pool as the kernel runs it. `size` is its table's, `total` what it can use of that.

    `waiting` chunks are queued for want of space; `held` are those before whose first the event
    was raised, and which are not allocated yet.
    """

    size: int
    total: int
    metadata: int
    low_water: int = 0
    used: int = 0
    metadata_used: int = 0
    mode: Mode = Mode.RW
    needs_check: bool = False
    errors: bool = False
    event_nr: int = 0
    armed: bool = True
    metadata_armed: bool = True
    waiting: int = 0
    held: int = 0
    full_for: float = 0.0
    leaves: frozenset[tuple[int, int]] = frozenset()


@dataclass(slots=True)
class SimPool:
    """A pool as LVM describes it. `weight` is the metadata that a chunk takes, in bytes."""

    name: str
    uuid: str
    size: int
    metadata_size: int
    chunk: int
    minor: int
    weight: int = 48
    kernel: SimKernel | None = None
    lies_on: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SimVg:
    """A volume group; `volumes` has what others' volumes took of each PV."""

    name: str
    uuid: str
    extent: int
    pvs: list[SimPv]
    pools: list[SimPool] = field(default_factory=list)
    spare: int | None = None
    seqno: int = 1
    volumes: dict[str, dict[str, int]] = field(default_factory=dict)


class Kernel:
    """A host's disks, VGs and pools. `raised` is called for each event of a pool's."""

    def __init__(self) -> None:
        self.vgs: list[SimVg] = []
        self.disks: dict[str, Disk] = {}
        self.raised: Callable[[SimVg, SimPool], None] = lambda _, __: None

    def write(self, vg: SimVg, pool: SimPool, chunks: int) -> None:
        """Provision so many chunks. Stops before the one that the mark's event is raised for."""
        kernel = pool.kernel
        if kernel is None:
            return
        while chunks > 0:
            if kernel.held and kernel.armed:
                break
            if self._is_stopped(vg, pool, kernel):
                if kernel.mode is Mode.OUT_OF_DATA and not kernel.errors:
                    kernel.waiting += chunks
                return
            free = (kernel.total - kernel.used) // pool.chunk
            if free <= kernel.low_water and kernel.armed:
                kernel.armed = False
                kernel.held += chunks
                self._raise(vg, pool)
                return
            if free == 0:
                kernel.waiting += chunks
                self.switch(vg, pool, Mode.OUT_OF_DATA)
                return
            now = min(chunks, free - kernel.low_water if kernel.armed else free)
            if not self._take_metadata(vg, pool, kernel, now * pool.weight):
                return
            kernel.used += now * pool.chunk
            chunks -= now

    def _is_stopped(self, vg: SimVg, pool: SimPool, kernel: SimKernel) -> bool:
        there = {pv.uuid for pv in vg.pvs if self.disk_of(pv) is not None}
        if kernel.mode is Mode.RW and not pool.lies_on <= there:
            # A write to what is away fails, and the transaction with it.
            kernel.needs_check = True
            self.switch(vg, pool, Mode.RO)
        return kernel.mode is not Mode.RW

    def _take_metadata(self, vg: SimVg, pool: SimPool, kernel: SimKernel, more: int) -> bool:
        if kernel.metadata_used + more > kernel.metadata:
            kernel.metadata_used = kernel.metadata
            self.switch(vg, pool, Mode.RO)
            return False
        kernel.metadata_used += more
        low = min(1024 * METADATA_BLOCK, kernel.metadata // 4)
        if kernel.metadata_armed and kernel.metadata - kernel.metadata_used <= low:
            kernel.metadata_armed = False
            self._raise(vg, pool)
        return True

    def go_on(self) -> None:
        """What was about to be allocated when an event was raised is allocated."""
        for vg in self.vgs:
            for pool in vg.pools:
                if pool.kernel is not None and pool.kernel.held:
                    chunks, pool.kernel.held = pool.kernel.held, 0
                    self.write(vg, pool, chunks)

    def discard(self, vg: SimVg, pool: SimPool, chunks: int) -> None:
        """Give chunks back; a pool that is out of space leaves that by itself."""
        kernel = pool.kernel
        if kernel is None or kernel.mode not in (Mode.RW, Mode.OUT_OF_DATA):
            return
        kernel.used = max(0, kernel.used - chunks * pool.chunk)
        if kernel.mode is Mode.OUT_OF_DATA and kernel.used < kernel.total:
            self._revive(vg, pool, kernel)

    def pass_time(self, seconds: float) -> None:
        """A pool that is out of space queues for a minute, and then fails its writers."""
        for vg in self.vgs:
            for pool in vg.pools:
                kernel = pool.kernel
                if kernel is None or kernel.mode is not Mode.OUT_OF_DATA or kernel.errors:
                    continue
                kernel.full_for += seconds
                if kernel.full_for >= _QUEUES_S:
                    kernel.errors, kernel.waiting = True, 0
                    self._raise(vg, pool)

    def switch(self, vg: SimVg, pool: SimPool, mode: Mode) -> None:
        assert pool.kernel is not None
        pool.kernel.mode, pool.kernel.full_for = mode, 0.0
        self._raise(vg, pool)

    def _revive(self, vg: SimVg, pool: SimPool, kernel: SimKernel) -> None:
        kernel.errors = False
        self.switch(vg, pool, Mode.RW)
        chunks, kernel.waiting = kernel.waiting, 0
        self.write(vg, pool, chunks)

    def _raise(self, vg: SimVg, pool: SimPool) -> None:
        assert pool.kernel is not None
        pool.kernel.event_nr += 1
        self.raised(vg, pool)

    def load(self, vg: SimVg, pool: SimPool, threshold: int) -> None:
        """Load and resume the table that LVM's metadata describes (Linux, drivers/md/dm-thin.c,
        pool_preresume). A pool that must be checked is not resized, and nobody is told.
        """
        kernel = pool.kernel
        if kernel is None:
            return
        kernel.size = pool.size
        kernel.low_water = mark_for(pool.size, pool.chunk, threshold)
        kernel.armed = kernel.metadata_armed = True
        on = (self.disk_of(pv) for pv in vg.pvs if pv.uuid in pool.lies_on)
        kernel.leaves = frozenset(disk.devno for disk in on if disk is not None)
        if kernel.needs_check or kernel.mode in _DEAD:
            return
        kernel.total = pool.size // pool.chunk * pool.chunk
        kernel.metadata = min(pool.metadata_size, METADATA_MAX)
        if kernel.mode is not Mode.RW:
            self._revive(vg, pool, kernel)

    def activate(self, vg: SimVg, pool: SimPool, threshold: int = OFF) -> None:
        """Bring a pool up, as at boot: it is checked, so that it is sound again."""
        before = pool.kernel
        pool.kernel = SimKernel(pool.size, 0, 0, used=before.used if before else 0)
        pool.kernel.metadata_used = before.metadata_used if before else 0
        self.load(vg, pool, threshold)

    def disk_of(self, pv: SimPv) -> Disk | None:
        return next((disk for disk in self.disks.values() if disk.serial == pv.serial), None)

    def is_broken(self, vg: SimVg) -> bool:
        """Is any of its PVs away, or does LVM count it as missing?"""
        return any(pv.flagged or self.disk_of(pv) is None for pv in vg.pvs)


def read_kernel(vg: SimVg, pool: SimPool) -> KernelPool | None:
    """The kernel's status and table lines of a pool."""
    kernel = pool.kernel
    if kernel is None:
        return None
    dead = kernel.mode in _DEAD
    return KernelPool(
        dm_name=f"{vg.name}-{pool.name}",
        vg_uuid=vg.uuid,
        lv_uuid=pool.uuid,
        devno=(253, pool.minor),
        event_nr=kernel.event_nr,
        size=kernel.size,
        chunk=pool.chunk,
        low_water=kernel.low_water,
        mode=kernel.mode,
        needs_check=kernel.needs_check,
        errors_when_full=kernel.errors,
        transaction_id=None if dead else 1,
        data=None if dead else Usage(kernel.used, kernel.total),
        metadata=None if dead else Usage(kernel.metadata_used, kernel.metadata),
        leaves=kernel.leaves,
    )


def mark_for(size: int, chunk: int, threshold: int) -> int:
    """The low water mark that LVM loads (lvm2, lib/thin/thin.c)."""
    threshold = max(threshold, _LEAST_THRESHOLD)
    return size // chunk * (OFF - threshold) // OFF
