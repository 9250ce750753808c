"""One act → the journal and the history. Neither can hold up the loop."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.entry import Entry, load_entry
from dmguard.edge import files

if TYPE_CHECKING:
    from concurrent.futures import Future

    from dmguard.edge.systemd import JournalWriter
    from dmguard.loop.ink import Ink

_HISTORY_LIMIT = 1 << 20
_PATIENCE_S = 1.0


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


class Recorder:
    """Each entry to the journal and to the history, once.

    To the journal first: whoever dies in between is asked by the history what was told, and tells
    nothing twice. One that stands still is waited for once, and not long.
    """

    def __init__(self, paths: Paths, journal: JournalWriter, ink: Ink) -> None:
        self._paths = paths
        self._journal = journal
        self._ink = ink
        self._owed: Future[None] | None = None
        self.recent: list[Entry] = []

    async def record(self, entry: Entry) -> None:
        entry = replace(entry, at=entry.at or time.time(), id=entry.id or uuid.uuid4().hex)
        self.recent = [*self.recent[-9:], entry]
        await self._wait_for(self._journal.send(entry.message, **entry.as_fields()))
        line = json.dumps(entry.as_values())
        await self._ink.write(
            lambda: files.append_line(self._paths.history, line, limit=_HISTORY_LIMIT)
        )

    async def _wait_for(self, sent: Future[None]) -> None:
        import asyncio  # who only reads the history needs none

        if self._owed is not None and not self._owed.done():
            return
        self._owed = sent
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                # Shielded: it is the thread's to end.
                await asyncio.shield(asyncio.wrap_future(sent))


def read_history(paths: Paths) -> list[Entry]:
    """What was recorded, oldest first. A line that is none, as a torn one, is left out."""
    entries = []
    for line in files.read_lines(paths.history):
        try:
            entries.append(load_entry(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            continue
    return entries
