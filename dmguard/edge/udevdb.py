"""udev's own records, read without libudev: what starts at boot need not import it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmguard.core.model import Devno

RECORDS = Path("/run/udev/data")

_INITIALIZED = re.compile(r"I:(\d{1,18})", re.ASCII)


def record_of(devno: Devno, root: Path = RECORDS) -> Path:
    """Where udev keeps what it knows of a block device (systemd, sd-device, device_get_device_id).

    udev writes a new file at the end of every event, so its time of change tells one event from
    the next.
    """
    major, minor = devno
    return root / f"b{major}:{minor}"


def appeared_at(devno: Devno, root: Path = RECORDS) -> int | None:
    """When udev first finished with a block device: microseconds of the monotonic clock.

    That is the `I:` line of its record, which later events keep (systemd, device_update_db).
    None if there is no record, or it does not say.
    """
    try:
        text = record_of(devno, root).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if match := _INITIALIZED.fullmatch(line):
            return int(match[1]) or None
    return None


class Appearances:
    """The same, asked again and again: a record that is the same file is not read again."""

    def __init__(self, root: Path = RECORDS) -> None:
        self._root = root
        self._known: dict[Devno, tuple[tuple[int, int], int | None]] = {}

    def at(self, devno: Devno) -> int | None:
        """As appeared_at."""
        try:
            stat = record_of(devno, self._root).stat()
        except OSError:
            self._known.pop(devno, None)
            return None
        key = (stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(devno)
        if known is None or known[0] != key:
            known = self._known[devno] = (key, appeared_at(devno, self._root))
        return known[1]
