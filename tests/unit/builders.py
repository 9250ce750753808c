"""Small hosts for the tests: sizes in MiB, use in percent, and nothing wrong unless one says so."""

from dataclasses import replace

from dmguard.core.actions import Extend, Refresh
from dmguard.core.model import (
    KernelPool,
    Mode,
    Pool,
    PoolLv,
    Profile,
    Pv,
    Resource,
    State,
    Usage,
    Vg,
)
from dmguard.core.settings import Policy, Settings
from dmguard.core.sizing import low_water_for
from dmguard.core.units import Amount

MIB = 1 << 20
GIB = 1 << 30
CHUNK = 64 << 10
EXTENT = 4 * MIB

PLAIN = Policy(min_step=0, headroom=0.0, vg_reserve=Amount(size=0))
"""A policy of the step and the thresholds alone, so that a number in a test is easy to follow."""


def make_pv(free: int, *, size: int = 100_000, name: str = "a", missing: bool = False) -> Pv:
    """One PV; sizes in MiB."""
    return Pv(f"/dev/{name}", f"pv-{name}", size * MIB, free * MIB, not missing, missing)


def make_vg(free: int = 10_000, *, size: int = 100_000, name: str = "vg", uuid: str = "") -> Vg:
    """A VG of one PV, without pools; sizes in MiB."""
    pv = make_pv(free, size=size)
    return Vg(name, uuid or f"uuid-{name}", 1, size * MIB, EXTENT, (pv,), (), spare=100 * MIB)


def make_kernel(pool: PoolLv, data: float = 50, metadata: float = 10) -> KernelPool:
    """What the kernel shows of a healthy pool; use in percent."""
    return KernelPool(
        dm_name=f"{pool.vg}-{pool.name}",
        vg_uuid=f"uuid-{pool.vg}",
        lv_uuid=pool.uuid,
        devno=(253, 4),
        event_nr=0,
        size=pool.size,
        chunk=CHUNK,
        low_water=low_water_for(pool.size, CHUNK, 75),
        mode=Mode.RW,
        needs_check=False,
        errors_when_full=False,
        transaction_id=1,
        data=Usage(int(pool.size * data / 100), pool.size),
        metadata=Usage(int(pool.metadata_size * metadata / 100), pool.metadata_size),
    )


def make_pool(
    data: float = 50,
    metadata: float = 10,
    *,
    vg: Vg | None = None,
    name: str = "pool",
    size: int = 10_000,
    metadata_size: int = 100,
) -> Pool:
    """A healthy, active pool; sizes in MiB, use in percent."""
    vg = vg or make_vg()
    lv = PoolLv(
        vg.name, name, f"uuid-{vg.name}-{name}", size * MIB, metadata_size * MIB, CHUNK, active=True
    )
    return Pool(lv, vg, make_kernel(lv, data, metadata))


def in_kernel(pool: Pool, **changes: object) -> Pool:
    """The pool, with something else in the kernel's view."""
    assert pool.kernel is not None
    return replace(pool, kernel=replace(pool.kernel, **changes))  # type: ignore[arg-type]


def in_vg(pool: Pool, **changes: object) -> Pool:
    """The pool, with something else about its VG."""
    return replace(pool, vg=replace(pool.vg, **changes))  # type: ignore[arg-type]


def with_profile(pool: Pool, threshold: int, percent: int = 20) -> Pool:
    return replace(pool, profile=Profile(threshold, percent))


def make_state(*pools: Pool, unknown: tuple[KernelPool, ...] = ()) -> State:
    """A host of these pools and of their VGs."""
    vgs = {pool.vg.uuid: pool.vg for pool in pools}
    return State(tuple(vgs.values()), pools, unknown)


def make_settings(policy: Policy = PLAIN, **overrides: Policy) -> Settings:
    """Settings of one policy; `vg__lv=` gives a pool its own."""
    named = {name.replace("__", "/"): own for name, own in overrides.items()}
    return Settings(policy=policy, overrides=named)


def make_extend(
    resource: Resource = Resource.DATA, size: int = 10_000, target: int = 12_000
) -> Extend:
    """The growth of vg/pool; sizes in MiB."""
    return Extend(
        vg="vg",
        lv="pool",
        lv_uuid="uuid-vg-pool",
        resource=resource,
        size=size * MIB,
        target=target * MIB,
        used=8_000 * MIB,
        free=10_000 * MIB,
        threshold=75,
        reason="above-threshold",
    )


def make_refresh(reason: str = "low-water") -> Refresh:
    size = 10_000 * MIB
    return Refresh("vg", "pool", "uuid-vg-pool", size, low_water_for(size, CHUNK, 75), 75, reason)
