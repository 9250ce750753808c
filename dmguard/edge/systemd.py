"""systemd-python, wrapped: the notify socket and the journal.

sd_journal_send blocks after a dozen messages while journald stands still, and journald stands
still when /var is on the pool that has stopped. So a thread of its own writes, and nothing has to
wait for it: when the queue is full the oldest message is dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dmguard.core.units import parse_count

if TYPE_CHECKING:
    from collections.abc import Iterable

try:
    from systemd import daemon, journal
except ImportError:  # outside a distribution's package: the journal becomes stderr
    daemon = journal = None

IDENTIFIER = "dmguard"
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
_QUEUE = 1000
_FIELD = 4096


def notify(**fields: str) -> bool:
    """Tell the service manager; False if there is none. Never raises: it is a courtesy."""
    if daemon is None:
        return False
    pairs = ((name, value.replace("\n", " ")) for name, value in fields.items())
    try:
        return bool(daemon.notify("\n".join(f"{name}={value}" for name, value in pairs)))
    except (OSError, ValueError):
        return False


def notify_reloading() -> bool:
    """Say that a reload begins; READY=1 ends it."""
    return notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))


def watchdog_s() -> float | None:
    """Seconds within which the service manager wants a sign of life; None if it does not."""
    pid, usec = os.environ.get("WATCHDOG_PID"), os.environ.get("WATCHDOG_USEC", "")
    if pid not in (None, str(os.getpid())):
        return None
    return (parse_count(usec) or 0) / 1e6 or None


class JournalWriter:
    """Writes entries from a thread of its own. An idle one does not wake."""

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: deque[tuple[str, dict[str, str], Future[None]]] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def send(self, message: str, **fields: str) -> Future[None]:
        """Queue one entry. Returns at once, always: the future ends when nothing more is done.

        It is then written, or dropped.
        """
        future: Future[None] = Future()
        with self._ready:
            if len(self._entries) >= _QUEUE:
                self._drop(self._entries.popleft()[2])
            self._entries.append((message, fields, future))
            self._ready.notify()
        return future

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, for as long as that, and end."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._entries and not self._closing:
                    self._ready.wait()
                if not self._entries:
                    return
                message, fields, future = self._entries.popleft()
            try:
                write_entry(message, fields)
            except (OSError, ValueError, TypeError):
                # ValueError: text that is no UTF-8. This thread must outlive every message.
                self._drop(future)
            else:
                future.set_result(None)

    def _drop(self, future: Future[None]) -> None:
        self.dropped += 1
        future.set_result(None)


def write_entry(message: str, fields: dict[str, str]) -> None:
    """Write one entry now, to stderr where there is no journal; OSError if it is not taken.

    Can block. What a command does by hand goes to the journal as well.
    """
    if journal is None or not JOURNAL_SOCKET.exists():
        sys.stderr.write(message + "\n")
        return
    told = {"MESSAGE": message, "SYSLOG_IDENTIFIER": IDENTIFIER, **fields}
    # Not send(), which adds the place in the source, and looks at the source's file for that: where
    # that is on the pool that has stopped, the entry would never be written.
    journal.sendv(*(f"{name}={value}" for name, value in told.items()))


class _Formatter(logging.Formatter):
    """Names the places of an error. logging's own quotes them, for which it reads the source: who
    logs an error would wait for the disk that has it.
    """

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        lines: list[str] = []
        error = ei[1]
        while error is not None:
            frames = traceback.walk_tb(error.__traceback__)
            places = [f"{f.f_code.co_filename}:{no} in {f.f_code.co_name}" for f, no in frames]
            lines = [*places, f"{type(error).__name__}: {error}", *lines]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(lines)


class JournalHandler(logging.Handler):
    """Plain log records, on the same way as the entries."""

    _PRIORITIES = ((logging.ERROR, "3"), (logging.WARNING, "4"), (logging.INFO, "6"))

    def __init__(self, writer: JournalWriter) -> None:
        super().__init__()
        self.setFormatter(_Formatter("%(message)s"))
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        priority = next((p for level, p in self._PRIORITIES if record.levelno >= level), "7")
        self._writer.send(self.format(record), PRIORITY=priority, LOGGER=record.name)


class JournalLostError(Exception):
    """The journal's files went away under their reader, which may be blind from here on."""


