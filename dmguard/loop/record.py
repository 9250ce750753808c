"""One act → the journal and the history. Neither can hold up the loop."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from dmguard.core.entry import Entry, load_entry
from dmguard.edge import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.edge.systemd import JournalWriter

    _Queue = SimpleQueue[tuple[Callable[[], None], Future[None]] | None]

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_HISTORY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Paths:
    """Where dmguard keeps what it must remember."""

    run: Path = Path("/run/dmguard")
    lib: Path = Path("/var/lib/dmguard")
    door: str = "intent"
    """The name of the intent file. `activate` has its own: it could not settle what the agent,
    which does more, was about when the power went."""

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def agent(self) -> Path:
        return self.run / "agent.lock"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def intent(self) -> Path:
        return self.lib / f"{self.door}.json"

    @property
    def left(self) -> Path:
        """An intent that whoever found it could not settle."""
        return self.lib / f"{self.door}-left.json"

    @property
    def apart(self) -> Path:
        """The intent of an act that lets go of the lock while it waits. Others are begun then."""
        return self.lib / f"{self.door}-apart.json"

    @property
    def seat(self) -> Path:
        """The lock that such an act holds to its end, and whoever else acts on consumers."""
        return self.run / "consumers.lock"

    @property
    def ledger(self) -> Path:
        return self.lib / "disks.json"

    @property
    def activation(self) -> Path:
        """What `activate` tells the agent and its own later runs, until the next boot."""
        return self.run / "activate.json"

    @property
    def history(self) -> Path:
        return self.lib / "history.jsonl"


class Ink:
    """Writes files that may lie on the very pool that has stopped: waits for them, but not long.

    A write that is late stays queued and those behind it too, in their order.
    """

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._queue: _Queue = SimpleQueue()
        self._thread: Thread | None = None
        self._patience_s = patience_s
        self.late = False

    async def write(self, operation: Callable[[], None]) -> bool:
        """Run a write; False if it failed, or is still not done. Never raises for either."""
        if self._thread is None:
            # A daemon: whoever ends is not held back by a write that hangs.
            self._thread = Thread(target=_work, args=(self._queue,), name="ink", daemon=True)
            self._thread.start()
        future: Future[None] = Future()
        self._queue.put((operation, future))
        done = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(0.0 if self.late else self._patience_s):
                await asyncio.shield(done)
        except TimeoutError:
            if not self.late:
                log.warning("writing to disk takes longer than %.0f s: going on", self._patience_s)
            self.late = True
            done.add_done_callback(self._caught_up)
            return False
        except OSError as error:
            log.warning("%s", error)
            return False
        return True

    def _caught_up(self, future: asyncio.Future[None]) -> None:
        self.late = False
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """After what is queued, unless that hangs: then it may never be written."""
        self._queue.put(None)
        if self._thread is not None and not self.late:
            self._thread.join()
        self._queue, self._thread = SimpleQueue(), None


def _work(queue: _Queue) -> None:
    while (writing := queue.get()) is not None:
        operation, future = writing
        future.set_running_or_notify_cancel()
        try:
            operation()
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            future.set_exception(error)
        else:
            future.set_result(None)


class Recorder:
    """Each entry to the journal and to the history, once."""

    def __init__(self, paths: Paths, journal: JournalWriter, ink: Ink) -> None:
        self._paths = paths
        self._journal = journal
        self._ink = ink
        self.recent: list[Entry] = []

    async def record(self, entry: Entry) -> None:
        entry = replace(entry, at=entry.at or time.time(), id=entry.id or uuid.uuid4().hex)
        self.recent = [*self.recent[-9:], entry]
        self._journal.send(entry.message, **entry.as_fields())
        line = json.dumps(entry.as_values())
        await self._ink.write(
            lambda: files.append_line(self._paths.history, line, limit=_HISTORY_LIMIT)
        )


def read_history(paths: Paths) -> list[Entry]:
    """What was recorded, oldest first. A line that a power cut tore is left out."""
    entries = []
    for line in files.read_lines(paths.history):
        try:
            entries.append(load_entry(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries
