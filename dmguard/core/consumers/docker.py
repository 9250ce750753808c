"""Docker's devicemapper driver (in Docker up to 24): dm.thinpooldev."""

from __future__ import annotations

import json
import re

_OPTION = re.compile(r"(?:devicemapper|dm)\.thinpooldev=[\"']?([^\s\"',]+)")


def pool_in(text: str) -> str | None:
    """daemon.json, or a file of options as distributions have it in /etc/sysconfig."""
    try:
        document = json.loads(text)
    except ValueError:
        return _from_options(text)
    if not isinstance(document, dict):
        return None
    if document.get("storage-driver", "devicemapper") != "devicemapper":
        return None
    options = document.get("storage-opts")
    for option in options if isinstance(options, list) else ():
        name = _from_options(str(option))
        if name is not None:
            return name
    return None


def _from_options(text: str) -> str | None:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    match = _OPTION.search("\n".join(lines))
    # A path of another kind is none that the driver can use: it strips this prefix and no other.
    name = match[1].removeprefix("/dev/mapper/") if match else ""
    return name if name and "/" not in name else None
