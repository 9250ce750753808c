"""Names that LVM takes for a volume group and for a pool."""

from __future__ import annotations

import re

_LONGEST = 127
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")
# lvm2, lib/misc/lvm-string.c: apply_lvname_restrictions.
_RESERVED_START = re.compile(r"snapshot|pvmove|lvol\d+$")
_RESERVED = re.compile(
    r"_([ct]data|[ct]meta|corig|cpool|cvol|iorig|imeta|mimage|mlog|pmspare|rimage|rmeta|tpool"
    r"|vdata|vorigin)"
)


def vg_fault(name: str) -> str:
    """What is wrong with the name of a VG; empty if nothing is."""
    if len(name) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if not _NAME.fullmatch(name) or name in (".", ".."):
        return "is not of letters, digits, +, _, . and -, with another than - at first"
    return ""


def pool_fault(name: str) -> str:
    """The same for a pool, whose name must be none that LVM keeps for itself."""
    if _RESERVED_START.match(name) or _RESERVED.search(name):
        return "is a name that LVM keeps for itself"
    return vg_fault(name)
