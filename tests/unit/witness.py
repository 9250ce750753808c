"""What must hold of all that the agent does, looked at from outside and said in other words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dmguard.core.model import Mode, Probe, Usage
from dmguard.core.settings import ClaimMode
from dmguard.loop.record import read_history
from tests.unit.simkernel import mark_for, read_kernel
from tests.unit.simulated import START, parse, pool_in, size_of, up

if TYPE_CHECKING:
    from dmguard.core.model import Disk, KernelPool, State
    from dmguard.core.settings import ClaimRule, Policy
    from tests.unit.guarded import Guarded
    from tests.unit.simkernel import SimPool, SimVg

_LIVE = (Mode.RW, Mode.OUT_OF_DATA)


class Witness:
    """Sees every command of the agent's, before it and after it, and every entry."""

    def __init__(self, world: Guarded) -> None:
        self.world = world
        self.host = world.host
        self.effects: Counter[tuple[str, str, int | str]] = Counter()
        """What the agent's commands did: the act, the pool or the group, the size or the disk."""
        self.members: dict[str, str] = {}
        """Serial numbers of disks that the agent saw in a group, by the PV's uuid."""
        self.taken_out: set[str] = set()
        self.refused: set[str] = set()
        """Disks that LVM refused: that stands until they, or their group, are others."""
        self._seen: dict[str, KernelPool] = {}
        self._known: dict[str, int] = {}
        self._before: dict[tuple[str, str, int | str], bool] = {}
        world.eyes = self

    def see(self, state: State) -> None:
        """What the agent's next acts are planned from."""
        self._seen = {pool.lv.uuid: pool.kernel for pool in state.pools if pool.kernel}
        self._known = {vg.name: vg.seqno for vg in state.vgs}
        for vg in self.host.vgs:
            seen = state.vg(vg.name)
            if seen is not None and not seen.missing:
                there = {pv.uuid for pv in seen.pvs}
                self.members |= {pv.uuid: pv.serial for pv in vg.pvs if pv.uuid in there}

    def policy(self, vg: SimVg, pool: SimPool) -> Policy:
        settings = self.world.settings
        return settings.overrides.get(f"{vg.name}/{pool.name}", settings.policy)

    # Before and after each command

    def before_command(self, words: tuple[str, ...]) -> None:
        name, options, named = parse(words)
        group = named[0].partition("/")[0]
        if name == "lvextend":
            vg = self.host.vg(group)
            self._check_growth(vg, pool_in(vg, named[0]), options)
        elif name == "vgextend":
            vg, disk = self.host.vg(group), self.host.disks[named[1]]
            if "--restoremissing" in options:
                away = [pv.uuid for pv in vg.pvs if self.host.disk_of(pv) is None]
                assert not away, "taken back while another is away"
            else:
                self._check_claim(vg, disk)
        self._before = dict.fromkeys(self._conditions(words), True)
        self._before = {key: self._is_so(key) for key in self._before}

    def after_command(self, *, refused: bool) -> None:
        for key, was_so in self._before.items():
            if not was_so and self._is_so(key):
                self.effects[key] += 1
            elif refused and key[0] == "claim-disk":
                self.refused.add(str(key[2]))
        self._before = {}

    def _conditions(self, words: tuple[str, ...]) -> list[tuple[str, str, int | str]]:
        """What a command of the agent's is to bring about."""
        name, options, named = parse(words)
        if name == "lvextend" and "--size" in options:
            return [("extend-data", named[0], size_of(options["--size"]))]
        if name == "lvextend":
            return [("extend-metadata", named[0], size_of(options["--poolmetadatasize"]))]
        if name == "vgextend":
            act = "restore-pv" if "--restoremissing" in options else "claim-disk"
            return [(act, named[0], named[1])]
        return []

    def _is_so(self, key: tuple[str, str, int | str]) -> bool:
        act, name, wanted = key
        vg = self.host.vg(name.partition("/")[0])
        if act in ("extend-data", "extend-metadata"):
            kernel = pool_in(vg, name).kernel
            assert isinstance(wanted, int)
            if kernel is None:
                return False
            return (kernel.total if act == "extend-data" else kernel.metadata) >= wanted
        disk = self.host.disks.get(str(wanted))
        pv = next((pv for pv in vg.pvs if disk is not None and pv.serial == disk.serial), None)
        return pv is not None and not pv.flagged

    def _check_growth(self, vg: SimVg, pool: SimPool, options: dict[str, str]) -> None:
        policy, seen = self.policy(vg, pool), self._seen[pool.uuid]
        assert seen.mode in _LIVE, f"grown while it is {seen.mode}"
        assert not seen.needs_check
        now = read_kernel(vg, pool)
        assert now is not None
        if "--poolmetadatasize" in options:
            assert is_above(seen.metadata, policy.metadata_threshold), "no need for metadata"
            if seen.metadata and now.metadata and seen.metadata.total == now.metadata.total:
                assert size_of(options["--poolmetadatasize"]) > pool.metadata_size or (
                    self._known[vg.name] != vg.seqno
                )
            return
        target = size_of(options["--size"])
        assert target <= (policy.max_size or target), "beyond its ceiling"
        assert is_above(seen.data, policy.data_threshold), "no need for data"
        if seen.size == now.size:
            assert target > now.size
        if self._known[vg.name] == vg.seqno:
            left = self.host.free(vg) - (target - pool.size)
            assert left >= self.reserve(vg), "the reserve was taken"

    def reserve(self, vg: SimVg) -> int:
        size = sum(pv.size for pv in vg.pvs)
        wanted = max(self.policy(vg, pool).vg_reserve.of(size) for pool in vg.pools)
        return up(wanted, vg.extent)

    def _check_claim(self, vg: SimVg, disk: Disk) -> None:
        assert is_blank(disk), f"claimed with {disk}"
        assert disk.serial not in self.taken_out, "somebody had taken it out"
        assert not self.host.is_broken(vg), "a PV is away"
        rules = self.rules_for(disk)
        assert {rule.vg for rule in rules} == {vg.name}
        for rule in rules:
            assert rule.mode is ClaimMode.AUTO
            assert rule.limit is None or len(vg.pvs) < rule.limit, "more than its limit"

    def rules_for(self, disk: Disk) -> list[ClaimRule]:
        return [rule for rule in self.world.settings.claims if rule.match.takes(disk)]

    # What is told

    def hear(self, fields: dict[str, str]) -> None:
        if fields["DMGUARD_RESULT"] != "done" or ": no longer: " in fields["MESSAGE"]:
            return
        act = fields["DMGUARD_ACTION"]
        if act in ("extend-data", "extend-metadata"):
            key = (act, fields["DMGUARD_POOL"], int(fields["DMGUARD_TARGET"]))
            assert self._is_so(key), f"told, and not so: {fields['MESSAGE']}"
        elif act in ("claim-disk", "restore-pv"):
            key2 = (act, fields["DMGUARD_VG"], fields["DMGUARD_DISK"])
            assert self._is_so(key2), f"told, and not so: {fields['MESSAGE']}"

    def check_history(self) -> None:
        """Each act that took effect is told as done, once, and none is told more often."""
        told: Counter[tuple[str, str, int | str]] = Counter()
        identities = Counter(entry.id for entry in read_history(self.world.paths))
        assert not identities or max(identities.values()) == 1
        for entry in read_history(self.world.paths):
            if entry.result != "done" or entry.code == "finding-cleared":
                continue
            if entry.action in ("extend-data", "extend-metadata"):
                told[(entry.action, entry.pool, entry.numbers["target"])] += 1
            elif entry.action in ("claim-disk", "restore-pv"):
                told[(entry.action, entry.vg, entry.disk)] += 1
        for key, times in self.effects.items():
            assert told[key] >= times, f"done, and not told: {key}"
            if key[0].startswith("extend"):
                assert told[key] == times == 1, f"done {times} times, told {told[key]}: {key}"

    # When the world stands still

    def check_cured(self) -> None:
        """Nothing is left that the agent could cure."""
        for vg in self.host.vgs:
            if self.host.is_broken(vg):
                away = [pv for pv in vg.pvs if self.host.disk_of(pv) is None]
                assert away or not vg.pools, f"{vg.name}: all PVs are back, and not taken back"
                continue
            for pool in vg.pools:
                if is_sound(pool):
                    self._check_pool(vg, pool)
            for disk in self.host.disks.values():
                assert not self._is_claimable(vg, disk), f"{disk.node} is free for {vg.name}"

    def _check_pool(self, vg: SimVg, pool: SimPool) -> None:
        kernel, policy = pool.kernel, self.policy(vg, pool)
        assert kernel is not None
        name = f"{vg.name}/{pool.name}"
        assert kernel.size == pool.size, f"{name}: its table is behind"
        assert kernel.metadata == pool.metadata_size, f"{name}: its metadata is behind"
        mark = mark_for(pool.size, pool.chunk, policy.data_threshold)
        assert abs(kernel.low_water - mark) <= 1, f"{name}: its mark is {kernel.low_water}"
        full = is_above(Usage(kernel.used, kernel.total), policy.data_threshold)
        told = {code for code, subject in self.world.findings if subject == name}
        if full or kernel.mode is not Mode.RW:
            at_ceiling = policy.max_size is not None and policy.max_size - pool.size < vg.extent
            assert at_ceiling or not self._has_room(vg, pool), f"{name}: room, and not grown"
            assert told & {"pool-ceiling", "vg-dry"}, f"{name}: {told}"
        if is_above(Usage(kernel.metadata_used, kernel.metadata), policy.metadata_threshold):
            assert self.host.free(vg) < vg.extent, f"{name}: room, and its metadata not grown"
            assert told & {"vg-dry"}, f"{name}: {told}"

    def _has_room(self, vg: SimVg, pool: SimPool) -> bool:
        """For one extent more, and for what LVM takes beside."""
        metadata = up((pool.size + vg.extent) // pool.chunk * 64, vg.extent)
        more = max(0, metadata - pool.metadata_size)
        spare = max(0, metadata - (vg.spare or 0)) if more else 0
        free = self.host.free(vg)
        return free - self.reserve(vg) >= vg.extent and free >= vg.extent + more + spare

    def _is_claimable(self, vg: SimVg, disk: Disk) -> bool:
        rules = self.rules_for(disk)
        return (
            is_blank(disk)
            and disk.size >= START + vg.extent
            and {rule.vg for rule in rules} == {vg.name}
            and all(rule.mode is ClaimMode.AUTO for rule in rules)
            and all(rule.limit is None or len(vg.pvs) < rule.limit for rule in rules)
            and disk.serial not in self.taken_out
            and disk.node not in self.refused
        )


def is_above(usage: Usage | None, threshold: int) -> bool:
    return usage is not None and 100 * usage.used > threshold * usage.total


def is_blank(disk: Disk) -> bool:
    return disk.content is None and not disk.holders and disk.probe == Probe()


def is_sound(pool: SimPool) -> bool:
    kernel = pool.kernel
    return kernel is not None and kernel.mode in _LIVE and not kernel.needs_check
