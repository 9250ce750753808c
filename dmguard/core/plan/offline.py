"""`dmguard recover --offline`: pools that come back only with their consumers stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Act, RepairPool
from dmguard.core.model import Mode
from dmguard.core.obstacle import obstacle
from dmguard.core.plan import Refusal, RefusedError, refuse
from dmguard.core.plan.consumer import units_of
from dmguard.core.sizing import is_above, metadata_fit, metadata_want, policy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.goals import Recover
    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.plan import Past
    from dmguard.core.settings import Settings

COPIES = "/var/lib/dmguard/metadata"
"""The folder of what pools had for metadata before they were repaired."""

_WHILE_UP = frozenset(("pool-needs-check", "pool-read-only", "out-of-metadata", "pool-failed"))


def plan_offline(
    state: State, settings: Settings, past: Past, goal: Recover
) -> tuple[tuple[RepairPool, ...], tuple[Refusal, ...]]:
    """The pools that need it, and what stands in the way of others that do.

    The host's files must have been read, too.
    """
    actions: list[RepairPool] = []
    refusals: list[Refusal] = []
    for pool, code in _ill(state, settings, past, goal):
        try:
            actions.append(_make(pool, code, state, settings, goal))
        except RefusedError as error:
            refusals.append(error.refusal)
    return tuple(actions), tuple(refusals)


def _ill(state: State, settings: Settings, past: Past, goal: Recover) -> Iterator[tuple[Pool, str]]:
    """The pools that are meant, with the code of what is wrong with each."""
    for pool in state.pools:
        if pool.name not in goal.pools if goal.pools else not settings.guards(pool.name):
            continue
        code = obstacle(pool, state)
        if code == "pool-inactive" and past.refused.get(pool.name) == "thin-check-failed":
            # LVM was asked for it, and that is what it said.
            yield pool, "thin-check-failed"
        elif code in _WHILE_UP and (pool.kernel is None or pool.kernel.mode is not Mode.ERROR):
            yield pool, code


def _make(pool: Pool, code: str, state: State, settings: Settings, goal: Recover) -> RepairPool:
    """RefusedError if it would come to nothing, or could not be taken back."""
    host = state.host
    if host is None or host.lvm is None:
        raise RefusedError(_refuse(pool, "lvm-unreadable", "lvmconfig"))
    if host.lvm.thin_check_missing or not host.lvm.thin_check:
        raise RefusedError(_refuse(pool, "thin-check-missing", host.lvm.thin_check or "off"))
    if "thin_repair" not in host.programs:
        raise RefusedError(_refuse(pool, "thin-check-missing", "thin_repair"))
    volumes = host.volumes.get(pool.lv.uuid)
    if volumes is None:
        raise RefusedError(_refuse(pool, "lvm-unreadable", "lvs"))
    policy = policy_for(pool, settings)
    target = 0
    if pool.kernel is not None and is_above(pool.kernel.metadata, policy.metadata_threshold):
        growth = metadata_fit(pool, metadata_want(pool, policy))
        target = pool.lv.metadata_size + growth if growth else 0
    if code == "out-of-metadata" and not target:
        raise RefusedError(_refuse(pool, "vg-dry", "for its metadata"))
    units = _units(pool, state, host, settings)
    return RepairPool(
        vg=pool.vg.name,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        size=pool.lv.size,
        metadata_size=pool.lv.metadata_size,
        metadata_target=target,
        units=units,
        starts=tuple(unit for unit in units if host.is_up_or_coming(unit)),
        volumes=volumes.active,
        components=pool.lv.active_components,
        up=pool.kernel is not None,
        skip=pool.lv.skips_activation,
        monitor=state.dmeventd,
        threshold=policy.data_threshold,
        copy=f"{COPIES}/{pool.dm_name}-{goal.offline}.img",
        reason=code,
    )


def _refuse(pool: Pool, code: str, detail: str) -> Refusal:
    return refuse(pool.name, code, Act.REPAIR_POOL, detail)


def _units(pool: Pool, state: State, host: Host, settings: Settings) -> tuple[str, ...]:
    """Those of its consumers, each with its socket first."""
    names = (consumer.name for consumer in state.consumers if consumer.dm_name == pool.dm_name)
    known = (name for name in names if name in settings.consumers)
    units = (unit for name in known for unit in units_of(name, host, settings.consumers[name].unit))
    return tuple(dict.fromkeys(units))
