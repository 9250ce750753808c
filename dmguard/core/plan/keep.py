"""Keep the live table as it has to be: as large as LVM has it, its mark at the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Refresh, is_marked
from dmguard.core.model import Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import is_behind, is_near, low_water_for, policy_for

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from dmguard.core.model import KernelPool, Pool, State
    from dmguard.core.settings import Settings


def plan_refresh(
    state: State, settings: Settings, *, leave: Container[str], spare: Container[str] = ()
) -> Iterator[Refresh]:
    """Refreshes for guarded pools; those in `leave` are about to get a new table anyway.

    Of those in `spare` the mark can wait, unless it may be wanted soon. Both are LV uuids.
    """
    for pool in state.pools:
        if pool.lv.uuid in leave or not settings.guards(pool.name) or obstacle(pool, state):
            continue
        action = _refresh(pool, settings)
        can_wait = pool.lv.uuid in spare and not is_near(pool, settings)
        if action is not None and not (can_wait and action.reason == "low-water"):
            yield action


def in_use_soon(state: State) -> frozenset[str]:
    """LV uuids of the pools that a consumer is being started on.

    It makes its devices in its pool now, and the kernel refuses each while the pool is suspended
    (Linux, drivers/md/dm-thin.c, thin_ctr), as a new table has it. A unit that waits between two
    tries of a restart loop is activating, too, but has no job.
    """
    units = ((consumer.dm_name, consumer.unit) for consumer in state.consumers)
    starting = {
        name for name, unit in units if unit and unit.state == "activating" and unit.has_job
    }
    return frozenset(pool.lv.uuid for pool in state.pools if pool.dm_name in starting)


def _refresh(pool: Pool, settings: Settings) -> Refresh | None:
    kernel = pool.kernel
    if kernel is None:
        return None
    behind = any(is_behind(pool, resource) for resource in Resource)
    action = make_refresh(pool, kernel, settings, "kernel-behind" if behind else "low-water")
    return action if behind or not is_marked(kernel, action.low_water) else None


def make_refresh(pool: Pool, kernel: KernelPool, settings: Settings, reason: str) -> Refresh:
    """The action that loads an active pool's table as LVM has it, with the mark of its policy."""
    threshold = policy_for(pool, settings).data_threshold
    return Refresh(
        vg=pool.vg.name,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        size=pool.lv.size,
        metadata_size=pool.lv.metadata_size,
        low_water=low_water_for(pool.lv.size, kernel.chunk, threshold),
        threshold=threshold,
        reason=reason,
    )
