"""What cures a finding around the pools, where that is safe and takes nothing away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import AttachProfile, ClearSkip, EditFile, Monitor
from dmguard.core.consumers.options import storage_options
from dmguard.core.findings.host import find_around
from dmguard.core.findings.host.docker import pool_at
from dmguard.core.findings.host.room import metadata_estimate
from dmguard.core.lvmprofile import extends, profile_name, with_settings
from dmguard.core.model import Profile, Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.plan.grow import make_extend
from dmguard.core.plan.keep import make_refresh
from dmguard.core.sizing import metadata_cost, metadata_fit, policy_for
from dmguard.core.steps.kinds import digest
from dmguard.core.units import round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dmguard.core.actions import Action, Extend, Refresh
    from dmguard.core.findings import Finding
    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

_PERCENT = 20


def plan_cures(state: State, settings: Settings) -> Iterator[Action]:
    """One for each finding that has one, with the finding's code as its reason."""
    host = state.host
    if host is None:
        return
    for finding in find_around(state, settings):
        pool = state.pool(finding.subject)
        of_pool, of_file = _OF_POOL.get(finding.code), _OF_FILE.get(finding.code)
        action: Action | None = None
        if of_pool is not None and pool is not None and obstacle(pool, state) is None:
            action = of_pool(pool, finding, settings, host)
        elif of_file is not None:
            action = of_file(finding, state, host)
        if action is not None:
            yield action


def _attach(pool: Pool, finding: Finding, settings: Settings, host: Host) -> AttachProfile | None:
    conf = host.lvm
    if conf is None:
        return None
    # A pool's own profile is kept, and what it has beside; so is one of the usual name.
    name = pool.lv.profile or profile_name(pool.lv)
    old = host.profiles.get(name)
    text = (
        old
        if old is not None and extends(old)
        else with_settings(old or "", _wanted(pool, settings))
    )
    return AttachProfile(
        vg=pool.vg.name,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        profile=name,
        path=f"{conf.profile_dir}/{name}.profile",
        text=text,
        was="" if old is None else digest(old),
        reason=finding.code,
    )


def _wanted(pool: Pool, settings: Settings) -> Profile:
    """What dmguard itself does: then one crossing is one step, whoever is first."""
    policy = policy_for(pool, settings)
    percent = policy.step.percent or _PERCENT
    return Profile(policy.data_threshold, max(1, round(percent)))


def _attach_if_off(
    pool: Pool, finding: Finding, settings: Settings, host: Host
) -> AttachProfile | None:
    policy = pool.profile or (Profile(host.lvm.threshold, host.lvm.percent) if host.lvm else None)
    off = policy is not None and policy.threshold >= 100
    return _attach(pool, finding, settings, host) if off else None


def _monitor(pool: Pool, finding: Finding, settings: Settings, host: Host) -> Monitor:
    del settings, host
    return Monitor(pool.vg.name, pool.lv.name, pool.lv.uuid, reason=finding.code)


def _clear_skip(pool: Pool, finding: Finding, settings: Settings, host: Host) -> ClearSkip:
    del settings, host
    return ClearSkip(pool.vg.name, pool.lv.name, pool.lv.uuid, reason=finding.code)


def _refresh(pool: Pool, finding: Finding, settings: Settings, host: Host) -> Refresh | None:
    del host
    if pool.kernel is None:
        return None
    return make_refresh(pool, pool.kernel, settings, finding.code)


def _grow_metadata(pool: Pool, finding: Finding, settings: Settings, host: Host) -> Extend | None:
    del host
    want = round_up(metadata_estimate(pool) - pool.lv.metadata_size, pool.vg.extent)
    growth = metadata_fit(pool, want)
    if pool.kernel is None or growth <= 0:
        return None
    return make_extend(
        pool, policy_for(pool, settings), Resource.METADATA, growth, reason=finding.code
    )


def _grow_spare(pool: Pool, finding: Finding, settings: Settings, host: Host) -> Extend | None:
    # LVM has no word for the spare alone: it makes one, or grows it, with the metadata.
    del host
    extent = pool.vg.extent
    if pool.kernel is None or metadata_cost(pool, extent) > pool.vg.free:
        return None
    return make_extend(
        pool, policy_for(pool, settings), Resource.METADATA, extent, reason=finding.code
    )


def _name_by_mapper(finding: Finding, state: State, host: Host) -> EditFile | None:
    old = _option(finding, host, "thinpooldev")
    pool = pool_at(old, state)
    if pool is None:
        return None
    return _replace(finding, host, f"thinpooldev={old}", f"thinpooldev=/dev/mapper/{pool.dm_name}")


def _add_percent(finding: Finding, state: State, host: Host) -> EditFile | None:
    del state
    number = _option(finding, host, "min_free_space")
    if not number.isdigit() or int(number) >= 100:
        return None
    return _replace(finding, host, f"min_free_space={number}", f"min_free_space={number}%")


def _option(finding: Finding, host: Host, name: str) -> str:
    return storage_options(host.text(finding.subject) or "").dm.get(name, "")


def _replace(finding: Finding, host: Host, old: str, new: str) -> EditFile | None:
    """The one place of the file that says `old`; none if there are more, or it is spelled
    otherwise.
    """
    text = host.text(finding.subject)
    ends = [f"{old}{end}" for end in ('"', "'", " ", "\n")]
    places = sum(text.count(end) for end in ends) if text is not None else 0
    if text is None or places != 1:
        return None
    found = next(end for end in ends if end in text)
    return EditFile(
        path=finding.subject,
        text=text.replace(found, f"{new}{found[-1]}"),
        was=digest(text),
        backup=f"{finding.subject}.before-dmguard",
        reason=finding.code,
    )


_OF_POOL: Mapping[str, Callable[[Pool, Finding, Settings, Host], Action | None]] = {
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
_OF_FILE: Mapping[str, Callable[[Finding, State, Host], EditFile | None]] = {
    "pool-named-by-path": _name_by_mapper,
    "min-free-invalid": _add_percent,
}
