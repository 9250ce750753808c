"""What LVM makes of volume groups: to the extent, in its own order.

Said without the code that is tested. LVM commits its metadata before it loads a table, and whoever
kills it in between leaves the kernel behind: a command is a generator that stops at each such
point.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.model import METADATA_MAX, Disk, PoolLv, Probe, Pv, Vg
from tests.unit.simkernel import OFF, Kernel, SimPool, SimPv, SimVg

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Points = Generator[None, None, None]
    _Options = dict[str, str]

START = 1 << 20
"""Where the extents of a PV begin."""


class LvmError(Exception):
    """LVM does not do it: exit status 5."""


class Simulated(Kernel):
    """A host with LVM. `locked` are the groups whose lock somebody has."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[str] = set()

    def lvm(self, argv: Sequence[str]) -> Points:
        """One command, to be run to its end; it stops where it could be killed. LvmError when LVM
        refuses.
        """
        name, options, words = parse(argv)
        vg = self._group_of(words)
        if vg.name in self.locked:
            raise LvmError(f"Can't get lock for {vg.name}.")
        self.locked.add(vg.name)
        ways = {
            "lvextend": self._extend,
            "lvchange": self._refresh,
            "vgextend": self._restore if "--restoremissing" in options else self._join,
            "vgreduce": self._leave,
            "pvchange": self._tag,
            "lvcreate": self._create,
            "lvremove": self._remove,
        }
        try:
            yield from ways[name](vg, options, words[-1])
        finally:
            self.locked.discard(vg.name)

    def _group_of(self, words: list[str]) -> SimVg:
        if words[0].startswith("/dev/"):
            return self._home_of(words[0])
        vg = self.vg(words[0].partition("/")[0])
        if all(self.disk_of(pv) is None for pv in vg.pvs):
            raise LvmError(f'Volume group "{vg.name}" not found')
        return vg

    def run(self, *argv: str) -> bool:
        """A command from its beginning to its end; did LVM do it?"""
        try:
            for _ in self.lvm(argv):
                pass
        except LvmError:
            return False
        return True

    def _refresh(self, vg: SimVg, options: _Options, name: str) -> Points:
        self._refuse_if_missing(vg)
        yield
        self.load(vg, pool_in(vg, name), mark_of(options))

    def _create(self, vg: SimVg, options: _Options, name: str) -> Points:
        del name
        vg.volumes[options["--name"]] = self.allocate(vg, size_of(options["--size"]))
        self._commit(vg)
        yield

    def _remove(self, vg: SimVg, options: _Options, name: str) -> Points:
        del options
        taken = vg.volumes.pop(name.partition("/")[2])
        for pv in vg.pvs:
            pv.free += taken.get(pv.uuid, 0)
        self._commit(vg)
        yield

    def _tag(self, vg: SimVg, options: _Options, node: str) -> Points:
        self._refuse_if_missing(vg)
        self._pv_at(vg, node).tags += (options["--addtag"],)
        self._commit(vg)
        yield

    def _extend(self, vg: SimVg, options: _Options, name: str) -> Points:
        self._refuse_if_missing(vg)
        pool = pool_in(vg, name)
        if "--size" in options:
            target = up(size_of(options["--size"]), vg.extent)
            if target <= pool.size:
                raise LvmError("New size given not larger than existing size")
            # 64 bytes for each chunk, of LVM's own accord (lib/metadata/thin_manip.c).
            dragged = up(min(target // pool.chunk * 64, METADATA_MAX), vg.extent)
            metadata = max(dragged, pool.metadata_size)
        else:
            target = pool.size
            metadata = up(size_of(options["--poolmetadatasize"]), vg.extent)
            if metadata == pool.metadata_size:
                return  # "unchanged", and "successfully resized"
            if metadata < pool.metadata_size:
                raise LvmError("Thin pool volumes do not support size reduction of metadata")
        if metadata > pool.metadata_size:
            self._grow_metadata(vg, pool, metadata)
            yield
            self.load(vg, pool, mark_of(options))
            yield
        # What was done for the metadata stays though there is no room for the data.
        if target > pool.size:
            pool.lies_on |= self.allocate(vg, target - pool.size).keys()
            pool.size = target
            self._commit(vg)
            yield
            self.load(vg, pool, mark_of(options))
            yield

    def _grow_metadata(self, vg: SimVg, pool: SimPool, size: int) -> None:
        """The spare follows the largest metadata as a whole, or not at all."""
        pool.lies_on |= self.allocate(vg, size - pool.metadata_size).keys()
        follows = max(0, size - (vg.spare or 0))
        if follows <= self.free(vg):
            self.allocate(vg, follows)
            vg.spare = (vg.spare or 0) + follows
        pool.metadata_size = size
        self._commit(vg)

    def _join(self, vg: SimVg, options: _Options, node: str) -> Points:
        del options
        disk = self.disks.get(node)
        if disk is None or disk.holders:
            raise LvmError(f"Cannot use {node}")
        if disk.size < START + vg.extent:
            raise LvmError(f"Cannot use {node}: device is too small")
        probe = disk.probe or Probe()
        if disk.content or probe.signatures:
            raise LvmError("existing signature left on the device")
        # The label comes first, and then the group's metadata.
        self._touch(disk, content="LVM2_member", probe=Probe(pv_label=True, half_pv=True))
        yield
        size = (disk.size - START) // vg.extent * vg.extent
        vg.pvs.append(SimPv(f"pv-{disk.serial}-{vg.seqno}", disk.serial or "", size, size))
        self._touch(self.disks[node], probe=Probe(pv_label=True))
        self._commit(vg)
        yield

    def _restore(self, vg: SimVg, options: _Options, node: str) -> Points:
        del options
        pv = self._pv_at(vg, node)
        if not pv.flagged:
            raise LvmError("PV was not missing in VG")
        pv.flagged = False
        self._commit(vg)
        yield

    def _leave(self, vg: SimVg, options: _Options, node: str) -> Points:
        del options
        self._refuse_if_missing(vg)
        pv = self._pv_at(vg, node)
        if pv.free < pv.size or len(vg.pvs) == 1:
            raise LvmError(f"Physical volume {node!r} still in use")
        vg.pvs.remove(pv)
        self._touch(self.disks[node], content=None, probe=Probe())
        self._commit(vg)
        yield

    def _commit(self, vg: SimVg) -> None:
        vg.seqno += 1
        for pv in vg.pvs:
            # Whoever is away when a group is changed needs --restoremissing when it is back.
            pv.flagged |= self.disk_of(pv) is None

    def _refuse_if_missing(self, vg: SimVg) -> None:
        if any(pv.flagged or self.disk_of(pv) is None for pv in vg.pvs):
            raise LvmError(f"Cannot change VG {vg.name} while PVs are missing.")

    def allocate(self, vg: SimVg, size: int) -> dict[str, int]:
        if size > self.free(vg):
            raise LvmError("Insufficient free space")
        taken = {}
        for pv in vg.pvs:
            part = min(size, pv.free) if pv.allocatable else 0
            if part:
                pv.free -= part
                taken[pv.uuid] = part
                size -= part
        return taken

    def _touch(self, disk: Disk, **changes: object) -> None:
        new = replace(disk, stamp=disk.stamp + 1, **changes)  # type: ignore[arg-type] # any field
        self.disks[disk.node] = new

    def vg(self, name: str) -> SimVg:
        for vg in self.vgs:
            if vg.name == name:
                return vg
        raise LvmError(f'Volume group "{name}" not found')

    def free(self, vg: SimVg) -> int:
        return sum(pv.free for pv in vg.pvs if pv.allocatable)

    def _home_of(self, node: str) -> SimVg:
        serial = self.disks[node].serial if node in self.disks else None
        for vg in self.vgs:
            if any(pv.serial == serial for pv in vg.pvs):
                return vg
        raise LvmError(f"Failed to find physical volume {node!r}")

    def _pv_at(self, vg: SimVg, node: str) -> SimPv:
        serial = self.disks[node].serial if node in self.disks else None
        for pv in vg.pvs:
            if pv.serial == serial:
                return pv
        raise LvmError(f"Failed to find physical volume {node!r}")

    def read_vg(self, vg: SimVg) -> Vg | None:
        """LVM's report of it; None if none of its disks is there."""
        if all(self.disk_of(pv) is None for pv in vg.pvs):
            return None
        pvs = tuple(self._read_pv(pv) for pv in vg.pvs)
        pools = tuple(read_lv(vg, pool) for pool in vg.pools)
        size = sum(pv.size for pv in pvs)
        return Vg(vg.name, vg.uuid, vg.seqno, size, vg.extent, pvs, pools, spare=vg.spare)

    def _read_pv(self, pv: SimPv) -> Pv:
        disk = self.disk_of(pv)
        return Pv(
            name=disk.node if disk else "[unknown]",
            uuid=pv.uuid,
            size=pv.size,
            free=pv.free,
            allocatable=pv.allocatable,
            missing=pv.flagged or disk is None,
            devno=disk.devno if disk else None,
            device_size=disk.size if disk else None,
            data_start=START,
            tags=pv.tags,
        )


def read_lv(vg: SimVg, pool: SimPool) -> PoolLv:
    active = pool.kernel is not None
    sizes = (pool.size, pool.metadata_size, pool.chunk)
    return PoolLv(vg.name, pool.name, pool.uuid, *sizes, active=active)


def up(size: int, extent: int) -> int:
    return -(-size // extent) * extent


def size_of(text: str) -> int:
    return int(text.removesuffix("b"))


def mark_of(options: _Options) -> int:
    """The threshold of a command line; LVM's own is that nothing is marked."""
    for word in options.get("--config", "").split():
        key, _, value = word.partition("=")
        if key == "activation/thin_pool_autoextend_threshold":
            return int(value)
    return OFF


def parse(argv: Sequence[str]) -> tuple[str, _Options, list[str]]:
    """A command's name, its options with their values, and its other words."""
    options: _Options = {}
    words: list[str] = []
    rest = list(argv[1:])
    while rest:
        word = rest.pop(0)
        if word in ("--noudevsync", "--refresh", "--restoremissing", "--yes"):
            options[word] = ""
        elif word.startswith("--"):
            options[word] = rest.pop(0)
        else:
            words.append(word)
    return argv[0], options, words


def pool_in(vg: SimVg, name: str) -> SimPool:
    return next(pool for pool in vg.pools if name == f"{vg.name}/{pool.name}")
