"""Would LVM itself let a pool grow, and do LVM and dmguard agree on how far?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import is_marked
from dmguard.core.findings import Finding
from dmguard.core.host import THIN_COMMAND
from dmguard.core.model import Profile
from dmguard.core.plan.activate import has_consumer
from dmguard.core.sizing import low_water_for, policy_for
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host, LvmConf
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

_OFF = 100


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    conf = host.lvm
    pools = [pool for pool in state.pools if settings.guards(pool.name)]
    if conf is None or not pools:
        return
    if host.dmeventd and conf.thin_command != THIN_COMMAND:
        yield Finding("other-extender", "lvm", f"dmeventd runs {conf.thin_command!r} for a pool")
    for pool in pools:
        if pool.vg.shared:
            continue
        yield from _of_profile(pool, state, settings, host, conf)
        yield from _of_ceiling(pool, settings, host, conf)
        yield from _of_monitoring(pool, settings, host, conf)
        yield from _of_mark(pool, settings, host, conf)


def lvm_policy(pool: Pool, conf: LvmConf) -> Profile:
    """By what LVM itself would let the pool grow: its profile, else lvm.conf."""
    return pool.profile or Profile(conf.threshold, conf.percent)


def grows_by_lvm(pool: Pool, conf: LvmConf) -> bool:
    """Would LVM itself let the pool grow, if dmeventd asks?"""
    policy = lvm_policy(pool, conf)
    return policy.threshold < _OFF and policy.percent > 0


def is_watched(pool: Pool, host: Host) -> bool:
    """Does dmeventd watch it, as far as is known?"""
    return host.dmeventd and host.monitored.get(pool.lv.uuid) is not False


def is_extended_by_lvm(pool: Pool, host: Host, conf: LvmConf) -> bool:
    """Does LVM itself let the pool grow when it fills?"""
    return lvm_policy(pool, conf).threshold < _OFF and is_watched(pool, host)


def is_limited(pool: Pool, settings: Settings) -> bool:
    """Has it a ceiling? LVM knows none, so that growing it is for dmguard alone."""
    return policy_for(pool, settings).max_size is not None


def _of_profile(
    pool: Pool, state: State, settings: Settings, host: Host, conf: LvmConf
) -> Iterator[Finding]:
    policy = lvm_policy(pool, conf)
    said = f"threshold {policy.threshold}, percent {policy.percent}"
    name = pool.lv.profile
    if name and name not in host.profiles:
        where = f"{conf.profile_dir}/{name}.profile"
        yield Finding("profile-lost", pool.name, f"{pool.name}: follows {where}: no such file")
    elif policy.threshold < _OFF and policy.percent <= 0:
        yield Finding("autoextend-half-set", pool.name, f"{pool.name}: {said}")
    elif host.agent_runs is False and not is_extended_by_lvm(pool, host, conf):
        # All that is in the way of LVM's own growing may be that it is not watched: one cause.
        if policy.threshold < _OFF and _is_unwatched(pool, settings, host, conf):
            return
        yield Finding(
            "autoextend-off",
            pool.name,
            f"{pool.name}: dmguard.service does not run, LVM has {said}"
            f" and dmeventd {'watches' if is_watched(pool, host) else 'does not watch'} it",
        )
    elif is_limited(pool, settings):
        return
    elif policy.threshold >= _OFF and _may_be_watched(host, conf) and has_consumer(pool, state):
        of = f"profile {name}" if name else "no profile"
        yield Finding("profile-missing", pool.name, f"{pool.name}: {of}, {said}")


def _of_ceiling(pool: Pool, settings: Settings, host: Host, conf: LvmConf) -> Iterator[Finding]:
    policy, most = lvm_policy(pool, conf), policy_for(pool, settings).max_size
    if most is not None and grows_by_lvm(pool, conf) and host.monitored.get(pool.lv.uuid):
        yield Finding(
            "ceiling-not-kept",
            pool.name,
            f"{pool.name}: max_size is {format_size(most)}, and dmeventd extends it above"
            f" {policy.threshold} %",
        )


def _of_monitoring(pool: Pool, settings: Settings, host: Host, conf: LvmConf) -> Iterator[Finding]:
    if _is_unwatched(pool, settings, host, conf):
        yield Finding("pool-not-monitored", pool.name, f"{pool.name}: LVM says: not monitored")


def _may_be_watched(host: Host, conf: LvmConf) -> bool:
    # With monitoring off in lvm.conf that is how the host is meant to be.
    return host.dmeventd and conf.monitoring


def _is_unwatched(pool: Pool, settings: Settings, host: Host, conf: LvmConf) -> bool:
    if pool.kernel is None or not _may_be_watched(host, conf):
        return False
    # Watched, it would be grown beyond its ceiling.
    if is_limited(pool, settings) and grows_by_lvm(pool, conf):
        return False
    return host.monitored.get(pool.lv.uuid) is False


def _of_mark(pool: Pool, settings: Settings, host: Host, conf: LvmConf) -> Iterator[Finding]:
    # While the agent runs the mark is its to keep.
    kernel, policy = pool.kernel, lvm_policy(pool, conf)
    if kernel is None or host.agent_runs is not False or policy.threshold >= _OFF:
        return
    marks = [
        low_water_for(kernel.size, kernel.chunk, threshold)
        for threshold in (max(50, policy.threshold), policy_for(pool, settings).data_threshold)
    ]
    if not any(is_marked(kernel, mark) for mark in marks):
        yield Finding(
            "mark-not-live",
            pool.name,
            f"{pool.name}: the live table has its low water mark at {kernel.low_water} chunks free,"
            f" and threshold {policy.threshold} means {marks[0]}",
        )
