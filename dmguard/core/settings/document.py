"""A document of plain values → settings, and back; or an error that names the key and what was
meant. Reading the files is edge/config.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dmguard.core.settings.parsers import unknown
from dmguard.core.settings.table import SETTINGS
from dmguard.core.settings.values import CONSUMERS, ClaimRule, ConsumerPolicy, Policy, Settings
from dmguard.core.units import format_duration, format_exact

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(ValueError):
    """A key or value that is not accepted; the text names it and says what was meant."""


_BY_KEY = {row.key: row for row in SETTINGS}


def parse_settings(document: Mapping[str, object]) -> Settings:
    """A merged TOML document → settings; SettingsError for the first thing not accepted."""
    known = ("guard", "policy", "pool", "activate", "claim", "consumer")
    for section, content in document.items():
        if section not in known:
            raise SettingsError(unknown(section, known, "section"))
        if section == "claim":
            if not isinstance(content, list):
                raise SettingsError("claim: expected a list of rules, each as [[claim]]")
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
    )


def _claims(document: Mapping[str, object]) -> tuple[ClaimRule, ...]:
    rules: Any = document.get("claim", [])
    found = []
    for number, content in enumerate(rules, 1):
        where = f"claim {number}"
        if not isinstance(content, dict):
            raise SettingsError(f"{where}: expected a rule, as [[claim]]")
        parsed = _parse_section("claim", content, where)
        for name in ("vg", "match"):
            if name not in parsed:
                raise SettingsError(f"{where}: {name} is missing")
        found.append(ClaimRule(**parsed))
    return tuple(found)


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
    pools: Any = document.get("pool", {})
    found = {}
    for name, content in pools.items():
        where = f'pool."{name}"'
        if not re.fullmatch(r"[\w+.-]+/[\w+.-]+", name, re.ASCII):
            raise SettingsError(f'{where}: one pool, as [pool."vg/lv"]; globs are not taken here')
        if not isinstance(content, dict):
            raise SettingsError(f"{where}: expected a section")
        found[name] = replace(policy, **_parse_section("policy", content, where))
    return found


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
    if settings.overrides:
        document["pool"] = {
            name: _show_policy(policy) for name, policy in settings.overrides.items()
        }
    return document


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
