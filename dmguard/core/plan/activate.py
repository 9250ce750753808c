"""Guarded pools come up: at boot, late when a disk was late, and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Activate
from dmguard.core.model import split_dm_name
from dmguard.core.obstacle import obstacle
from dmguard.core.plan.keep import plan_refresh
from dmguard.core.sizing import policy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.actions import Refresh
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings


def plan_all(
    state: State, settings: Settings, pools: tuple[str, ...], *, needed: bool = False
) -> tuple[Activate, ...]:
    """Every pool that should be up and is not; those in `pools` are asked for by name.

    `needed`: only those that a consumer has, or that this boot waited for in vain. Any other that
    is down by now may have been taken down to be repaired.
    """
    return tuple(
        _make(pool, state, settings, auto=not (pools or _is_asked_for(pool, state, settings)))
        for pool in state.pools
        if is_inactive(pool, state) and is_meant(pool, state, settings, pools, needed=needed)
    )


def plan_marks(state: State, settings: Settings, *, needed: bool) -> tuple[Refresh, ...]:
    """New tables for those that are up without their mark: LVM brought them up by itself.

    While a pool's table is loaded anew it is suspended, and the kernel refuses to make a device in
    it (Linux, drivers/md/dm-thin.c, thin_ctr). Its consumers are not started yet; a minute later
    one of them would fail for it.
    """
    meant = {
        pool.name for pool in state.pools if is_meant(pool, state, settings, (), needed=needed)
    }
    return tuple(
        action for action in plan_refresh(state, settings, leave=()) if action.pool in meant
    )


def is_meant(
    pool: Pool, state: State, settings: Settings, pools: tuple[str, ...], *, needed: bool
) -> bool:
    """Is this pool one of those that plan_all is for?"""
    if pools:
        return pool.name in pools
    if needed and not (has_consumer(pool, state) or is_late(pool, state)):
        return False
    return is_wanted(pool, state, settings)


def plan_late(state: State, settings: Settings) -> Iterator[Activate]:
    """The agent's part: pools that this boot waited for in vain.

    Any other that is down was taken down by someone, perhaps to be repaired.
    """
    for pool in state.pools:
        if is_inactive(pool, state) and is_late(pool, state) and settings.guards(pool.name):
            auto = not _is_asked_for(pool, state, settings)
            yield _make(pool, state, settings, auto=auto)


def is_late(pool: Pool, state: State) -> bool:
    return bool({pool.name, pool.dm_name} & state.late)


def is_inactive(pool: Pool, state: State) -> bool:
    """Is it down, with nothing that forbids to bring it up?"""
    return obstacle(pool, state) == "pool-inactive"


def is_wanted(pool: Pool, state: State, settings: Settings) -> bool:
    """Is it for dmguard to bring this pool up?

    LVM may have been told not to activate a volume by itself because someone else does, such as a
    cluster that runs it on one host at a time. dmguard overrides that only for a pool that the
    configuration names, or that a program of this host keeps its data in.
    """
    if not settings.guards(pool.name):
        return False
    by_itself = pool.lv.autoactivates and not pool.lv.skips_activation
    return by_itself or _is_asked_for(pool, state, settings)


def _is_asked_for(pool: Pool, state: State, settings: Settings) -> bool:
    return settings.names(pool.name) or has_consumer(pool, state)


def has_consumer(pool: Pool, state: State) -> bool:
    return any(consumer.dm_name == pool.dm_name for consumer in state.consumers)


def missing_pools(state: State, settings: Settings, pools: tuple[str, ...]) -> tuple[str, ...]:
    """Names of pools that are waited for and are not there at all: their disks are late.

    Of a VG whose disks are all away LVM knows nothing. Its pools are known by the names that were
    asked for, that the configuration gives in full, and that consumers have.
    """
    present = {pool.name for pool in state.pools}
    if pools:
        raws = {rule.name for rule in settings.raws}
        return tuple(name for name in pools if name not in present | raws)
    named = {glob for glob in settings.pools if not set(glob) & set("*?[")}
    consumed = {
        split_dm_name(consumer.dm_name)
        for consumer in state.consumers
        if settings.raw(consumer.dm_name) is None
    }
    guarded = {name for name in consumed if name and settings.guards(name)}
    return tuple(sorted((named | guarded) - present))


def _make(pool: Pool, state: State, settings: Settings, *, auto: bool) -> Activate:
    guarded = settings.guards(pool.name)
    threshold = policy_for(pool, settings).data_threshold if guarded else None
    return make_activation(pool, state, auto=auto, threshold=threshold)


def make_activation(
    pool: Pool, state: State, *, auto: bool, threshold: int | None = None
) -> Activate:
    """Bring a pool up; `auto`: only if LVM would do it by itself."""
    return Activate(
        vg=pool.lv.vg,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        size=pool.lv.size,
        components=pool.lv.active_components,
        skip=pool.lv.skips_activation,
        monitor=state.dmeventd,
        auto=auto,
        threshold=threshold,
    )
