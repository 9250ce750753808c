"""Grow every guarded pool that is above a threshold: metadata first, then data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Extend
from dmguard.core.model import Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import (
    data_want,
    is_above,
    is_behind,
    metadata_cost,
    metadata_fit,
    metadata_want,
    policy_for,
    reserve_in,
    share_out,
    usage,
    with_metadata,
)
from dmguard.core.units import round_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import Pool, State
    from dmguard.core.plan import Past
    from dmguard.core.settings import Policy, Settings


def plan_growth(state: State, settings: Settings, past: Past) -> tuple[Extend, ...]:
    """The growth of all pools: all metadata before any data, and the fullest first of each.

    Each VG's space is dealt out once: what metadata takes, its spare included, is gone for data,
    and where several pools want more than there is each gets a share in proportion. A pool whose
    table is behind LVM's metadata first needs that table: see keep.
    """
    pools = [
        pool for pool in state.pools if settings.guards(pool.name) and obstacle(pool, state) is None
    ]
    actions: list[Extend] = []
    for uuid in dict.fromkeys(pool.vg.uuid for pool in pools):
        members = [pool for pool in pools if pool.vg.uuid == uuid]
        actions += _plan_vg(members, state, settings, past)
    return tuple(sorted(actions, key=_urgency))


def _urgency(action: Extend) -> tuple[bool, float]:
    """Growth is one command after the other: with a hundred pools the last one waits long."""
    return action.resource is Resource.DATA, -(action.used or 0) / max(action.size, 1)


def _plan_vg(pools: list[Pool], state: State, settings: Settings, past: Past) -> Iterator[Extend]:
    vg, taken = pools[0].vg, 0
    for pool, policy in _by_metadata(pools, settings):
        growth = metadata_fit(pool, metadata_want(pool, policy), taken=taken)
        if growth > 0:
            taken += min(metadata_cost(pool, growth), vg.free - taken)
            yield make_extend(pool, policy, Resource.METADATA, growth)
    # Data is planned beside metadata, not after it: metadata that cannot grow, for whatever
    # reason, must not keep the data from growing.
    available = vg.free - taken - reserve_in(vg, state, settings)
    hungry = [(pool, policy_for(pool, settings)) for pool in pools]
    hungry = [(pool, policy) for pool, policy in hungry if _is_hungry(pool, policy)]
    wants = [
        _below_ceiling(
            data_want(pool, policy, past.data.get(pool.lv.uuid), available), pool, policy
        )
        for pool, policy in hungry
    ]
    shares = share_out(wants, available, vg.extent)
    for (pool, policy), share in zip(hungry, shares, strict=True):
        growth = with_metadata(pool, share, vg.free - taken)
        # LVM may need more than the size says, for mirrors or for contiguous extents: what failed
        # is tried again at half, down to one extent.
        growth = max(growth >> past.failures.get(pool.lv.uuid, 0), min(growth, vg.extent))
        growth = round_down(growth, vg.extent)
        if growth > 0:
            taken += growth
            yield make_extend(pool, policy, Resource.DATA, growth)


def _is_hungry(pool: Pool, policy: Policy) -> bool:
    above = pool.kernel is not None and is_above(pool.kernel.data, policy.data_threshold)
    return above and not is_behind(pool, Resource.DATA)


def _by_metadata(pools: list[Pool], settings: Settings) -> Iterator[tuple[Pool, Policy]]:
    """The pools whose metadata is above its threshold, the fullest first."""
    used = [(pool, pool.kernel.metadata) for pool in pools if pool.kernel]
    by_need = sorted(
        ((pool, metadata) for pool, metadata in used if metadata is not None),
        key=lambda pair: pair[1].percent,
        reverse=True,
    )
    for pool, metadata in by_need:
        policy = policy_for(pool, settings)
        above = is_above(metadata, policy.metadata_threshold)
        if above and not is_behind(pool, Resource.METADATA):
            yield pool, policy


def _below_ceiling(want: int, pool: Pool, policy: Policy) -> int:
    if policy.max_size is None or pool.kernel is None:
        return want
    return max(0, min(want, round_down(policy.max_size - pool.kernel.size, pool.vg.extent)))


def make_extend(
    pool: Pool, policy: Policy, resource: Resource, growth: int, reason: str = "above-threshold"
) -> Extend:
    """The action that grows one resource of an active pool by `growth` bytes."""
    assert pool.kernel is not None
    size = pool.kernel.size if resource is Resource.DATA else pool.lv.metadata_size
    used = usage(pool.kernel, resource)
    return Extend(
        vg=pool.vg.name,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        resource=resource,
        size=size,
        target=size + growth,
        used=None if used is None else used.used,
        free=pool.vg.free,
        threshold=policy.data_threshold,
        reason=reason,
    )
