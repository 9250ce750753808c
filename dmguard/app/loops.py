"""Pools that are none of LVM's, as a table for people and as values for --json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmguard.app.render import percent, table
from dmguard.core.model import Resource
from dmguard.core.sizing import usage
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmguard.core.bare import Backing, BarePool
    from dmguard.core.model import Usage


def loop_table(pools: Sequence[BarePool]) -> str:
    """Two lines a pool: what of it is in use, and what it lies on."""
    head = ["POOL", "PART", "SIZE", "USED", "STATE", "ON", "ALLOCATED", "FREE BELOW"]
    rows = [_row(pool, resource) for pool in pools for resource in Resource]
    return table(head, rows, right=(2, 3, 6, 7))


def _row(pool: BarePool, resource: Resource) -> list[str]:
    used, backing = usage(pool.kernel, resource), pool.backing(resource)
    file = backing.file
    return [
        pool.name,
        str(resource),
        format_size(used.total if used else None),
        percent(used.percent if used else None),
        _state(pool),
        file.path if file else backing.node or "-",
        format_size(file.allocated if file else None),
        format_size(file.room if file else None),
    ]


def _state(pool: BarePool) -> str:
    kernel = pool.kernel
    words = (str(kernel.mode), *("needs_check",) * kernel.needs_check)
    return " ".join((*words, *("suspended",) * kernel.suspended))


def loop_values(pool: BarePool) -> dict[str, Any]:
    """One pool for --json. Unknown is null, never 0."""
    kernel = pool.kernel
    return {
        "name": pool.name,
        "docker": pool.is_docker,
        "mode": str(kernel.mode),
        "needs_check": kernel.needs_check,
        "suspended": kernel.suspended,
        "chunk_size": kernel.chunk,
        "low_water": kernel.low_water,
        "data": _part(pool.data, kernel.data),
        "metadata": _part(pool.metadata, kernel.metadata),
    }


def _part(backing: Backing, used: Usage | None) -> dict[str, Any]:
    file = backing.file
    return {
        "used": used.used if used else None,
        "size": used.total if used else None,
        "device": backing.node,
        "device_size": backing.size,
        "file": file.path if file else None,
        "file_size": file.size if file else None,
        "allocated": file.allocated if file else None,
        "free_below": file.room if file else None,
    }
