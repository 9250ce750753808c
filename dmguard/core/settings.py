"""The one table of configuration, and the typed settings that come of it.

Reading the files is edge/config; here text and plain values become settings, or an error that
names the key and what was meant.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dmguard.core.model import Trigger
from dmguard.core.units import (
    Amount,
    format_duration,
    format_exact,
    parse_duration,
    parse_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOURCES = (Trigger.DM_EVENT, Trigger.TIMER)
"""The sources of events that this version has."""


class SettingsError(ValueError):
    """A key or value that is not accepted; the text names it and says what was meant."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done for one pool, and when. Sizes in bytes, times in seconds.

    `max_size` None means no ceiling. Thresholds are percent used; an act follows above them.
    """

    data_threshold: int = 75
    metadata_threshold: int = 70
    step: Amount = Amount(percent=20.0)
    min_step: int = 1 << 30
    headroom: float = 600.0
    max_size: int | None = None
    vg_reserve: Amount = Amount(percent=1.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration in force."""

    pools: tuple[str, ...] = ("*/*",)
    resync: float = 30.0
    sources: tuple[Trigger, ...] = SOURCES
    policy: Policy = Policy()
    overrides: Mapping[str, Policy] = field(default_factory=dict)

    def guards(self, pool: str) -> bool:
        """Is `vg/lv` one of the guarded pools?"""
        return any(fnmatch.fnmatchcase(pool, glob) for glob in self.pools)


def _percent(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 50 <= value <= 99:
        raise ValueError(f"{value!r} is not an integer from 50 to 99")
    return value


def _text(value: object) -> str:
    if value == 0 and not isinstance(value, bool):
        return "0"
    if not isinstance(value, str):
        raise ValueError(f'{value!r} must be a text in quotes, as "10min" or "1GiB"')  # noqa: TRY004 - one family of errors for a bad value
    return value


def _duration(value: object) -> float:
    return parse_duration(_text(value))


def _period(value: object) -> float:
    seconds = _duration(value)
    if not 1 <= seconds <= 86400:
        raise ValueError(f"{value!r} is not between 1s and 24h")
    return seconds


def _size(value: object) -> int:
    text = _text(value)
    return 0 if text == "0" else parse_size(text)


def _ceiling(value: object) -> int | None:
    return None if value == "" else parse_size(_text(value))


def _amount(value: object) -> Amount:
    return Amount.parse(_text(value))


def _step(value: object) -> Amount:
    amount = _amount(value)
    if not amount.percent and not amount.size:
        raise ValueError("a step of nothing would never grow a pool")
    return amount


def _share(value: object) -> Amount:
    amount = _amount(value)
    if amount.percent is not None and amount.percent > 90:
        raise ValueError(f"{value!r} leaves nothing for data")
    return amount


def _globs(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError('expected a list of globs of vg/lv, as ["docker/*"]')
    for glob in value:
        if not isinstance(glob, str) or not re.fullmatch(r"[^/]+/[^/]+", glob):
            raise ValueError(f"{glob!r} is not a glob of vg/lv")
    return tuple(value)


def _sources(value: object) -> tuple[Trigger, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of some of {', '.join(SOURCES)}")
    for name in value:
        if name not in SOURCES:
            raise ValueError(f"{name!r} is not one of {', '.join(SOURCES)}")
    return tuple(Trigger(name) for name in value)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `parse` takes the TOML value, `show` gives one that it reads back."""

    key: str
    kind: str
    default: object
    help: str
    parse: Callable[[object], Any]

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return self.key.partition(".")[2]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "guard.pools",
        "list of globs",
        ["*/*"],
        "Which thin pools are guarded: shell globs of vg/lv.",
        _globs,
    ),
    Setting(
        "guard.resync",
        "duration",
        "30s",
        "The timer: everything is read again at least so often, from 1s to 24h.",
        _period,
    ),
    Setting(
        "guard.sources",
        "list of names",
        list(SOURCES),
        "What wakes the agent: dm-event (the kernel's own events) and timer. Leave one out only"
        " if something about it hurts; none of them is needed for another.",
        _sources,
    ),
    Setting(
        "policy.data_threshold",
        "percent",
        75,
        "Percent of a pool's data in use above which it grows, from 50 to 99.",
        _percent,
    ),
    Setting(
        "policy.metadata_threshold",
        "percent",
        70,
        "Percent of a pool's metadata in use above which it grows, from 50 to 99.",
        _percent,
    ),
    Setting(
        "policy.step",
        "share or size",
        "20%",
        "A pool grows by at least this, as a share of its present size or a fixed size.",
        _step,
    ),
    Setting(
        "policy.min_step",
        "size",
        "1GiB",
        "Data grows by at least this much; cut to what the volume group has. 0 turns it off.",
        _size,
    ),
    Setting(
        "policy.headroom",
        "duration",
        "10min",
        "Data grows by enough for this much writing at the rate of the last minute, but for that"
        " never by more than half of what is free. 0 turns it off.",
        _duration,
    ),
    Setting(
        "policy.max_size",
        "size",
        "",
        "No growth of the pool's data beyond this; empty means no ceiling.",
        _ceiling,
    ),
    Setting(
        "policy.vg_reserve",
        "share or size",
        "1%",
        "How much of the volume group is kept free of data, for metadata and its spare. 0 turns it"
        " off.",
        _share,
    ),
)

_BY_KEY = {row.key: row for row in SETTINGS}


def parse_settings(document: Mapping[str, object]) -> Settings:
    """A merged TOML document → settings; SettingsError for the first thing not accepted."""
    known = ("guard", "policy", "pool")
    for section, content in document.items():
        if section not in known:
            raise SettingsError(_unknown(section, known, "section"))
        if not isinstance(content, dict):
            raise SettingsError(f"{section}: expected a section, as [{section}]")
    guard = _parse_section("guard", document.get("guard", {}), "guard")
    policy = replace(Policy(), **_parse_section("policy", document.get("policy", {}), "policy"))
    return Settings(**guard, policy=policy, overrides=_overrides(document, policy))


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
            raise SettingsError(f"{where}: {_unknown(name, names, 'key')}")
        try:
            parsed[name] = row.parse(value)
        except ValueError as error:
            raise SettingsError(f"{where}.{name}: {error}") from error
    return parsed


def _unknown(name: str, known: tuple[str, ...], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
    return f"unknown {what} {name!r}{meant}"


def show_settings(settings: Settings) -> dict[str, Any]:
    """Settings → a document that parse_settings reads back to the same."""
    document: dict[str, Any] = {
        "guard": {
            "pools": list(settings.pools),
            "resync": format_duration(settings.resync),
            "sources": [str(name) for name in settings.sources],
        },
        "policy": _show_policy(settings.policy),
    }
    if settings.overrides:
        document["pool"] = {
            name: _show_policy(policy) for name, policy in settings.overrides.items()
        }
    return document


def _show_policy(policy: Policy) -> dict[str, Any]:
    shown: dict[str, Any] = dataclasses.asdict(policy)
    shown["step"] = str(policy.step)
    shown["vg_reserve"] = str(policy.vg_reserve)
    shown["min_step"] = format_exact(policy.min_step)
    shown["headroom"] = format_duration(policy.headroom)
    shown["max_size"] = "" if policy.max_size is None else format_exact(policy.max_size)
    return shown
