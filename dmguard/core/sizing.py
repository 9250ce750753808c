"""The arithmetic of growth: how much a pool wants, what its volume group can give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.model import METADATA_CROPPED, METADATA_MAX, Resource
from dmguard.core.settings import Policy
from dmguard.core.units import Amount, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmguard.core.model import KernelPool, Pool, State, Usage, Vg
    from dmguard.core.settings import Settings

_LVM_METADATA_MARGIN = 4 << 20

NEAR = 10
"""Percentage points below a threshold from which growth is expected soon."""


def policy_for(pool: Pool, settings: Settings) -> Policy:
    """The policy in force: the pool's section, else its LVM profile, else the defaults.

    A profile is an operator's word on this very pool, so its percent is taken exactly: min_step
    does not enlarge it. LVM has no word for the rest, which stays as configured.
    """
    named = settings.overrides.get(pool.name)
    if named is not None:
        return named
    default = settings.policy
    if pool.profile is None or pool.profile.threshold >= 100:
        return default
    return Policy(
        data_threshold=max(50, pool.profile.threshold),
        metadata_threshold=_profile_metadata_threshold(pool),
        step=Amount(percent=float(pool.profile.percent)),
        min_step=0,
        headroom=default.headroom,
        max_size=default.max_size,
        vg_reserve=default.vg_reserve,
    )


def _profile_metadata_threshold(pool: Pool) -> int:
    # As LVM itself lowers it for small metadata, to keep 4 MiB free (lvm2,
    # lib/metadata/thin_manip.c, thin_pool_metadata_min_threshold).
    threshold = pool.profile.threshold if pool.profile else 100
    size = pool.lv.metadata_size
    margin = min(25, _LVM_METADATA_MARGIN * 100 // size) if size else 25
    return max(50, min(threshold, 100 - margin))


def low_water_for(size: int, chunk: int, threshold: int) -> int:
    """The low water mark in chunks that LVM loads for a threshold (lvm2, lib/thin/thin.c)."""
    return size // chunk * (100 - threshold) // 100


def is_behind(pool: Pool, resource: Resource) -> bool:
    """Does the kernel run less of it than LVM's metadata describes?"""
    if pool.kernel is None:
        return False
    if resource is Resource.DATA:
        return pool.kernel.size < pool.lv.size
    metadata = pool.kernel.metadata
    return metadata is not None and metadata.total < min(pool.lv.metadata_size, METADATA_CROPPED)


def with_metadata(pool: Pool, growth: int, free: int) -> int:
    """A growth of data, or as much of it as leaves room for the metadata that LVM grows with it."""
    size = pool.kernel.size if pool.kernel else pool.lv.size
    dragged = dragged_metadata(pool, size + growth)
    return max(0, min(growth, round_down(free - dragged, pool.vg.extent)))


def usage(kernel: KernelPool, resource: Resource) -> Usage | None:
    return kernel.data if resource is Resource.DATA else kernel.metadata


def is_above(used: Usage | None, threshold: int) -> bool:
    """Strictly above, as the kernel and dmeventd count it; an unknown usage is not above."""
    return used is not None and used.used * 100 > threshold * used.total


def is_growth_near(state: State, settings: Settings) -> bool:
    """Is any guarded pool within NEAR points of a threshold, or above it?"""
    for pool in state.pools:
        if pool.kernel is not None and settings.guards(pool.name):
            policy = policy_for(pool, settings)
            if is_above(pool.kernel.data, policy.data_threshold - NEAR) or is_above(
                pool.kernel.metadata, policy.metadata_threshold - NEAR
            ):
                return True
    return False


def is_at_mark(pool: Pool, settings: Settings) -> bool:
    """Does its data stand at the threshold, so that one chunk more is above it?

    The kernel raises its event before it allocates that chunk (drivers/md/dm-thin.c,
    alloc_data_block).
    """
    if pool.kernel is None or pool.kernel.data is None or not settings.guards(pool.name):
        return False
    used, threshold = pool.kernel.data, policy_for(pool, settings).data_threshold
    following = replace(used, used=used.used + pool.kernel.chunk)
    return not is_above(used, threshold) and is_above(following, threshold)


