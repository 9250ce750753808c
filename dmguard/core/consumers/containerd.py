"""containerd's devmapper snapshotter: pool_name, in each version of its configuration."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_PLUGINS = ("io.containerd.snapshotter.v1.devmapper", "devmapper")


def pool_in(text: str) -> str | None:
    """config.toml of version 1, 2 or 3."""
    try:
        document: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    plugins = document.get("plugins")
    if not isinstance(plugins, dict):
        return None
    for key in _PLUGINS:
        section = plugins.get(key)
        name = section.get("pool_name") if isinstance(section, dict) else None
        if isinstance(name, str) and name and "/" not in name:
            return name
    return None


def is_broken(listing: str) -> bool | None:
    """The answer of `ctr plugins ls` → is the devmapper plugin in error? None: it is not listed."""
    for line in listing.splitlines():
        words = line.split()
        if "devmapper" in words and re.match(r"io\.containerd\.snapshotter", words[0]):
            return words[-1] == "error"
    return None
