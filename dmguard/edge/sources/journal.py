"""The journal: what the kernel, dmeventd and the container engines say about a pool.

A hint that comes early and nothing more: with journald stopped the other sources see the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import threading
from typing import TYPE_CHECKING

from dmguard.core.hints import MATCHES, hint
from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.systemd import JournalLostError, JournalTail

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.wake import Waker

log = logging.getLogger(__name__)

_BATCH = 256
_PATIENCE_S = 1.0
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

        def opened() -> None:
            if first is not None:
                calm.say(first)

        follower = _Follower(self._open, opened, calm.say)
        try:
            await follower.ended
        except JournalLostError:
            return
        finally:
            await follower.stop()


class _Follower:
    """A thread that reads the journal and hands every hint to the loop.

    A thread of its own, because the journal's files are mapped memory: where they lie on the pool
    that has stopped, reading them may stop, too.
    """

    def __init__(
        self,
        open_tail: Callable[[], JournalTail],
        opened: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = open_tail
        self._opened = opened
        self._say = say
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._stopping = False
        self._waker, self._wakee = socket.socketpair()
        self._thread = threading.Thread(target=self._work, name="journal-tail", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Nothing is said any more. A thread that hangs is left behind."""
        self._stopping = True
        self._waker.close()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._gone.wait()
        except TimeoutError:
            log.warning("the journal cannot be read: it hangs")

    def _work(self) -> None:
        try:
            with self._wakee, self._open() as tail:
                self._call(self._opened)
                self._follow(tail)
        except (OSError, JournalLostError) as error:
            self._call(self._end, error)
        self._call(self._gone.set, always=True)

    def _follow(self, tail: JournalTail) -> None:
        """Hand on every hint. Ends with an error of the tail's, or when it is told to."""
        poll = select.poll()
        for descriptor in (tail.fileno(), self._wakee.fileno()):
            poll.register(descriptor, select.POLLIN)
        while not self._stopping:
            poll.poll()
            full = True
            while full and not self._stopping:
                # As many as were asked for: more may be there while the descriptor is silent.
                entries = tail.drain(_BATCH)
                full = len(entries) == _BATCH
                for subject in map(hint, entries):
                    if subject is not None:
                        self._call(self._say, subject)

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def _call(self, function: Callable[..., None], *args: object, always: bool = False) -> None:
        """In the loop's thread; nothing any more once it is stopping."""
        if self._stopping and not always:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._run, function, args, always)

    def _run(self, function: Callable[..., None], args: tuple[object, ...], always: bool) -> None:  # noqa: FBT001 - passed on
        if always or not self._stopping:
            function(*args)


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
