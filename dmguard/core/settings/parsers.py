"""What the value of each setting may be: TOML value → typed value, or a ValueError that says what
was meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dmguard.core.model import Trigger
from dmguard.core.settings.values import SOURCES, ClaimMode, Match, OnRecovered, PoolOption
from dmguard.core.units import Amount, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum


def parse_percent(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 50 <= value <= 99:
        raise ValueError(f"{value!r} is not an integer from 50 to 99")
    return value


def _text(value: object) -> str:
    if value == 0 and not isinstance(value, bool):
        return "0"
    if not isinstance(value, str):
        raise ValueError(f'{value!r} must be a text in quotes, as "10min" or "1GiB"')  # noqa: TRY004 - one family of errors for a bad value
    return value


def parse_span(value: object) -> float:
    return parse_duration(_text(value))


def parse_period(value: object) -> float:
    seconds = parse_span(value)
    if not 1 <= seconds <= 86400:
        raise ValueError(f"{value!r} is not between 1s and 24h")
    return seconds


def parse_bytes(value: object) -> int:
    text = _text(value)
    return 0 if text == "0" else parse_size(text)


def parse_ceiling(value: object) -> int | None:
    if value == "":
        return None
    size = parse_size(_text(value))
    if not size:
        raise ValueError(f"{value!r} would never let a pool grow; no ceiling is an empty text")
    return size


def parse_amount(value: object) -> Amount:
    return Amount.parse(_text(value))


def parse_step(value: object) -> Amount:
    amount = parse_amount(value)
    if not amount.percent and not amount.size:
        raise ValueError("a step of nothing would never grow a pool")
    return amount


def parse_share(value: object) -> Amount:
    amount = parse_amount(value)
    if amount.percent is not None and amount.percent > 90:
        raise ValueError(f"{value!r} leaves nothing for data")
    return amount


def parse_globs(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError('expected a list of globs of vg/lv, as ["docker/*"]')
    for glob in value:
        if not isinstance(glob, str) or not re.fullmatch(r"[^/]+/[^/]+", glob):
            raise ValueError(f"{glob!r} is not a glob of vg/lv")
    return tuple(value)


def parse_timeout(value: object) -> float:
    seconds = parse_span(value)
    if seconds > 3600:
        raise ValueError(f"{value!r} is longer than 1h")
    return seconds


def parse_glob(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a shell glob in quotes")
    return value


def parse_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w+.-]+", value, re.ASCII):
        raise ValueError(f"{value!r} is not the name of a volume group")
    return value


def parse_unit(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w:.\\@-]+\.service", value, re.ASCII):
        raise ValueError(f"{value!r} is not the name of a service, as docker.service")
    return value


def parse_yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004 - as above
    return value


def parse_limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of PVs")
    return value


def parse_claim_mode(value: object) -> ClaimMode:
    return ClaimMode(_one_of(value, ClaimMode))


def parse_on_recovered(value: object) -> OnRecovered:
    return OnRecovered(_one_of(value, OnRecovered))


def _one_of(value: object, choices: type[StrEnum]) -> str:
    if value not in list(choices):
        raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
    return str(value)


_MATCH_PARSERS: Mapping[str, Callable[[object], Any]] = {
    **dict.fromkeys(("path", "link", "serial", "wwn", "model", "vendor", "bus"), parse_glob),
    "min_size": parse_bytes,
    "max_size": parse_bytes,
    "rotational": parse_yes_no,
}


def parse_match(value: object) -> Match:
    if not isinstance(value, dict) or not value:
        raise ValueError(
            'it must say which disks, as { path = "pci-*" }: an empty one would take every disk'
        )
    parsed = {}
    for name, content in value.items():
        if name not in _MATCH_PARSERS:
            raise ValueError(unknown(name, tuple(_MATCH_PARSERS), "key"))
        try:
            parsed[name] = _MATCH_PARSERS[name](content)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return Match(**parsed)


def parse_sources(value: object) -> tuple[Trigger, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of some of {', '.join(SOURCES)}")
    for name in value:
        if name not in SOURCES:
            raise ValueError(f"{name!r} is not one of {', '.join(SOURCES)}")
    return tuple(Trigger(name) for name in value)


DM_NAME = r"[\w:.@+-]{1,127}"
"""What a device-mapper name that needs no escapes may be."""


def parse_dm_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(DM_NAME, value, re.ASCII):
        raise ValueError(f"{value!r} is not a device-mapper name")
    return value


def parse_place(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/[^/\s]+)+", value):
        raise ValueError(f"{value!r} is not an absolute path")
    if "." in value.split("/") or ".." in value.split("/"):
        raise ValueError(f"{value!r} is not a plain path")
    if re.fullmatch(r"/dev/[^/]+", value):
        raise ValueError(f"{value!r} may be another disk after a boot: give a link of /dev/disk")
    return value


def parse_block_size(value: object) -> int:
    size = parse_bytes(value)
    if size % (64 << 10) or not 64 << 10 <= size <= 1 << 30:
        raise ValueError(f"{value!r} is not a multiple of 64KiB, up to 1GiB")
    return size


def parse_chunks(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a number of blocks")
    return value


def parse_options(value: object) -> tuple[PoolOption, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of some of {', '.join(PoolOption)}")  # noqa: TRY004 - as above
    return tuple(PoolOption(_one_of(name, PoolOption)) for name in value)


def unknown(name: str, known: tuple[str, ...], what: str) -> str:
    import difflib  # for a wrong name alone

    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
    return f"unknown {what} {name!r}{meant}"
