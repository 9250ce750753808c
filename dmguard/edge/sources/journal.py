"""The journal: what the kernel, dmeventd and the container engines say about a pool.

A hint that comes early and nothing more: with journald stopped the other sources see the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dmguard.core.hints import MATCHES, hint
from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.systemd import JournalLostError, JournalTail

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker

_BATCH = 256
_WINDOW_S = 1.0
_REOPEN_S = 1.0
_SUBJECTS = 8
LOST = "the journal was rotated away"
MANY = "several at once"


def follow_hosts_journal() -> JournalTail:
    """The entries of this host's journal that can be hints."""
    return JournalTail(MATCHES)


class JournalEvents:
    """Wakes when an entry says that a pool should be looked at.

    Others can write to the journal, so their words cost little: see _Calm. Where the host keeps
    no journal at all this waits for ever, and nobody can tell (see JournalTail).
    """

    name = Trigger.JOURNAL

    def __init__(self, open_tail: Callable[[], JournalTail] = follow_hosts_journal) -> None:
        self._open = open_tail

    async def run(self, wake: Waker) -> None:
        """OSError when the journal cannot be opened or read."""
        calm = _Calm(wake)
        try:
            await self._read(calm)
            while True:
                # Files that come and go do so several at a time.
                await asyncio.sleep(_REOPEN_S)
                await self._read(calm, LOST)
        finally:
            calm.close()

    async def _read(self, calm: _Calm, first: str | None = None) -> None:
        """Until the journal is lost. `first` is said when what follows cannot be missed."""
        with self._open() as tail:
            if first is not None:
                calm.say(first)
            try:
                await _follow(tail, calm)
            except JournalLostError:
                return


async def _follow(tail: JournalTail, calm: _Calm) -> None:
    """Hand on every hint. Ends only with an error of the tail's, or cancelled."""
    loop = asyncio.get_running_loop()
    descriptor = tail.fileno()
    broken: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if broken.done():  # and the tail perhaps closed
            return
        try:
            entries = tail.drain(_BATCH)
        except (OSError, JournalLostError) as error:
            broken.set_exception(error)
            return
        for subject in map(hint, entries):
            if subject is not None:
                calm.say(subject)
        if len(entries) == _BATCH:
            # More may be there while the descriptor is silent; others have their turn first.
            loop.call_soon(readable)

    loop.add_reader(descriptor, readable)
    try:
        await broken
    finally:
        loop.remove_reader(descriptor)


class _Calm:
    """Wakes at once, and for each subject once a second at most.

    What a subject says within the second after its wake becomes one wake at the second's end.
    Beyond eight subjects in a second the others share one.
    """

    def __init__(self, wake: Waker) -> None:
        self._wake = wake
        self._windows: dict[str, asyncio.TimerHandle] = {}
        self._held: set[str] = set()

    def say(self, subject: str) -> None:
        if subject not in self._windows and len(self._windows) >= _SUBJECTS:
            subject = MANY
        if subject in self._windows:
            self._held.add(subject)
            return
        loop = asyncio.get_running_loop()
        self._windows[subject] = loop.call_later(_WINDOW_S, self._end, subject)
        self._wake(Wake(Trigger.JOURNAL, subject))

    def close(self) -> None:
        """Nothing is said any more; what is held is dropped with it."""
        for window in self._windows.values():
            window.cancel()
        self._windows.clear()
        self._held.clear()

    def _end(self, subject: str) -> None:
        del self._windows[subject]
        if subject in self._held:
            self._held.remove(subject)
            self.say(subject)
