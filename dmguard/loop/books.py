"""The ledger of disks and the list of late pools: files that outlive a run, kept true."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dmguard.core.ledger import Ledger, keep_books, load_ledger
from dmguard.core.typed import texts_in
from dmguard.edge import files

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.core.model import State
    from dmguard.loop.ink import Ink
    from dmguard.loop.record import Paths

log = logging.getLogger(__name__)


class Books:
    """Read at each look, and only when a file changed; written when a look shows something new.

    Whoever writes holds the lock of the one writer, so that no word of another is lost.
    """

    def __init__(self, paths: Paths, ink: Ink) -> None:
        self._paths = paths
        self._ink = ink
        self._ledger: tuple[object, Ledger] = (None, Ledger())  # as long as there is no file
        self._unsaved: tuple[Ledger, Ledger] | None = None
        self._late: tuple[object, frozenset[str]] = (None, frozenset())

    def read_ledger(self) -> Ledger:
        """The ledger; an empty one if there is none.

        While what must be noted cannot be written, no disk is known not to be one taken out.
        """
        if self._unsaved is not None:
            return replace(self._unsaved[1], unreadable=True)
        stamp = _stamp(self._paths.ledger)
        if stamp != self._ledger[0]:
            self._ledger = (stamp, self._load_ledger())
        return self._ledger[1]

    def _load_ledger(self) -> Ledger:
        try:
            return load_ledger(json.loads(files.read_own(self._paths.ledger)))
        except FileNotFoundError:
            return Ledger()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s: %s", self._paths.ledger, error)
            return Ledger(unreadable=True)

    def read_late(self) -> frozenset[str]:
        """The pools that this boot waited for in vain."""
        stamp = _stamp(self._paths.activation)
        if stamp != self._late[0]:
            self._late = (stamp, _late_in(_read(self._paths.activation)))
        return self._late[1]

    async def keep(self, state: State) -> None:
        """Note what a look shows. If another holds the lock, the next look does it."""
        if state.ledger.unreadable and self._unsaved is None:
            return
        ledger = keep_books(state.ledger, state)
        came = {name for name in state.late if _is_up(name, state)}
        if ledger == state.ledger and not came and self._unsaved is None:
            return
        try:
            lock = files.Lock.acquire(self._paths.lock)
        except files.BusyError:
            return
        with lock:
            # What is on disk may have been changed by a command since the look.
            unsaved, self._unsaved = self._unsaved, None
            on_disk = self.read_ledger()
            base, now = unsaved or (on_disk, on_disk)
            ledger = keep_books(_with_words(now, base, on_disk), state)
            changed = not now.unreadable and ledger != on_disk
            if changed and not await self._write_ledger(ledger, base):
                self._unsaved = (base, ledger)
            if came:
                await self.write_late(self.read_late() - came)

    async def _write_ledger(self, ledger: Ledger, base: Ledger) -> bool:
        """Under the lock: replace the ledger, which was made of `base`. False if it could not be
        written (in time).
        """

        def write() -> None:
            # It may come late, when a command has had the lock and its word.
            values = _with_words(ledger, base, self._load_ledger()).as_values()
            files.write_atomic(self._paths.ledger, json.dumps(values, indent=1).encode())

        return await self._ink.write(write)

    async def write_late(self, late: frozenset[str]) -> None:
        """Under the lock: replace the list of late pools, which is on a tmpfs."""
        values = _read(self._paths.activation)
        values = values if isinstance(values, dict) else {}
        data = json.dumps(values | {"late": sorted(late)}).encode()
        await self._ink.write(lambda: files.write_atomic(self._paths.activation, data, sync=False))

    async def ignore(self, identity: str) -> bool:
        """Under the lock: a disk that is never to be asked for again. False if not written."""
        ledger = self.read_ledger()
        if ledger.unreadable:
            return False
        added = replace(ledger, ignored=ledger.ignored | {identity})
        return await self._write_ledger(added, ledger)


def _with_words(ledger: Ledger, base: Ledger, on_disk: Ledger) -> Ledger:
    """With what a command has had ignored since the ledger that this one was made of."""
    return replace(ledger, ignored=ledger.ignored | (on_disk.ignored - base.ignored))


def _late_in(values: Any) -> frozenset[str]:
    """What is no list of names holds nobody up."""
    try:
        return texts_in(values.get("late", [])) if isinstance(values, dict) else frozenset()
    except TypeError:
        return frozenset()


def _is_up(name: str, state: State) -> bool:
    pools = (pool for pool in state.pools if pool.kernel is not None)
    return any(name in (pool.name, pool.dm_name) for pool in pools)


def _stamp(path: Path) -> object:
    """Another one whenever the file is another; no two are alike of one that cannot be told."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return object()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _read(path: Path) -> Any:
    try:
        return json.loads(files.read_own(path))
    except (OSError, ValueError, RecursionError):
        return None
