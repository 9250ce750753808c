"""Those who keep their data in a pool: do they start behind it, and are they alone in it?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.consumers import containerd
from dmguard.core.findings import Finding
from dmguard.core.host import ACTIVATE, KUBELET_UNIT
from dmguard.core.model import split_dm_name
from dmguard.core.plan.repair import pool_of
from dmguard.core.sizing import policy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host, UnitFacts
    from dmguard.core.model import Consumer, Pool, State
    from dmguard.core.settings import Settings

KUBELET = "/var/lib/kubelet/config.yaml"
_GC = re.compile(r"^\s*imageGCHighThresholdPercent:\s*(\d+)", re.MULTILINE)
_EVICTION = re.compile(r"^\s*[\"']?imagefs\.available[\"']?:\s*[\"']?(\d+)%", re.MULTILINE)
_GC_DEFAULT, _EVICTION_DEFAULT = 85, 15


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    yield from _of_snapshotter(host)
    for consumer in state.consumers:
        name = split_dm_name(consumer.dm_name)
        if name is None or not settings.guards(name):
            continue
        yield from _of_order(consumer, settings, host)
        pool = pool_of(consumer, state)
        if pool is not None:
            yield from _of_company(consumer, pool)
            yield from _of_kubelet(pool, settings, host)


def _of_snapshotter(host: Host) -> Iterator[Finding]:
    path = containerd.CONTAINERD.path
    said = containerd.read(host.text(path) or "")
    # An imported file that names a pool comes before this one, and brings its own settings.
    if said is None or said.pool is None or host.imports:
        return
    if said.is_disabled:
        why = "disabled_plugins names devmapper"
    elif said.base_image_size is None:
        why = "base_image_size is not set"
    else:
        return
    yield Finding("snapshotter-unusable", path, f"{path}: {why}, and the pool is {said.pool}")


def unit_of(consumer: Consumer, settings: Settings) -> str | None:
    policy = settings.consumers.get(consumer.name)
    return policy.unit if policy else None


def is_ordered(unit: str, host: Host) -> bool | None:
    """Does a start of the unit start dmguard-activate.service first, by what systemd has loaded?"""
    facts = host.units.get(unit)
    if facts is None or not facts.is_there:
        return None
    return not _lacks(facts, host)


def _lacks(facts: UnitFacts, host: Host) -> list[str]:
    """What is missing for that."""
    lacks = [
        f"{word} lacks {ACTIVATE}"
        for word, units in (("After", facts.after), ("Wants", facts.pulls_in))
        if ACTIVATE not in units
    ]
    first = host.units.get(ACTIVATE)
    if first is not None and not first.is_there:
        lacks.append(f"{ACTIVATE} is {first.load}")
    return lacks


def _of_order(consumer: Consumer, settings: Settings, host: Host) -> Iterator[Finding]:
    unit = unit_of(consumer, settings)
    if unit is None or is_ordered(unit, host) is not False:
        return
    lacks = _lacks(host.units[unit], host)
    yield Finding("unit-not-ordered", unit, f"{unit}: {', '.join(lacks)}")


def _of_company(consumer: Consumer, pool: Pool) -> Iterator[Finding]:
    if pool.lv.thin_count > 0:
        yield Finding(
            "thin-volumes-beside",
            pool.name,
            f"{pool.name}: LVM has {pool.lv.thin_count} thin volumes of its own in the pool of"
            f" {consumer.name}",
        )


def _of_kubelet(pool: Pool, settings: Settings, host: Host) -> Iterator[Finding]:
    text = host.text(KUBELET)
    # A kubelet that was removed leaves its file behind.
    if text is None or not host.has("kubelet", KUBELET_UNIT):
        return
    threshold = policy_for(pool, settings).data_threshold
    collects = _number(_GC, text, _GC_DEFAULT)
    evicts = 100 - _number(_EVICTION, text, _EVICTION_DEFAULT)
    if threshold >= min(collects, evicts):
        yield Finding(
            "kubelet-first",
            pool.name,
            f"{pool.name}: grows above {threshold} %; kubelet removes images above {collects} % and"
            f" evicts pods above {evicts} %",
        )


def _number(pattern: re.Pattern[str], text: str, default: int) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else default
