"""Names that LVM takes for a volume group and for a pool."""

from __future__ import annotations

import re

from dmguard.core.model import dm_name

_LONGEST = 127
"""Bytes of any name, in LVM (lib/metadata/metadata-exported.h, NAME_LEN) and in the device-mapper
(Linux, include/uapi/linux/dm-ioctl.h, DM_NAME_LEN), without the NUL at its end."""
_SUFFIX = "_tmeta"
"""The longest that LVM adds for the devices below a pool, as long as -tpool and _tdata."""
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


def both_fault(vg: str, pool: str) -> str:
    """What is wrong with names that are each right: the device-mapper's is made of both."""
    if len(dm_name(vg, pool) + _SUFFIX) > _LONGEST:
        return (
            f"is longer than {_LONGEST - len(_SUFFIX)} characters as {dm_name(vg, pool)}, which is"
            " what the device-mapper calls it"
        )
    return ""
