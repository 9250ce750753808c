"""What only the agent knows, for the commands: /run/dmguard/state.json."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from dmguard import __version__
from dmguard.core.codes import CODES
from dmguard.core.entry import LATEST
from dmguard.core.findings import Finding
from dmguard.edge import files

if TYPE_CHECKING:
    from dmguard.loop.memory import Memory
    from dmguard.loop.record import Paths, Recorder

log = logging.getLogger(__name__)

_AT_MOST_EVERY_S = 1.0


class Publisher:
    """Writes the file on change, atomically, at most once a second."""

    def __init__(self, paths: Paths, memory: Memory, recorder: Recorder) -> None:
        self.sources: dict[str, str] = {}
        self._path = paths.state
        self._memory = memory
        self._recorder = recorder
        self._started = time.time()
        self._written: dict[str, Any] = {}
        self._last = 0.0
        self._later: asyncio.TimerHandle | None = None

    def publish(self) -> None:
        loop = asyncio.get_running_loop()
        if self._later is None:
            wait = max(0.0, self._last + _AT_MOST_EVERY_S - loop.time())
            if wait:
                self._later = loop.call_later(wait, self._write)
            else:
                self._write()

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
        self._write()

    def _write(self) -> None:
        self._later = None
        values = self._values()
        if values == self._written:
            return
        self._written = values
        self._last = asyncio.get_running_loop().time()
        try:
            # On a tmpfs, so without a sync it does not wait for any disk.
            data = json.dumps(values).encode()
            files.write_atomic(self._path, data, mode=0o644, sync=False)
        except OSError as error:
            log.warning("%s: %s", self._path, error)

    def _values(self) -> dict[str, Any]:
        # Past to two digits: noise in the last one is no change.
        rates = {uuid: float(f"{rate:.2g}") for uuid, rate in self._memory.past.data.items()}
        return {
            "schema": 1,
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "sources": dict(self.sources),
            "rates": rates,
            "findings": [
                {"code": f.code, "subject": f.subject, "message": f.message}
                for f in self._memory.findings
            ],
            "recent": [entry.as_values() for entry in self._recorder.recent],
        }


def read_published(paths: Paths) -> dict[str, Any] | None:
    """What the agent published last; None if there is nothing that can be read."""
    try:
        values = json.loads(paths.state.read_text())
        return values if _is_sound(values) else None
    except (OSError, ValueError, RecursionError):
        return None


def _is_sound(values: Any) -> bool:
    """Is it what an agent publishes, as far as a command relies on it? What is missing may be."""
    if not isinstance(values, dict):
        return False
    maps = (("sources", str), ("rates", (int, float)))
    lists = (("findings", dict), ("recent", dict))
    started = values.get("started", 0)
    return (
        type(started) in (int, float)
        and 0 <= started < LATEST
        and all(_is_map(values.get(key, {}), kind) for key, kind in maps)
        and all(_is_list(values.get(key, []), kind) for key, kind in lists)
    )


def _is_map(value: object, kind: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(its, kind) for its in value.values())


def _is_list(value: object, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(its, kind) for its in value)


def is_alive(published: dict[str, Any] | None) -> bool:
    """Does the agent that published this still run?"""
    pid = (published or {}).get("pid")
    if not isinstance(pid, int) or pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def published_findings(published: dict[str, Any] | None) -> list[Finding]:
    """The findings that an earlier run told, so that this one does not tell them again."""
    try:
        rows = (published or {}).get("findings", [])
        return [
            Finding(row["code"], row["subject"], row["message"])
            for row in rows
            if row["code"] in CODES  # another version may have told of more
            and isinstance(row["subject"], str)
            and isinstance(row["message"], str)
        ]
    except (KeyError, TypeError):
        return []
