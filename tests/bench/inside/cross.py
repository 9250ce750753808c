"""Fills a pool to its mark, again and again: cross.py POOL DEVICE COUNT TIMEOUT REST.

Before the first time the pool lies near its mark for REST seconds, as pools do; with none it comes
from far below, as fast as it goes.

One JSON line for each crossing: seconds from the kernel's event to the intent, to the start of
the command, and to the kernel's larger size; null for what was not seen.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from threading import Thread

from tests.bench.inside.pool import Pool, Seen, Starts

_PIECE = 512 << 10
_POLL_S = 0.001
_AFTER_S = 0.05
_CALM_S = 4.0
_NEAR = 0.7


class Filler:
    """Writes a device from its beginning, a piece at a time, past the cache, in its own thread."""

    def __init__(self, device: str) -> None:
        self._device = os.open(device, os.O_WRONLY | os.O_DIRECT)
        self._piece = mmap.mmap(-1, _PIECE)
        self._piece.write(os.urandom(_PIECE))
        self._at = 0
        self._thread = Thread()

    @property
    def writing(self) -> bool:
        """Is the last piece still on its way?"""
        return self._thread.is_alive()

    def begin(self) -> None:
        """One piece more, after the last one."""
        self.wait()
        self._thread = Thread(target=self._step)
        self._thread.start()

    def wait(self) -> None:
        """Until it is written."""
        if self._thread.ident is not None:
            self._thread.join()

    def _step(self) -> None:
        os.pwrite(self._device, self._piece, self._at)
        self._at += _PIECE


def is_near(seen: Seen) -> bool:
    """Is it five points below its mark, or nearer?"""
    return seen.used >= _NEAR * seen.total


def wait_for_event(pool: Pool, filler: Filler, before: Seen) -> Seen:
    """Write until the kernel raises its event.

    It is looked for beside each write: the one that crosses the mark stands still while the pool is
    suspended, and a fast guard has grown the pool before that write ends.
    """
    while True:
        filler.begin()
        until = None
        while until is None or time.monotonic() < until:
            seen = pool.read()
            if seen.event != before.event:
                return seen
            if until is None and not filler.writing:
                until = time.monotonic() + (_AFTER_S if is_near(seen) else 0)
            time.sleep(_POLL_S)


def watch(
    pool: Pool, event: Seen, size: int, starts: Starts, timeout: float
) -> dict[str, float | None]:
    """What follows an event in a pool of this size, in seconds after it."""
    found: dict[str, float | None] = {"decided": None, "started": None, "grown": None}
    after = 0.0
    while found["grown"] is None and after < timeout:
        # Before the pool is read: what came before the growth is not seen after it.
        decided, started = starts.look()
        seen = pool.read()
        after = round(seen.at - event.at, 4)
        grown = seen.size > size
        for key, is_so in (("decided", decided), ("started", started), ("grown", grown)):
            if is_so and found[key] is None:
                found[key] = after
        if not grown:
            time.sleep(_POLL_S)
    return found


def main() -> None:
    name, device, count, timeout, rest = sys.argv[1:]
    pool, filler = Pool(name), Filler(device)
    if float(rest):
        while not is_near(pool.read()):
            filler.begin()
            filler.wait()
        time.sleep(float(rest))
    found: dict[str, float | None] = {"grown": 0.0}
    for _ in range(int(count)):
        if found["grown"] is None:
            # A pool that nobody grew has no further mark to be filled to.
            print(json.dumps(found), flush=True)
            continue
        # A guard that has just begun, or has just grown the pool, still waits for udev and reads
        # LVM anew: that is no part of it.
        time.sleep(_CALM_S)
        starts = Starts()
        before = pool.read()
        event = wait_for_event(pool, filler, before)
        found = watch(pool, event, before.size, starts, float(timeout))
        print(json.dumps(found), flush=True)


main()
