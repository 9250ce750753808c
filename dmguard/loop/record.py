"""One act → the journal and the history. Neither can hold up the loop."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.entry import Entry, load_entry
from dmguard.edge import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.edge.systemd import JournalWriter

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
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="ink")
        self._patience_s = patience_s
        self.late = False

    async def write(self, operation: Callable[[], None]) -> bool:
        """Run a write; False if it failed, or is still not done. Never raises for either."""
        future = asyncio.get_running_loop().run_in_executor(self._worker, operation)
        try:
            async with asyncio.timeout(0.0 if self.late else self._patience_s):
                await asyncio.shield(future)
        except TimeoutError:
            if not self.late:
                log.warning("writing to disk takes longer than %.0f s: going on", self._patience_s)
            self.late = True
            future.add_done_callback(self._caught_up)
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
        self._worker.shutdown(wait=not self.late, cancel_futures=True)


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
