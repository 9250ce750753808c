"""Which journal entries say that a thin pool should be looked at.

Trusted fields decide first. journald sets every field whose name begins with an underscore from
the sender's socket and drops those that a sender wrote itself (systemd.journal-fields(7)); MESSAGE
can be anybody's. Still this is a hint and no more: the truth is read from the kernel.

The words are those of Linux (drivers/md/dm-thin.c), of lvm2 (daemons/dmeventd/plugins/thin/
dmeventd_thin.c and lib/metadata/lv_manip.c), of Docker's and iSulad's graph driver devicemapper,
and of containerd's snapshotter devmapper.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MATCHES: tuple[tuple[str, ...], ...] = (
    ("_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=kernel"),
    ("_COMM=dmeventd", "_UID=0"),
    ("_COMM=dockerd", "_UID=0"),
    ("_COMM=isulad", "_UID=0"),
    ("_COMM=containerd", "_UID=0"),
)
"""What a reader should ask the journal for: "FIELD=value", all of a group or all of another."""

_SUBJECT = 128
_LONGEST = 4096
_TPOOL = "-tpool"
_CONTAINER = ("CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_NAME")
"""Fields of Docker's log driver journald: the message is a container's output, and `_COMM` is
dockerd all the same."""

_NAME = r"[\w+.:#@=-]{1,200}"
"""Characters that libdevmapper leaves in a device's name."""


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.ASCII) for pattern in patterns)


_KERNEL = _compiled(
    r"device-mapper: thin: (?P<subject>\d{1,9}:\d{1,9}): "
    r"(?:reached low water mark for (?:meta)?data device\b"
    r"|switching pool to [a-z]"
    r"|no free (?:meta)?data space available\b)",
)
"""Anchored: the kernel begins its own lines, and what follows holds nobody else's text."""

_DMEVENTD = _compiled(
    rf"\s{{0,8}}WARNING: Thin pool (?P<subject>{_NAME}) (?:meta)?data is now \d{{1,3}}\.\d",
    rf"\s{{0,8}}Failed command for (?P<subject>{_NAME})(?:\.?\s*$| )",
    r"\s{0,8}Insufficient free space: \d{1,20} extents needed\b",
)

_DEVICEMAPPER = _compiled(
    r"\bdev(?:ice)?mapper: Thin Pool has \d{1,20} free (?:meta)?data blocks "
    r"which (?:is|are) less than minimum\b",
    rf"\bdevicemapper: Non existing device (?P<subject>{_NAME})",
)

_ISULAD = (*_DEVICEMAPPER, *_compiled(r"\bdevmapper: thin pool (?:is )?not exists?\b"))
"""iSulad has the driver's words, and of its own those for a pool that is not there."""

_CONTAINERD = _compiled(
    rf'\bfailed to query pool \\{{0,3}}"?(?:/dev/mapper/)?(?P<subject>{_NAME})\\{{0,3}}"?: '
    r"no such device or address\b",
)

_SPEAKERS = {
    "dmeventd": _DMEVENTD,
    "dockerd": _DEVICEMAPPER,
    "isulad": _ISULAD,
    "containerd": _CONTAINERD,
}


def hint(entry: Mapping[str, str]) -> str | None:
    """What a journal entry is about if a pool should be looked at: for the log, and short.

    The subject is a dm name, a "major:minor", or the speaker's name if the words name no pool;
    None for every other entry. Never raises, whatever the entry holds.
    """
    message = entry.get("MESSAGE", "")[:_LONGEST]
    if not message or any(field in entry for field in _CONTAINER):
        return None
    if entry.get("_TRANSPORT") == "kernel":
        found = _KERNEL[0].match(message)
        return _subject(found, "kernel") if found else None
    speaker = entry.get("_COMM", "")
    if entry.get("_UID") != "0" or speaker not in _SPEAKERS:
        return None
    found = _first(_SPEAKERS[speaker], message, anchored=speaker == "dmeventd")
    return _subject(found, speaker) if found else None


def _first(
    patterns: Iterable[re.Pattern[str]], message: str, *, anchored: bool
) -> re.Match[str] | None:
    tries = (
        pattern.match(message) if anchored else pattern.search(message) for pattern in patterns
    )
    return next((found for found in tries if found), None)


def _subject(found: re.Match[str], speaker: str) -> str:
    name = found.groupdict().get("subject") or speaker
    # A sentence may end right after the name, and no name of LVM's ends in these.
    return name.rstrip(".:").removesuffix(_TPOOL)[:_SUBJECT] or speaker
