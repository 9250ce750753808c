"""What came back is taken back: PVs that returned, and consumers that failed without their pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.actions import RestorePv, StartUnit, is_stale
from dmguard.core.obstacle import guarded_vgs, vg_obstacle
from dmguard.core.plan.keep import make_refresh
from dmguard.core.settings import OnRecovered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.actions import Refresh
    from dmguard.core.model import Consumer, KernelPool, Pool, State, Vg
    from dmguard.core.settings import ConsumerPolicy, Settings


def plan_returned(state: State, settings: Settings) -> Iterator[RestorePv]:
    """PVs whose device is back and that LVM still counts as missing.

    Only when all of them are back, so that nothing is changed while one is away, and not in a VG
    with mirrors or RAID, whose legs have to be brought into step first.
    """
    for vg in guarded_vgs(state, settings):
        if vg.mirrored or not vg.missing:
            continue
        if any(pv.devno is None for pv in vg.missing) or _otherwise_blocked(vg, state):
            continue
        for pv in vg.missing:
            yield RestorePv(vg.name, vg.uuid, pv.name, pv.uuid, size=pv.size)


def _otherwise_blocked(vg: Vg, state: State) -> bool:
    # Its missing PVs aside: of several obstacles only the first is told.
    rest = tuple(pv for pv in vg.pvs if not pv.missing)
    return vg_obstacle(replace(vg, pvs=rest), state) is not None


def plan_stale(state: State, settings: Settings) -> Iterator[Refresh]:
    """Pools whose live table points at devices that are gone.

    Done also for a pool that is read-only or must be checked: it loads the same table with the
    devices' new numbers and leaves the pool's mode alone.
    """
    for pool in state.pools:
        kernel = pool.kernel
        if kernel is None or not settings.guards(pool.name) or not is_stale(pool):
            continue
        if vg_obstacle(pool.vg, state) is not None or kernel.suspended:
            continue
        yield make_refresh(pool, kernel, settings, "stale-table")


@dataclass(frozen=True, slots=True)
class Home:
    """The pool that a consumer keeps its data in, LVM's or a raw one; `kernel` None when down."""

    name: str
    vg: str
    kernel: KernelPool | None
    guarded: bool


def home_of(consumer: Consumer, state: State, settings: Settings) -> Home | None:
    """None if it is none that dmguard knows of."""
    pool = pool_of(consumer, state)
    if pool is not None:
        guarded = settings.guards(pool.name)
        return Home(pool.name, pool.lv.vg, pool.kernel, guarded)
    raw = next((raw for raw in state.raws if raw.rule.name == consumer.dm_name), None)
    if raw is None:
        return None
    return Home(raw.rule.name, "", raw.pool.kernel if raw.pool else None, guarded=True)


def pool_of(consumer: Consumer, state: State) -> Pool | None:
    return next((pool for pool in state.pools if pool.dm_name == consumer.dm_name), None)


def plan_units(state: State, settings: Settings) -> Iterator[StartUnit]:
    """Consumers that failed, or run without their pool, and whose pool is up by now."""
    for consumer in state.consumers:
        policy = settings.consumers.get(consumer.name)
        home = home_of(consumer, state, settings)
        if policy is None or home is None or consumer.unit is None:
            continue
        if policy.on_recovered is OnRecovered.NONE or not is_usable(home):
            continue
        if is_down(consumer, home):
            unit = consumer.unit
            yield StartUnit(
                consumer=consumer.name,
                unit=unit.name,
                restart=_restarts(consumer, policy),
                vg=home.vg,
                pool=home.name,
                entered=unit.entered,
            )


def is_usable(home: Home) -> bool:
    """Is the pool up and writable, so that a start can succeed?"""
    kernel = home.kernel
    return (
        kernel is not None
        and home.guarded
        and kernel.mode == "rw"
        and not kernel.needs_check
        and not kernel.suspended
    )


def is_down(consumer: Consumer, home: Home) -> bool:
    """Did its last start begin before the pool was there, and come to nothing?

    What was started, or became active, after the pool had appeared failed for another reason and
    is not dmguard's.
    """
    unit, kernel = consumer.unit, home.kernel
    if unit is None or unit.has_job or kernel is None or kernel.appeared is None:
        return False
    if unit.state == "failed":
        return 0 < unit.tried <= kernel.appeared and unit.entered <= unit.tried
    return unit.state == "active" and consumer.broken is True


def _restarts(consumer: Consumer, policy: ConsumerPolicy) -> bool:
    running = consumer.unit is not None and consumer.unit.state == "active"
    return running or policy.on_recovered is OnRecovered.RESTART
