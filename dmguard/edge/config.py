"""The configuration files: /etc/dmguard/dmguard.toml, then conf.d/*.toml in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmguard.core.settings import LISTED, Settings, SettingsError, parse_settings
from dmguard.core.toml import load_toml

CONFIG = Path("/etc/dmguard")


class ConfigError(Exception):
    """A file that is not accepted; the text names file, key and what was meant."""


def config_files(root: Path = CONFIG) -> tuple[Path, ...]:
    """The files that there are, in the order in which they are read."""
    main = root / "dmguard.toml"
    parts = sorted((root / "conf.d").glob("*.toml"))
    # A link that leads nowhere is one that was meant to be read.
    return tuple(path for path in (main, *parts) if path.is_file() or path.is_symlink())


def load_settings(root: Path = CONFIG) -> Settings:
    """The settings in force, the defaults when there is no file. ConfigError for a bad one."""
    document: dict[str, Any] = {}
    settings = Settings()
    for path in config_files(root):
        part = _read(path)
        try:
            # Each by itself first, then with those before it, so that an error names its file.
            parse_settings(part)
            _merge(document, part)
            settings = parse_settings(document)
        except SettingsError as error:
            raise ConfigError(f"{path}: {error}") from error
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    """Sections are merged key by key; a later value replaces an earlier one whole.

    Rules, as [[claim]], are added to those before.
    """
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list) and key in LISTED:
            into[key] = [*into[key], *value]
        else:
            into[key] = value
