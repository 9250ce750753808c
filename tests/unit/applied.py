"""An action on a pool of a state, carried out by a simulated LVM and kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.model import Disk, State
from dmguard.core.steps import Lvm, steps_for
from tests.unit.simkernel import SimKernel, SimPool, SimPv, SimVg, read_kernel
from tests.unit.simulated import Simulated

if TYPE_CHECKING:
    from dmguard.core.actions import Action
    from dmguard.core.model import Pool, Vg


def apply(state: State, action: Action) -> State:
    """What LVM and the kernel make of an action on a pool, whose command LVM must not refuse."""
    host = Simulated()
    by_uuid = {vg.uuid: _simulate_vg(host, vg) for vg in state.vgs}
    for pool in state.pools:
        by_uuid[pool.vg.uuid].pools.append(_simulate_pool(pool))
    for step in steps_for(action):
        assert isinstance(step, Lvm)
        assert host.run(*step.argv), step
    vgs = {vg.uuid: _merge_vg(vg, by_uuid[vg.uuid]) for vg in state.vgs}
    pools = tuple(_merge_pool(pool, by_uuid, vgs) for pool in state.pools)
    return State(tuple(vgs.values()), pools)


def _simulate_vg(host: Simulated, vg: Vg) -> SimVg:
    pvs = []
    for number, pv in enumerate(vg.pvs):
        node = f"/dev/{vg.name}{number}"
        pvs.append(SimPv(pv.uuid, node, pv.size, pv.free))
        host.disks[node] = Disk(
            node.removeprefix("/dev/"), (8, len(host.disks)), pv.size, serial=node
        )
    host.vgs.append(SimVg(vg.name, vg.uuid, vg.extent, pvs, spare=vg.spare, seqno=vg.seqno))
    return host.vgs[-1]


def _simulate_pool(pool: Pool) -> SimPool:
    lv, kernel = pool.lv, pool.kernel
    made = SimPool(lv.name, lv.uuid, lv.size, lv.metadata_size, lv.chunk, 4)
    if kernel is not None:
        total = kernel.data.total if kernel.data else kernel.size
        metadata = kernel.metadata.total if kernel.metadata else 0
        made.kernel = SimKernel(kernel.size, total, metadata, kernel.low_water, mode=kernel.mode)
        made.kernel.used = kernel.data.used if kernel.data else 0
        made.kernel.metadata_used = kernel.metadata.used if kernel.metadata else 0
    return made


def _merge_vg(vg: Vg, made: SimVg) -> Vg:
    pvs = tuple(replace(pv, free=new.free) for pv, new in zip(vg.pvs, made.pvs, strict=True))
    return replace(vg, pvs=pvs, spare=made.spare, seqno=made.seqno)


def _merge_pool(pool: Pool, made: dict[str, SimVg], vgs: dict[str, Vg]) -> Pool:
    group = made[pool.vg.uuid]
    new = next(one for one in group.pools if one.uuid == pool.lv.uuid)
    lv = replace(pool.lv, size=new.size, metadata_size=new.metadata_size)
    seen = read_kernel(group, new)
    kernel = (
        pool.kernel
        and seen
        and replace(
            pool.kernel,
            size=seen.size,
            low_water=seen.low_water,
            data=seen.data,
            metadata=seen.metadata,
        )
    )
    return replace(pool, lv=lv, vg=vgs[pool.vg.uuid], kernel=kernel)
