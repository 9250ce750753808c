"""The agent's end of the resident LVM: starts it when growth is near, and asks it for one command
at a time. Whatever is wrong with it, the answer is None, and a plain command does the same.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from dmguard.edge import lvm
from dmguard.edge.resident import server
from dmguard.edge.run import Completed, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from dmguard.edge.run import Kept, Runner

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-IS", server.__file__)

_KEEP_S = 600.0
"""How long it stays when no pool is near its threshold any more."""

_START_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 3600.0
_GROWTH = 12 << 20
"""Bytes that it may be larger than after its first command; then another one takes its place.

It takes 8 MiB for what it reads of disks, gives them back, and now and then cannot use them again:
over 100 growths in a group of 100 pools that was seen once and four times. 64 MiB are not reached.
"""

# LVM splits a line into words at spaces, and knows quotes and comments (lvm2, lib/misc/lvm-string
# and tools/lvmcmdline.c): only words in which neither can be are given to it.
_WORD = re.compile(r"[\w+./:=,-]+", re.ASCII)
_ANSWER = re.compile(rb"(-?\d{1,9})\0(\d{1,18})\0([^\0]*)\0([^\0]*)")
_WORDS = re.compile(r"[\w+./:=, \"|^$*\[\]-]+", re.ASCII)


class Resident:
    """One such process at most. Its calls come from one event loop.

    It is started when growth is expected, and ended when none was for long, when LVM's
    configuration or LVM itself was changed. One that grew goes on until another is ready. One that
    dies is replaced, ever more seldom if that happens again and again.
    """

    def __init__(
        self,
        runner: Runner,
        command: Sequence[str] = _COMMAND,
        version: Callable[[], Hashable] = lvm.settings_fingerprint,
    ) -> None:
        self._runner = runner
        self._command = tuple(command)
        self._read_version = version
        self._version: Hashable = None
        self._kept: Kept | None = None
        self._leaving: list[Kept] = []
        self._channel: socket.socket | None = None
        self._next: tuple[Kept, socket.socket] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._busy = False
        self._first_size = 0
        self._size = 0
        self._until = 0.0
        self._not_before = 0.0
        self._pause = _FIRST_PAUSE_S

    @property
    def ready(self) -> bool:
        """Could it run a command now?"""
        return self._channel is not None and not self._busy

    def expect(self, *, growth: bool) -> None:
        """Growth is near, or it is not: start it, keep it, replace it or end it. Does not wait."""
        now = time.monotonic()
        self._leaving = [kept for kept in self._leaving if kept.alive]
        if growth:
            self._until = now + _KEEP_S
        if self._busy or self._starting is not None:
            return
        self._take_next()
        if self._channel is not None and not (
            now < self._until and self._is_alive() and self._is_current()
        ):
            self._part()
        if (self._channel is None or self._has_grown()) and now < self._until:
            self._begin(now)

    def _begin(self, now: float) -> None:
        if self._starting is None and self._next is None and now >= self._not_before:
            self._starting = asyncio.create_task(self._start())

    async def change(self, words: Sequence[str], *, stdin: int) -> Completed | None:
        """Run an LVM command to its end, even if the caller is cancelled.

        `words` are without the leading `lvm`, and `stdin` is as Runner.change has it. None: nothing
        was done. A negative status: it died, and what it had done by then is not known.
        """
        if not self._busy:
            self._take_next()
        channel = self._channel
        line = _line(words)
        if channel is None or line is None or self._busy or not self._is_alive():
            return None
        # A descriptor of its own: see Runner.change.
        held = os.dup(stdin)
        self._busy = True
        ask = functools.cache(partial(_send, channel, line, held))
        if not self._runner.writing:
            # It is its turn: LVM begins before the writers' thread has woken. It is asked once.
            ask()
        completed = await self._runner.work(
            f"{lvm.LVM} {line.decode()}", partial(self._exchange, channel, line, ask)
        )
        if completed.status < 0:
            self._rest(completed.stderr)
            self._part()
        elif self._has_grown():
            self._begin(time.monotonic())
        return completed

    async def close(self) -> None:
        """End it. One that is at a command comes to the end of that by itself."""
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        self._until = 0.0
        self._take_next()
        self._part()

    def _is_alive(self) -> bool:
        return self._kept is not None and self._kept.alive

    def _has_grown(self) -> bool:
        """Is it larger than it may be?"""
        return self._first_size > 0 and self._size - self._first_size > _GROWTH

    def _take_next(self) -> None:
        """The one that is ready to follow takes the place of the one that grew."""
        if self._next is not None:
            self._part()
            (self._kept, self._channel), self._next = self._next, None
            self._first_size = 0

    def _is_current(self) -> bool:
        """Has it the configuration of now? It reads that itself before each command, but for what
        only a start reads.
        """
        return self._version == self._read_version()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            async with asyncio.timeout(_START_S):
                with theirs:
                    self._version = self._read_version()
                    kept = await self._runner.keep(self._command, theirs.fileno())
                await _await_hello(ours)
        except TimeoutError:
            self._rest("it does not become ready")
            ours.close()
        except (RunError, OSError) as error:
            self._rest(str(error))
            ours.close()
        except BaseException:
            ours.close()
            raise
        else:
            self._next = (kept, ours)
            if not self._busy:
                self._take_next()
            log.debug("the resident LVM is ready")
        finally:
            self._starting = None

    def _exchange(
        self, channel: socket.socket, line: bytes, ask: Callable[[], OSError | None]
    ) -> Completed:
        """In the writers' thread: for as long as the command takes."""
        began = time.monotonic()
        try:
            if (error := ask()) is not None:
                raise error
            answer = channel.recv(server.LONGEST)
            if not answer:
                raise ConnectionResetError("it ended in the middle of a command")
            parts = _ANSWER.fullmatch(answer)
            if parts is None:
                raise ConnectionAbortedError(f"its answer is none: {answer[:100]!r}")
        except OSError as error:
            status, out, err = -1, b"", f"the resident LVM: {error}".encode()
        else:
            status, self._size = int(parts[1]), int(parts[2])
            out, err = parts[3], parts[4]
            self._first_size = self._first_size or self._size
            self._pause = _FIRST_PAUSE_S
        finally:
            self._busy = False
        return Completed(
            (lvm.LVM, line.decode()),
            status,
            out.decode(errors="replace"),
            err.decode(errors="replace"),
            time.monotonic() - began,
        )

    def _rest(self, why: str) -> None:
        log.warning("no resident LVM is started for %.0f s: %s", self._pause, why)
        self._not_before = time.monotonic() + self._pause
        self._pause = min(4 * self._pause, _LONGEST_PAUSE_S)

    def _part(self) -> None:
        """It ends by itself when its command has."""
        if self._channel is not None and self._kept is not None:
            self._channel.close()
            self._leaving.append(self._kept)
        self._channel = self._kept = None


def _send(channel: socket.socket, line: bytes, held: int) -> OSError | None:
    """Give it the command; it is there, and at none, so that this does not wait."""
    try:
        socket.send_fds(channel, [line], [held], socket.MSG_DONTWAIT)
    except OSError as error:
        return error
    finally:
        os.close(held)
    return None


async def _await_hello(channel: socket.socket) -> None:
    """OSError if it ends before."""
    channel.settimeout(0)
    if not await asyncio.get_running_loop().sock_recv(channel, server.LONGEST):
        raise ConnectionResetError("it ended before it was ready")
    channel.settimeout(None)


def _line(words: Sequence[str]) -> bytes | None:
    """The words as LVM reads them again from one line; None if one could be read otherwise."""
    if not all(_WORDS.fullmatch(word) for word in words):
        return None
    return " ".join(word if _WORD.fullmatch(word) else f"'{word}'" for word in words).encode()
