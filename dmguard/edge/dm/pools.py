"""A thin pool's status and table lines → values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dmguard.core.bare import Backing, BarePool, Table
from dmguard.core.model import METADATA_BLOCK, KernelPool, Mode, Usage
from dmguard.edge.dm.wire import SUSPENDED, DmParseError

if TYPE_CHECKING:
    from dmguard.core.model import Devno
    from dmguard.edge.dm.wire import DmDevice, Target

_SECTOR = 512
_MOST = 1024
"""Lines that are remembered: of most pools they are what they were at the last look."""
_COUNT = r"(\d{1,20})"
_BLOCKS = f"{_COUNT}/{_COUNT}"
_MODES = "(rw|ro|out_of_data_space)"
_STATUS = re.compile(rf"{_COUNT} {_BLOCKS} {_BLOCKS} (?:\d{{1,20}}|-) {_MODES}(?: (.*))?", re.ASCII)
_TABLE = re.compile(r"\S+ \S+ (\d{1,20}) (\d{1,20})(?: |$)", re.ASCII)


def build_pool(
    device: DmDevice,
    live: Target,
    table: Target,
    flags: int,
    leaves: frozenset[Devno] = frozenset(),
) -> KernelPool:
    """Status and table of a thin pool, joined; without uuids if it is none of LVM's."""
    vg_uuid, lv_uuid = device.pool_ids or ("", "")
    try:
        chunk, low_water = parse_table(table.params)
        status = parse_status(live.params, chunk)
    except DmParseError as error:
        raise DmParseError(f"{device.name}: {error}") from None
    return KernelPool(
        dm_name=device.name,
        vg_uuid=vg_uuid,
        lv_uuid=lv_uuid,
        devno=device.devno,
        event_nr=device.event_nr,
        size=live.size,
        chunk=chunk,
        low_water=low_water,
        mode=status.mode,
        needs_check=status.needs_check,
        errors_when_full=status.errors_when_full,
        transaction_id=status.transaction_id,
        data=status.data,
        metadata=status.metadata,
        suspended=bool(flags & SUSPENDED),
        leaves=leaves,
    )


def build_bare(kernel: KernelPool, table: Target) -> BarePool:
    """A pool that is none of LVM's, with its table and the devices that it lies on."""
    match = re.match(r"(\d{1,9}):(\d{1,9}) (\d{1,9}):(\d{1,9}) ", table.params, re.ASCII)
    if not match:
        raise DmParseError(f"{kernel.dm_name}: unknown table {table.params!r}")
    metadata, data = (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))
    live = Table(table.size // _SECTOR, table.params.strip())
    return BarePool(kernel, live, data=Backing(data), metadata=Backing(metadata))


@dataclass(frozen=True, slots=True)
class Status:
    """A thin pool's status line."""

    mode: Mode
    needs_check: bool = False
    errors_when_full: bool = False
    transaction_id: int | None = None
    data: Usage | None = None
    metadata: Usage | None = None


@lru_cache(_MOST)
def parse_status(params: str, chunk: int) -> Status:
    """A status line; DmParseError for one that is not.

    Five fields have their place. What follows differs from kernel to kernel and is read by word.
    """
    words = params.split()
    if words in (["Fail"], ["Error"]):
        return Status(Mode(words[0]))
    match = _STATUS.fullmatch(" ".join(words))
    if not match:
        raise DmParseError(f"unknown status {params!r}")
    rest = (match[7] or "").split()
    return Status(
        mode=Mode(match[6]),
        needs_check="needs_check" in rest,
        errors_when_full="error_if_no_space" in rest,
        transaction_id=int(match[1]),
        metadata=Usage(int(match[2]) * METADATA_BLOCK, int(match[3]) * METADATA_BLOCK),
        data=Usage(int(match[4]) * chunk, int(match[5]) * chunk),
    )


@lru_cache(_MOST)
def parse_table(params: str) -> tuple[int, int]:
    """A table line → (bytes in a chunk, low water mark in chunks)."""
    match = _TABLE.match(params)
    if not match or int(match[1]) == 0:
        raise DmParseError(f"unknown table {params!r}")
    return int(match[1]) * _SECTOR, int(match[2])