def at_max_size(pool: Pool, policy: Policy) -> bool:
    """May its data not grow by even one extent?"""
    if policy.max_size is None or pool.kernel is None:
        return False
    return policy.max_size - pool.kernel.size < pool.vg.extent


def data_want(pool: Pool, policy: Policy, rate: float | None, available: int) -> int:
    """Bytes by which the data should grow, in whole extents, before any limit.

    The step brings the pool back below its threshold in one go; headroom for the rate may ask
    for more, but for that never for more than half of what is available.
    """
    kernel = pool.kernel
    if kernel is None or kernel.data is None:
        return 0
    size, extent = kernel.size, pool.vg.extent
    back_below = -(-kernel.data.used * 100 // policy.data_threshold) - size
    step = round_up(max(policy.step.of(size), policy.min_step, back_below), extent)
    headroom = min(round_up(int((rate or 0.0) * policy.headroom), extent), available // 2)
    return max(step, round_down(headroom, extent))


def metadata_want(pool: Pool, policy: Policy) -> int:
    """Bytes by which the metadata should grow, in whole extents, up to the kernel's limit."""
    kernel = pool.kernel
    if kernel is None or kernel.metadata is None:
        return 0
    size, extent = pool.lv.metadata_size, pool.vg.extent
    back_below = -(-kernel.metadata.used * 100 // policy.metadata_threshold) - size
    step = policy.step.of(size) if policy.step.percent else 0
    want = round_up(max(step, back_below, extent), extent)
    return max(0, min(want, round_down(METADATA_MAX, extent) - size))


def metadata_cost(pool: Pool, growth: int) -> int:
    """Bytes that the VG gives for it: the growth, and what its spare must follow by.

    The spare must be at least as large as the largest metadata, for a repair (lvmthin(7)).
    """
    return growth + max(0, pool.lv.metadata_size + growth - (pool.vg.spare or 0))


def metadata_fit(pool: Pool, want: int, *, taken: int = 0) -> int:
    """How much of `want` fits into the VG together with its spare, in whole extents.

    `taken` bytes of what is free are promised already. Where not even one extent fits with the
    spare, the metadata itself comes first: a full one is worse than a short spare.
    """
    extent, free = pool.vg.extent, pool.vg.free - taken
    growth = round_down(min(want, free), extent)
    if growth > 0 and metadata_cost(pool, growth) > free:
        behind = pool.lv.metadata_size - (pool.vg.spare or 0)
        with_spare = round_down((free - behind) // 2, extent)
        growth = min(growth, with_spare) if with_spare >= extent else growth
    return max(0, growth)


def dragged_metadata(pool: Pool, size: int) -> int:
    """Bytes that LVM takes for metadata of its own accord when data grows to `size`.

    lvextend of data alone grows the metadata to 64 bytes a chunk, and the spare with it (lvm2,
    lib/metadata/lv_manip.c and thin_manip.c); without room for that it refuses the data as well,
    seen with 2.03.16: 2867 extents were free, and so many were refused for want of two.
    """
    estimate = round_up(size // pool.lv.chunk * 64, pool.vg.extent)
    growth = max(0, min(estimate, METADATA_MAX) - pool.lv.metadata_size)
    return metadata_cost(pool, growth) if growth else 0


def reserve_in(vg: Vg, state: State, settings: Settings) -> int:
    """Bytes of the VG that data does not take: the largest reserve among its guarded pools."""
    policies = (
        policy_for(pool, settings) for pool in state.pools_of(vg) if settings.guards(pool.name)
    )
    whole = max((policy.vg_reserve.of(vg.size) for policy in policies), default=0)
    return round_up(whole, vg.extent)


def share_out(wants: Sequence[int], available: int, extent: int) -> list[int]:
    """Give each what it wants, or what there is in proportion, in whole extents."""
    total = sum(wants)
    available = round_down(max(0, available), extent)
    if total <= available:
        return list(wants)
    shares = [round_down(want * available // total, extent) for want in wants]
    left = available - sum(shares)
    by_loss = sorted(range(len(wants)), key=lambda i: shares[i] - wants[i])
    for i in by_loss:
        extra = min(extent, left, wants[i] - shares[i])
        shares[i] += extra
        left -= extra
    return shares
