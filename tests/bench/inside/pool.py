"""Reads one pool from the kernel.

The kernel is asked, and nobody else: a guard is not to be believed about itself.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from dataclasses import dataclass

from dmguard.edge.dm.wire import (
    HEADER,
    NOFLUSH,
    STATUS_TABLE,
    SUSPENDED,
    TARGET,
    decode_target,
    request_number,
)

_DEV_SUSPEND, _TABLE_LOAD, _TABLE_STATUS, _TARGET_MESSAGE = 6, 9, 12, 14
_BUFFER = 4096
_SECTOR = 512
_EVENT_NR = 8
_INTENT = "/var/lib/dmguard/intent.json"
_WRITERS = ("lvextend", "lvm", "lvresize")


@dataclass(frozen=True)
class Seen:
    """A pool at one moment: `at` in seconds of the monotonic clock, sizes in its blocks."""

    at: float
    event: int
    size: int
    used: int
    total: int
    meta_used: int
    meta_total: int
    mode: str


class Pool:
    """One live thin pool, by its device-mapper name."""

    def __init__(self, name: str) -> None:
        self._control = os.open("/dev/mapper/control", os.O_RDWR)
        self._name = name.encode()

    def read(self) -> Seen:
        """Ask the kernel, without a flush; about 0.1 ms."""
        buffer = self._ask(_TABLE_STATUS, flags=NOFLUSH)
        at = time.monotonic()
        event = HEADER.unpack_from(buffer)[_EVENT_NR]
        target = decode_target(buffer)
        words = target.params.split() if target else []
        if target is None or len(words) < 5:
            return Seen(at, event, target.size if target else 0, 0, 0, 0, 0, "fail")
        (meta_used, meta_total), (used, total) = (map(int, word.split("/")) for word in words[1:3])
        return Seen(at, event, target.size, used, total, meta_used, meta_total, words[4])

    def message(self, text: str) -> None:
        """Send a message to the pool's target; OSError if it refuses."""
        # struct dm_target_msg: the sector, and the text (Linux, include/uapi/linux/dm-ioctl.h).
        self._ask(_TARGET_MESSAGE, struct.pack(f"=Q {len(text) + 1}s", 0, text.encode()))

    def table(self) -> tuple[str, int, str]:
        """The kind, the size in sectors and the words of its live table."""
        target = decode_target(self._ask(_TABLE_STATUS, flags=STATUS_TABLE | NOFLUSH))
        if target is None:
            raise OSError("no live table")
        return target.kind, target.size // _SECTOR, target.params

    def load(self, kind: str, sectors: int, words: str) -> None:
        """Put a table beside the live one."""
        text = words.encode() + b"\0"
        self._ask(_TABLE_LOAD, TARGET.pack(0, sectors, 0, 0, kind.encode()) + text, targets=1)

    def suspend(self) -> None:
        """Hold all writers up, when what is on its way has ended."""
        self._ask(_DEV_SUSPEND, flags=SUSPENDED)

    def resume(self) -> None:
        """Take the loaded table into use, and let the writers go on."""
        self._ask(_DEV_SUSPEND)

    def _ask(self, command: int, data: bytes = b"", flags: int = 0, targets: int = 0) -> bytearray:
        head = (4, 0, 0, _BUFFER, HEADER.size, targets, 0, flags, 0, 0, 0, self._name, b"")
        buffer = bytearray((HEADER.pack(*head) + data).ljust(_BUFFER, b"\0"))
        fcntl.ioctl(self._control, request_number(command), buffer, True)  # noqa: FBT003 - fcntl's own signature
        return buffer


class Starts:
    """When a command of LVM's started that changes something, and when an intent was written."""

    def __init__(self) -> None:
        self._last = self._last_pid()
        self._intent = self._written()

    def look(self) -> tuple[bool, bool]:
        """Since the last look: was an intent written, and did a command start?"""
        written, last = self._written(), self._last_pid()
        decided, self._intent = written != self._intent, written
        fresh = range(self._last + 1, last + 1)
        started = any(self._comm(pid) in _WRITERS for pid in fresh)
        if started or last - self._last > 8:
            # Until then the younger ones are asked again: a child has its name only after exec.
            self._last = last
        return decided, started

    def _written(self) -> int:
        try:
            return os.stat(_INTENT).st_mtime_ns  # noqa: PTH116 - each look is to be cheap
        except OSError:
            return 0

    def _last_pid(self) -> int:
        with open("/proc/loadavg", encoding="ascii") as file:  # noqa: PTH123 - as above
            return int(file.read().split()[4])

    def _comm(self, pid: int) -> str:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:  # noqa: PTH123 - as above
                return file.read().strip()
        except OSError:
            return ""
