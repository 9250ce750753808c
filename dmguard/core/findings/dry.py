"""A pool above a threshold whose VG has nothing left for it, and which might grow if it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.model import Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import (
    at_max_size,
    dragged_metadata,
    is_above,
    metadata_want,
    policy_for,
    reserve_in,
    usage,
)
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for pool in state.pools:
        if not settings.guards(pool.name) or obstacle(pool, state):
            continue
        starved = next((r for r in Resource if _is_starved(pool, r, state, settings)), None)
        if starved is not None:
            yield Finding("vg-dry", pool.name, _sentence(pool, starved))


def _is_starved(pool: Pool, resource: Resource, state: State, settings: Settings) -> bool:
    policy = policy_for(pool, settings)
    if pool.kernel is None:
        return False
    used = usage(pool.kernel, resource)
    if resource is Resource.METADATA:
        wants = is_above(used, policy.metadata_threshold) and metadata_want(pool, policy) > 0
        return wants and pool.vg.free < pool.vg.extent
    if not is_above(used, policy.data_threshold) or at_max_size(pool, policy):
        return False
    extent = pool.vg.extent
    with_metadata = extent + dragged_metadata(pool, pool.kernel.size + extent)
    room = pool.vg.free - reserve_in(pool.vg, state, settings)
    return room < extent or pool.vg.free < with_metadata


def _sentence(pool: Pool, resource: Resource) -> str:
    used = usage(pool.kernel, resource) if pool.kernel else None
    percent = f"{used.percent:.2f} %" if used else "an unknown part"
    return (
        f"{pool.name}: {percent} of its {resource} is in use and {pool.vg.name} has no room for it"
        f" ({format_size(pool.vg.free)} free, the reserve included);"
        f" add a disk: vgextend {pool.vg.name} /dev/DISK"
    )
