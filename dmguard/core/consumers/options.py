"""Docker's storage options as its files give them: the driver, its own options, the data folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DAEMON_JSON = "/etc/docker/daemon.json"
_ROOT = "/var/lib/docker"
_OPTION = re.compile(r"(?:devicemapper|dm)\.(\w+)=[\"']?([^\s\"',]*)")
_DRIVER = re.compile(r"(?:--storage-driver|(?<!\S)-s)[= ][\"']?(\w+)")


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """`dm` has the options of the devicemapper driver without their prefix; the last one counts."""

    driver: str | None = None
    dm: Mapping[str, str] = field(default_factory=dict)

    @property
    def uses_devicemapper(self) -> bool:
        return self.driver == "devicemapper" or (self.driver is None and bool(self.dm))


def storage_options(text: str) -> StorageOptions:
    """daemon.json, or a file of command line options. What cannot be understood has none."""
    try:
        document = json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        plain = "\n".join(lines)
        driver = _DRIVER.search(plain)
        return StorageOptions(driver[1] if driver else None, dict(_OPTION.findall(plain)))
    if not isinstance(document, dict):
        return StorageOptions()
    options = document.get("storage-opts")
    found: dict[str, str] = {}
    for option in options if isinstance(options, list) else ():
        match = _OPTION.fullmatch(str(option))
        if match:
            found[match[1]] = match[2]
    chosen = document.get("storage-driver")
    return StorageOptions(chosen if isinstance(chosen, str) else None, found)


def data_root(text: str) -> str:
    """Docker's data folder by daemon.json."""
    document = _document(text)
    for key in ("data-root", "graph"):
        value = document.get(key)
        if isinstance(value, str) and value.startswith("/"):
            return value
    return _ROOT


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
