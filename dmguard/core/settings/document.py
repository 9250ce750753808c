"""A document of plain values → settings, and back; or an error that names the key and what was
meant. Reading the files is edge/config.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dmguard.core.settings.parsers import DM_NAME, unknown
from dmguard.core.settings.table import SETTINGS
from dmguard.core.settings.values import (
    CONSUMERS,
    ClaimRule,
    ConsumerPolicy,
    Policy,
    RawRule,
    Settings,
)
from dmguard.core.units import format_duration, format_exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class SettingsError(ValueError):
    """A key or value that is not accepted; the text names it and says what was meant."""


LISTED = ("claim", "raw_pool")
"""The sections that may be given several times, as [[claim]]."""

LOOP = "loop:"
"""Before the name of a pool on loop devices."""

_BY_KEY = {row.key: row for row in SETTINGS}


def parse_settings(document: Mapping[str, object]) -> Settings:
    """A merged TOML document → settings; SettingsError for the first thing not accepted."""
    known = ("guard", "policy", "pool", "activate", "claim", "consumer", "raw_pool")
    for section, content in document.items():
        if section not in known:
            raise SettingsError(unknown(section, known, "section"))
        if section in LISTED:
            if not isinstance(content, list):
                raise SettingsError(f"{section}: expected a list of tables, each as [[{section}]]")
        elif not isinstance(content, dict):
            raise SettingsError(f"{section}: expected a section, as [{section}]")
    guard = _parse_section("guard", document.get("guard", {}), "guard")
    policy = replace(Policy(), **_parse_section("policy", document.get("policy", {}), "policy"))
    activate = _parse_section("activate", document.get("activate", {}), "activate")
    return Settings(
        **guard,
        policy=policy,
        overrides=_overrides(document, policy),
        activate_timeout=activate.get("timeout", Settings().activate_timeout),
        claims=_claims(document),
        consumers=_consumers(document),
        loops=_loops(document, policy),
        raws=_raws(document),
    )


def _claims(document: Mapping[str, object]) -> tuple[ClaimRule, ...]:
    sections = _listed(document, "claim", ("vg", "match"))
    return tuple(ClaimRule(**parsed) for parsed in sections)


def _raws(document: Mapping[str, object]) -> tuple[RawRule, ...]:
    sections = _listed(document, "raw_pool", ("name", "data", "metadata"))
    rules = tuple(RawRule(**parsed) for parsed in sections)
    taken: set[str] = set()
    for number, rule in enumerate(rules, 1):
        for value in (rule.name, rule.data, rule.metadata):
            if value in taken:
                raise SettingsError(f"raw_pool {number}: {value} is given twice")
            taken.add(value)
        if rule.max_size is not None and rule.data.startswith("/dev/"):
            raise SettingsError(f"raw_pool {number}.max_size: {rule.data} is no file that can grow")
    return rules


def _listed(
    document: Mapping[str, object], section: str, needed: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Each of the tables of a list, parsed."""
    contents: Any = document.get(section, [])
    for number, content in enumerate(contents, 1):
        where = f"{section} {number}"
        if not isinstance(content, dict):
            raise SettingsError(f"{where}: expected a table, as [[{section}]]")
        parsed = _parse_section(section, content, where)
        for name in needed:
            if name not in parsed:
                raise SettingsError(f"{where}: {name} is missing")
        yield parsed


def _consumers(document: Mapping[str, object]) -> dict[str, ConsumerPolicy]:
    sections: Any = document.get("consumer", {})
    found = dict(CONSUMERS)
    for name, content in sections.items():
        if name not in CONSUMERS:
            raise SettingsError(unknown(name, tuple(CONSUMERS), "consumer"))
        if not isinstance(content, dict):
            raise SettingsError(f"consumer.{name}: expected a section, as [consumer.{name}]")
        parsed = _parse_section("consumer", content, f"consumer.{name}")
        found[name] = replace(found[name], **parsed)
    return found


