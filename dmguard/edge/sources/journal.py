"""The journal: what the kernel, dmeventd and the container engines say about a pool.

A hint that comes early and nothing more: with journald stopped the other sources see the same.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.run import RunError
from dmguard.edge.sources import teller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dmguard.core.wake import Waker

_WINDOW_S = 1.0
_SUBJECTS = 8
LOST = "the journal was rotated away"
MANY = "several at once"


class JournalEvents:
    """Wakes when an entry says that a pool should be looked at.

    Others can write to the journal, so their words cost little: see _Calm. Where the host keeps
    no journal at all this waits for ever, and nobody can tell (see JournalTail).
    """

    name = Trigger.JOURNAL

    def __init__(self, start: Callable[[int], Awaitable[object]]) -> None:
        """`start` starts a process that runs `teller` on the other end of that descriptor's pair.

        RunError if it cannot.
        """
        self._start = start

    async def run(self, wake: Waker) -> None:
        """OSError when the journal cannot be opened or read, or nobody is there to do it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        calm = _Calm(wake)
        try:
            with ours:
                ours.settimeout(0)
                with theirs:
                    await self._start(theirs.fileno())
                await self._listen(ours, calm)
        except RunError as error:
            raise OSError(str(error)) from error
        finally:
            calm.close()

    async def _listen(self, channel: socket.socket, calm: _Calm) -> None:
        loop = asyncio.get_running_loop()
        while message := await loop.sock_recv(channel, teller.LONGEST):
            kind, *lines = message.decode(errors="replace").split("\n")
            match kind:
                case teller.SAID:
                    for subject in lines:
                        calm.say(subject)
                case teller.LOST:
                    calm.say(LOST)
                case _:
                    raise OSError(" ".join(lines))
        raise ConnectionResetError("the process that reads the journal ended")


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
