"""What changes a thin pool's live table. Each call is one ioctl, and may wait for the pool."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from dmguard.core.bare import SECTOR, Table
from dmguard.edge.dm.control import Control
from dmguard.edge.dm.wire import (
    HEADER,
    NOFLUSH,
    STATUS_TABLE,
    SUSPENDED,
    TARGET,
    decode_target,
)

_DEV_SUSPEND, _TABLE_LOAD, _TABLE_CLEAR, _TABLE_STATUS = 0x06, 0x09, 0x0A, 0x0C
_INACTIVE, _SKIP_LOCKFS, _QUERY_INACTIVE = 1 << 6, 1 << 10, 1 << 12


@dataclass(frozen=True, slots=True)
class Live:
    """A pool's live table; is it suspended, and is another table loaded beside it?"""

    table: Table
    suspended: bool
    inactive: bool


class Tables(Control):
    """A control device through which tables are changed."""

    def read_live(self, name: str) -> Live | None:
        """None if there is no thin pool of that name, or it has no live table."""
        found = self._read(name)
        if found is None:
            return None
        table, flags = found
        return Live(table, bool(flags & SUSPENDED), bool(flags & _INACTIVE))

    def read_loaded(self, name: str) -> Table | None:
        """The table that is loaded beside the live one; None if there is none."""
        found = self._read(name, _QUERY_INACTIVE)
        return found and found[0]

    def _read(self, name: str, more: int = 0) -> tuple[Table, int] | None:
        """A table of a thin pool, and the flags of the answer."""
        try:
            reply = self._call(_TABLE_STATUS, name, flags=NOFLUSH | STATUS_TABLE | more)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise
        target = decode_target(reply)
        if target is None or target.kind != "thin-pool":
            return None
        table = Table(target.size // SECTOR, target.params.strip())
        return table, HEADER.unpack_from(reply)[7]

    def load(self, name: str, table: Table) -> None:
        """Load it beside the live one, which goes on."""
        params = table.params.encode() + b"\0"
        params += b"\0" * (-len(params) % 8)
        spec = TARGET.pack(0, table.sectors, 0, TARGET.size + len(params), b"thin-pool")
        self._call(_TABLE_LOAD, name, target=spec + params)

    def resume(self, name: str) -> None:
        """Swap in what is loaded, in one call: the kernel suspends the pool, swaps the tables and
        resumes it (Linux, drivers/md/dm-ioctl.c, do_resume).

        Where that fails on the way, the pool is left suspended. Queued I/O is not waited for: in a
        full pool it waits for this.
        """
        self._call(_DEV_SUSPEND, name, flags=NOFLUSH | _SKIP_LOCKFS)

    def clear(self, name: str) -> None:
        """Drop what is loaded beside the live table, if anything is."""
        self._call(_TABLE_CLEAR, name)