class JournalTail:
    """Reads what is written to this host's journal from now on. For one thread alone.

    What sd-journal does, and so what we do (systemd, src/libsystemd/sd-journal/sd-journal.c):

    - Nothing watches the files before the descriptor is asked for, so that comes first.
    - A position at the tail that no entry filled stays 'the tail', after which later versions
      find nothing, for ever. So the position is an entry's, of whatever kind, and the matches
      come after it.
    - Until sd_journal_process() the descriptor stays readable. Its answer says nothing sure about
      entries: they are always read.
    - A rotation or a vacuum takes files away. The position is kept, but a cursor that cannot be
      read then says that the file of the last entry is gone, or that there was none yet. So it is
      when journald moves from /run to a /var that was not there before, too, and of that one a
      reader which is open never learns. The two look alike, so both are an end.

    journald tells its readers of an entry within a quarter of a second. Where neither
    /run/log/journal nor /var/log/journal exists, opening works, nothing is ever read, and nobody
    can tell. A journald that is stopped, or whose disk is full, is only quiet.
    """

    def __init__(self, matches: Iterable[Iterable[str]], *, path: Path | None = None) -> None:
        """Follow the entries that match all of one group, or all of another.

        `path` is a directory of journal files in place of the system's. OSError if there is no
        journal to be read.
        """
        if journal is None:
            raise OSError("no journal: systemd-python is not there")
        if path is None:
            self._reader = journal.Reader(flags=journal.LOCAL_ONLY | journal.SYSTEM_ONLY)
        else:
            self._reader = journal.Reader(path=str(path))
        try:
            self._begin(matches)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    def fileno(self) -> int:
        """Readable when drain() should be called, and until it was."""
        return int(self._reader.fileno())

    def drain(self, limit: int = 256) -> list[dict[str, str]]:
        """The entries since the last call, in their order, at most so many.

        As many as `limit` say that there may be more, and the descriptor need not. Every field is
        text of bounded length; the values of one that came several times are lines.
        JournalLostError: close this one, open another, and take it that something was missed.
        """
        invalidated = self._reader.process() == journal.INVALIDATE
        entries: list[dict[str, str]] = []
        while len(entries) < limit and (entry := self._reader.get_next()):
            entries.append({name: _text(value) for name, value in entry.items()})
        if invalidated and not entries and not self._has_position():
            raise JournalLostError("the files of the journal have changed")
        return entries

    def _begin(self, matches: Iterable[Iterable[str]]) -> None:
        reader = self._reader
        # The library's own converters raise OverflowError for a COREDUMP_TIMESTAMP that any sender
        # may write. What it adds itself is no bytes, and everything else falls back to bytes.
        reader.converters = dict.fromkeys(
            ("__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__CURSOR"), str
        )
        reader.data_threshold = _FIELD
        reader.fileno()
        reader.seek_tail()
        if not reader.get_previous():
            reader.seek_head()  # there is no entry yet: every one is new
        for number, group in enumerate(matches):
            if number:
                reader.add_disjunction()
            reader.add_match(*group)

    def _has_position(self) -> bool:
        try:
            self._reader._get_cursor()  # noqa: SLF001 - no public way without an entry
        except OSError:
            return False
        return True


def _text(value: object) -> str:
    """A field's value as text, whatever it is."""
    if isinstance(value, list):
        return "\n".join(_text(one) for one in value[:16])[:_FIELD]
    if isinstance(value, bytes):
        return value[:_FIELD].decode(errors="replace")
    return str(value)[:_FIELD]
