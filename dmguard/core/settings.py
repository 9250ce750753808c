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
from enum import StrEnum
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

    from dmguard.core.model import Disk

SOURCES = (Trigger.UDEV, Trigger.JOURNAL, Trigger.DM_EVENT, Trigger.DBUS, Trigger.TIMER)
"""Every source of events."""


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
class Match:
    """Which disks a rule is for: all that is given must hold. Texts are shell globs."""

    path: str | None = None
    link: str | None = None
    serial: str | None = None
    wwn: str | None = None
    model: str | None = None
    vendor: str | None = None
    bus: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    rotational: bool | None = None

    def takes(self, disk: Disk) -> bool:
        """Does the disk have all that is asked for? What is not known of it does not match."""
        globs = {name: getattr(self, name) for name in _GLOBS}
        if not all(
            value is None or _matches(getattr(disk, name), value) for name, value in globs.items()
        ):
            return False
        if self.link is not None and not any(_matches(link, self.link) for link in disk.links):
            return False
        return (
            (self.min_size is None or disk.size >= self.min_size)
            and (self.max_size is None or disk.size <= self.max_size)
            and (self.rotational is None or disk.rotational is self.rotational)
        )


_GLOBS = ("path", "serial", "wwn", "model", "vendor", "bus")


def _matches(text: str | None, glob: str) -> bool:
    return text is not None and fnmatch.fnmatchcase(text, glob)


class ClaimMode(StrEnum):
    """Whether a rule claims by itself, or waits for `dmguard claim`."""

    AUTO = "auto"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """Disks that may become PVs of a VG. `limit` is PVs in the VG, `settle` seconds."""

    vg: str
    match: Match
    limit: int | None = None
    mode: ClaimMode = ClaimMode.AUTO
    settle: float = 5.0


class OnRecovered(StrEnum):
    """What is done for a consumer that failed for want of its pool, once the pool is up."""

    START_IF_FAILED = "start-if-failed"
    RESTART = "restart"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """The systemd unit of a consumer, and what may be done with it."""

    unit: str
    on_recovered: OnRecovered


CONSUMERS: Mapping[str, ConsumerPolicy] = {
    "docker": ConsumerPolicy("docker.service", OnRecovered.START_IF_FAILED),
    "containerd": ConsumerPolicy("containerd.service", OnRecovered.RESTART),
    "isulad": ConsumerPolicy("isulad.service", OnRecovered.START_IF_FAILED),
}
"""The consumers that are known, as they are treated unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration in force."""

    pools: tuple[str, ...] = ("*/*",)
    resync: float = 30.0
    sources: tuple[Trigger, ...] = SOURCES
    policy: Policy = Policy()
    overrides: Mapping[str, Policy] = field(default_factory=dict)
    activate_timeout: float = 60.0
    claims: tuple[ClaimRule, ...] = ()
    consumers: Mapping[str, ConsumerPolicy] = field(default_factory=lambda: CONSUMERS)

    def guards(self, pool: str) -> bool:
        """Is `vg/lv` one of the guarded pools?"""
        return any(fnmatch.fnmatchcase(pool, glob) for glob in self.pools)

    def names(self, pool: str) -> bool:
        """Is it guarded by a word on its own VG, and not just because everything is?"""
        globs = (glob for glob in self.pools if glob.partition("/")[0].strip("*"))
        return any(fnmatch.fnmatchcase(pool, glob) for glob in globs)


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


def _timeout(value: object) -> float:
    seconds = _duration(value)
    if seconds > 3600:
        raise ValueError(f"{value!r} is longer than 1h")
    return seconds


def _glob(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a shell glob in quotes")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w+.-]+", value, re.ASCII):
        raise ValueError(f"{value!r} is not the name of a volume group")
    return value


def _unit(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w:.\\@-]+\.service", value, re.ASCII):
        raise ValueError(f"{value!r} is not the name of a service, as docker.service")
    return value


def _yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004 - as above
    return value


def _limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of PVs")
    return value


def _claim_mode(value: object) -> ClaimMode:
    return ClaimMode(_one_of(value, ClaimMode))


def _on_recovered(value: object) -> OnRecovered:
    return OnRecovered(_one_of(value, OnRecovered))


def _one_of(value: object, choices: type[StrEnum]) -> str:
    if value not in list(choices):
        raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
    return str(value)


_MATCH_PARSERS: Mapping[str, Callable[[object], Any]] = {
    **dict.fromkeys(("path", "link", "serial", "wwn", "model", "vendor", "bus"), _glob),
    "min_size": _size,
    "max_size": _size,
    "rotational": _yes_no,
}


def _match(value: object) -> Match:
    if not isinstance(value, dict) or not value:
        raise ValueError(
            'it must say which disks, as { path = "pci-*" }: an empty one would take every disk'
        )
    parsed = {}
    for name, content in value.items():
        if name not in _MATCH_PARSERS:
            raise ValueError(_unknown(name, tuple(_MATCH_PARSERS), "key"))
        try:
            parsed[name] = _MATCH_PARSERS[name](content)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return Match(**parsed)


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
        "What wakes the agent: udev (disks), journal (dmeventd's, the kernel's and the consumers'"
        " lines), dm-event (the kernel's own events), dbus (systemd's units) and timer. Leave one"
        " out only if something about it hurts; none of them is needed for another, but without"
        " dbus no consumer is started again.",
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
    Setting(
        "activate.timeout",
        "duration",
        "60s",
        "How long a boot waits for disks of guarded pools that are late, up to 1h. It counts from"
        " the first activation of the boot, so that a consumer's restarts do not each wait again.",
        _timeout,
    ),
    Setting(
        "claim.vg",
        "name",
        None,
        "The volume group that the disks are for. It must exist.",
        _name,
    ),
    Setting(
        "claim.match",
        "table",
        None,
        "Which disks: path (udev's ID_PATH), link (any link below /dev/disk), serial, wwn, model,"
        " vendor and bus are shell globs; min_size and max_size are sizes; rotational is true or"
        " false. All that is given must hold.",
        _match,
    ),
    Setting(
        "claim.limit",
        "number",
        None,
        "The most PVs that the volume group may come to have; none when it is left out.",
        _limit,
    ),
    Setting(
        "claim.mode",
        "auto or ask",
        "auto",
        "auto claims; ask shows the disk and waits for dmguard claim.",
        _claim_mode,
    ),
    Setting(
        "claim.settle",
        "duration",
        "5s",
        "A disk must stay as it is for so long before it is claimed. 0 turns it off.",
        _duration,
    ),
    Setting(
        "consumer.unit",
        "unit",
        None,
        "The systemd service of the consumer: docker.service, containerd.service and isulad.service"
        " by themselves.",
        _unit,
    ),
    Setting(
        "consumer.on_recovered",
        "choice",
        None,
        "What is done once a pool is up that the service failed without: start-if-failed (of"
        " itself for docker and isulad), restart (for containerd, when its plugin is in error), or"
        " none.",
        _on_recovered,
    ),
)

_BY_KEY = {row.key: row for row in SETTINGS}


def parse_settings(document: Mapping[str, object]) -> Settings:
    """A merged TOML document → settings; SettingsError for the first thing not accepted."""
    known = ("guard", "policy", "pool", "activate", "claim", "consumer")
    for section, content in document.items():
        if section not in known:
            raise SettingsError(_unknown(section, known, "section"))
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
            raise SettingsError(_unknown(name, tuple(CONSUMERS), "consumer"))
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
