"""What cures a finding around the pools, where that is safe and takes nothing away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import ClearSkip, EditFile, Monitor
from dmguard.core.consumers import DAEMONS, daemonjson
from dmguard.core.consumers.daemon import pool_name
from dmguard.core.consumers.daemonjson import Wanted
from dmguard.core.consumers.edit import EditError
from dmguard.core.consumers.flags import Flags
from dmguard.core.findings.host import find_around
from dmguard.core.findings.host.docker import DEVICE, MIN_FREE, configured, pool_at
from dmguard.core.findings.host.growth import is_limited, lvm_policy
from dmguard.core.findings.host.room import metadata_estimate
from dmguard.core.host import Host
from dmguard.core.model import METADATA_MAX, Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.plan.grow import make_extend
from dmguard.core.plan.keep import make_refresh
from dmguard.core.plan.profile import choose_profile, make_attachment, profile_for
from dmguard.core.sizing import metadata_cost, metadata_fit, policy_for
from dmguard.core.steps.kinds import digest
from dmguard.core.units import parse_count, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dmguard.core.actions import Action, AttachProfile, Extend, Refresh
    from dmguard.core.findings import Finding
    from dmguard.core.findings.host.docker import Configured
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings


def plan_cures(state: State, settings: Settings) -> Iterator[Action]:
    """One for each finding that has one, with the finding's code as its reason."""
    host = state.host
    if host is None:
        return
    for finding in find_around(state, settings):
        pool = state.pool(finding.subject)
        of_pool = _OF_POOL.get(finding.code)
        action: Action | None = None
        if of_pool is not None and pool is not None and obstacle(pool, state) is None:
            action = of_pool(pool, finding, settings, state)
        elif finding.code in _OF_FILE:
            action = _edit(finding, state, host)
        if action is not None:
            yield action


def _attach(pool: Pool, finding: Finding, settings: Settings, state: State) -> AttachProfile | None:
    # A profile would let dmeventd grow it beyond its ceiling.
    if is_limited(pool, settings):
        return None
    wanted = profile_for(pool, settings)
    profile = choose_profile(pool.name, state, wanted.threshold, wanted.percent)
    return replace(make_attachment(pool, profile), reason=finding.code)


def _attach_if_off(
    pool: Pool, finding: Finding, settings: Settings, state: State
) -> AttachProfile | None:
    host = state.host or Host()
    # Without dmeventd nobody would act by it.
    off = host.dmeventd and host.lvm is not None and lvm_policy(pool, host.lvm).threshold >= 100
    return _attach(pool, finding, settings, state) if off else None


def _monitor(pool: Pool, finding: Finding, settings: Settings, state: State) -> Monitor:
    del settings, state
    return Monitor(pool.vg.name, pool.lv.name, pool.lv.uuid, reason=finding.code)


def _clear_skip(pool: Pool, finding: Finding, settings: Settings, state: State) -> ClearSkip:
    del settings, state
    return ClearSkip(pool.vg.name, pool.lv.name, pool.lv.uuid, reason=finding.code)


def _refresh(pool: Pool, finding: Finding, settings: Settings, state: State) -> Refresh | None:
    del state
    if pool.kernel is None:
        return None
    return make_refresh(pool, pool.kernel, settings, finding.code)


def _grow_metadata(pool: Pool, finding: Finding, settings: Settings, state: State) -> Extend | None:
    del state
    want = round_up(metadata_estimate(pool) - pool.lv.metadata_size, pool.vg.extent)
    growth = metadata_fit(pool, want)
    if pool.kernel is None or growth <= 0:
        return None
    return make_extend(
        pool, policy_for(pool, settings), Resource.METADATA, growth, reason=finding.code
    )


def _grow_spare(pool: Pool, finding: Finding, settings: Settings, state: State) -> Extend | None:
    # LVM has no word for the spare alone: it makes one, or grows it, with the metadata.
    del state
    extent = pool.vg.extent
    if pool.lv.metadata_size + extent > METADATA_MAX:
        return None
    if pool.kernel is None or metadata_cost(pool, extent) > pool.vg.free:
        return None
    return make_extend(
        pool, policy_for(pool, settings), Resource.METADATA, extent, reason=finding.code
    )


def _name_by_mapper(its: Configured, state: State) -> Wanted | None:
    pool = pool_at(its.option(DEVICE), state)
    if pool is None:
        return None
    return Wanted(pool.dm_name, deferred=DAEMONS[its.name].deferred)


def _add_percent(its: Configured, state: State) -> Wanted | None:
    del state
    number, pool = parse_count(its.option(MIN_FREE)), pool_name(its.option(DEVICE))
    if pool is None or number is None or number >= 100:
        return None
    return Wanted(pool, number, deferred=DAEMONS[its.name].deferred)


def _edit(finding: Finding, state: State, host: Host) -> EditFile | None:
    """The file with what its daemon can work with; None if that is not said there, or cannot be
    told for certain.
    """
    its = next((its for its in configured(host) if its.path == finding.subject), None)
    text = host.text(finding.subject)
    want = _OF_FILE[finding.code]
    wanted = want(its, state) if its is not None else None
    if text is None or its is None or wanted is None or host.flags.get(its.name, Flags()).conflicts:
        return None
    try:
        edit = daemonjson.configure(text, wanted)
    except EditError:
        return None
    return EditFile(
        path=finding.subject,
        text=edit.text,
        was=digest(text),
        backup=f"{finding.subject}.before-dmguard",
        reason=finding.code,
    )


_OF_POOL: Mapping[str, Callable[[Pool, Finding, Settings, State], Action | None]] = {
    "profile-missing": _attach,
    "profile-lost": _attach,
    "autoextend-half-set": _attach,
    "autoextend-off": _attach_if_off,
    "pool-not-monitored": _monitor,
    "mark-not-live": _refresh,
    "metadata-small": _grow_metadata,
    "spare-short": _grow_spare,
    "activation-skipped": _clear_skip,
}
_OF_FILE: Mapping[str, Callable[[Configured, State], Wanted | None]] = {
    "pool-named-by-path": _name_by_mapper,
    "min-free-invalid": _add_percent,
}
