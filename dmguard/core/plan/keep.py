"""Keep the live table as it has to be: as large as LVM has it, its mark at the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Refresh, is_marked
from dmguard.core.model import Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import is_behind, low_water_for, policy_for

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from dmguard.core.model import KernelPool, Pool, State
    from dmguard.core.settings import Settings


def plan_refresh(state: State, settings: Settings, *, leave: Container[str]) -> Iterator[Refresh]:
    """Refreshes for guarded pools; those in `leave` are about to get a new table anyway."""
    for pool in state.pools:
        if pool.lv.uuid in leave or not settings.guards(pool.name) or obstacle(pool, state):
            continue
        action = _refresh(pool, settings)
        if action is not None:
            yield action


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
