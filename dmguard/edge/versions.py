"""Versions of what dmguard runs on, as far as Python knows them."""

from __future__ import annotations

import platform
from importlib import metadata

_LIBRARIES = ("dbus-next", "pyudev", "systemd-python", "tenacity")


def read_versions() -> dict[str, str]:
    """Python, the kernel, and the libraries; empty for one that is not there, or does not say."""
    found = {"python": platform.python_version(), "kernel": platform.release()}
    return found | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
