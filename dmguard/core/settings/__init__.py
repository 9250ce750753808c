"""The configuration: one table of settings, and the typed values that come of it."""

from __future__ import annotations

from dmguard.core.settings.document import LISTED, SettingsError, parse_settings, show_settings
from dmguard.core.settings.table import SETTINGS, Setting
from dmguard.core.settings.values import (
    CONSUMERS,
    SOURCES,
    ClaimMode,
    ClaimRule,
    ConsumerPolicy,
    Match,
    OnRecovered,
    Policy,
    PoolOption,
    RawRule,
    Settings,
)

__all__ = [
    "CONSUMERS",
    "LISTED",
    "SETTINGS",
    "SOURCES",
    "ClaimMode",
    "ClaimRule",
    "ConsumerPolicy",
    "Match",
    "OnRecovered",
    "Policy",
    "PoolOption",
    "RawRule",
    "Setting",
    "Settings",
    "SettingsError",
    "parse_settings",
    "show_settings",
]