def _overrides(document: Mapping[str, object], policy: Policy) -> dict[str, Policy]:
    found = {}
    for name, content in _pools(document):
        where = f'pool."{name}"'
        if name.startswith(LOOP):
            continue
        if not re.fullmatch(r"[\w+.-]+/[\w+.-]+", name, re.ASCII):
            raise SettingsError(f'{where}: one pool, as [pool."vg/lv"]; globs are not taken here')
        found[name] = replace(policy, **_parse_section("policy", content, where))
    return found


def _loops(document: Mapping[str, object], policy: Policy) -> dict[str, Policy]:
    """Pools on loop devices. The general max_size is none of theirs: it would let them grow."""
    found = {}
    for name, content in _pools(document):
        where = f'pool."{name}"'
        if not name.startswith(LOOP):
            continue
        if not re.fullmatch(LOOP + DM_NAME, name, re.ASCII):
            raise SettingsError(f'{where}: expected [pool."loop:docker"] or [pool."loop:NAME"]')
        if "vg_reserve" in content:
            raise SettingsError(f"{where}.vg_reserve: there is no volume group below it")
        parsed = _parse_section("policy", content, where)
        found[name.removeprefix(LOOP)] = replace(policy, **{"max_size": None, **parsed})
    return found


def _pools(document: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    pools: Any = document.get("pool", {})
    for name, content in pools.items():
        if not isinstance(content, dict):
            raise SettingsError(f'pool."{name}": expected a section')
        yield name, content


def _parse_section(section: str, content: Any, where: str) -> dict[str, Any]:
    names = tuple(row.name for row in SETTINGS if row.section == section)
    parsed = {}
    for name, value in content.items():
        row = _BY_KEY.get(f"{section}.{name}")
        if row is None:
            raise SettingsError(f"{where}: {unknown(name, names, 'key')}")
        try:
            parsed[name] = row.parse(value)
        except ValueError as error:
            raise SettingsError(f"{where}.{name}: {error}") from error
    return parsed


def show_settings(settings: Settings) -> dict[str, Any]:
    """Settings → a document that parse_settings reads back to the same."""
    document: dict[str, Any] = {
        "guard": {
            "pools": list(settings.pools),
            "resync": format_duration(settings.resync),
            "sources": [str(name) for name in settings.sources],
        },
        "policy": _show_policy(settings.policy),
        "activate": {"timeout": format_duration(settings.activate_timeout)},
        "consumer": {
            name: {"unit": policy.unit, "on_recovered": str(policy.on_recovered)}
            for name, policy in settings.consumers.items()
        },
    }
    if settings.claims:
        document["claim"] = [_show_claim(rule) for rule in settings.claims]
    if settings.raws:
        document["raw_pool"] = [_show_raw(rule) for rule in settings.raws]
    pools = {name: _show_policy(policy) for name, policy in settings.overrides.items()}
    for name, policy in settings.loops.items():
        pools[LOOP + name] = _show_policy(policy)
        del pools[LOOP + name]["vg_reserve"]
    return document | ({"pool": pools} if pools else {})


def _show_raw(rule: RawRule) -> dict[str, Any]:
    shown = dataclasses.asdict(rule) | {"options": [str(option) for option in rule.options]}
    for name in ("block_size", "max_size"):
        if shown[name] is not None:
            shown[name] = format_exact(shown[name])
    return {key: value for key, value in shown.items() if value is not None}


def _show_claim(rule: ClaimRule) -> dict[str, Any]:
    match = dataclasses.asdict(rule.match)
    for name in ("min_size", "max_size"):
        if match[name] is not None:
            match[name] = format_exact(match[name])
    shown = {
        "vg": rule.vg,
        "match": {key: value for key, value in match.items() if value is not None},
        "limit": rule.limit,
        "mode": str(rule.mode),
        "settle": format_duration(rule.settle),
    }
    return {key: value for key, value in shown.items() if value is not None}


def _show_policy(policy: Policy) -> dict[str, Any]:
    shown: dict[str, Any] = dataclasses.asdict(policy)
    shown["step"] = str(policy.step)
    shown["vg_reserve"] = str(policy.vg_reserve)
    shown["min_step"] = format_exact(policy.min_step)
    shown["headroom"] = format_duration(policy.headroom)
    shown["max_size"] = "" if policy.max_size is None else format_exact(policy.max_size)
    return shown
