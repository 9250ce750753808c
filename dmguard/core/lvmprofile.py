"""LVM's profiles: a pool's own autoextend settings, as a text that LVM and dmeventd read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.units import parse_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.model import Profile

_SETTING = {
    key: re.compile(
        rf"^([ \t]*(?:activation/)?thin_pool_autoextend_{key}[ \t]*=[ \t]*)\d+", re.MULTILINE
    )
    for key in ("threshold", "percent")
}


def read_settings(text: str) -> Mapping[str, int]:
    """Which of the two settings a profile names, and how."""
    found = {key: pattern.search(text) for key, pattern in _SETTING.items()}
    numbers = {
        key: parse_count(match[0].partition("=")[2].strip())
        for key, match in found.items()
        if match
    }
    return {key: number for key, number in numbers.items() if number is not None}


def extends(text: str) -> bool:
    """Does it let a pool grow?"""
    values = read_settings(text)
    return values.get("threshold", 100) < 100 and values.get("percent", 20) > 0


def with_settings(text: str, wanted: Profile) -> str:
    """The profile with these settings, and with all else that it has."""
    values = {"threshold": wanted.threshold, "percent": wanted.percent}
    missing = []
    for key, value in values.items():
        text, count = _SETTING[key].subn(rf"\g<1>{value}", text)
        if not count:
            missing.append(f"\tthin_pool_autoextend_{key}={value}\n")
    if missing:
        end = "" if not text or text.endswith("\n") else "\n"
        text = f"{text}{end}activation {{\n{''.join(missing)}}}\n"
    return text
