"""systemd-python, wrapped: the notify socket and the journal.

sd_journal_send blocks after a dozen messages while journald stands still, and journald stands
still when /var is on the pool that has stopped. So a thread of its own writes, and nothing waits
for it: when the queue is full the oldest message is dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path

try:
    from systemd import daemon, journal
except ImportError:  # outside a distribution's package: the journal becomes stderr
    daemon = journal = None

IDENTIFIER = "dmguard"
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
_QUEUE = 1000


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
    if pid not in (None, str(os.getpid())) or not usec.isdigit():
        return None
    return int(usec) / 1e6 or None


class JournalWriter:
    """Writes entries from a thread of its own. An idle one does not wake."""

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: deque[tuple[str, dict[str, str]]] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def send(self, message: str, **fields: str) -> None:
        """Queue one entry. Returns at once, always."""
        with self._ready:
            if len(self._entries) >= _QUEUE:
                self._entries.popleft()
                self.dropped += 1
            self._entries.append((message, fields))
            self._ready.notify()

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
                message, fields = self._entries.popleft()
            try:
                write_entry(message, fields)
            except (OSError, ValueError, TypeError):
                # ValueError: text that is no UTF-8. This thread must outlive every message.
                self.dropped += 1


def write_entry(message: str, fields: dict[str, str]) -> None:
    """Write one entry now, to stderr where there is no journal; OSError if it is not taken.

    Can block. What a command does by hand goes to the journal as well.
    """
    if journal is None or not JOURNAL_SOCKET.exists():
        sys.stderr.write(message + "\n")
        return
    journal.send(message, SYSLOG_IDENTIFIER=IDENTIFIER, **fields)


class JournalHandler(logging.Handler):
    """Plain log records, on the same way as the entries."""

    _PRIORITIES = ((logging.ERROR, "3"), (logging.WARNING, "4"), (logging.INFO, "6"))

    def __init__(self, writer: JournalWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        priority = next((p for level, p in self._PRIORITIES if record.levelno >= level), "7")
        self._writer.send(self.format(record), PRIORITY=priority, LOGGER=record.name)
