"""What lies below pools that are none of LVM's, and those of them that are configured."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.bare import RawPool
from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.loopdev import Loops
from dmguard.edge.loopfile import read_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.bare import BarePool, Place
    from dmguard.core.settings import RawRule, Settings

_HEAD_S = 5.0


class Below:
    """Reads sysfs and the files; starts no process, and waits for no disk but in `read_heads`."""

    def __init__(self, settings: Callable[[], Settings], loops: Loops | None = None) -> None:
        self._settings = settings
        self._loops = loops or Loops()
        self._heads: dict[tuple[str, object], bytes] = {}

    def fill(self, pools: tuple[BarePool, ...]) -> tuple[BarePool, ...]:
        """The pools, with what their data and metadata lie on."""
        return tuple(
            replace(
                pool,
                data=self._loops.read_backing(pool.data.devno),
                metadata=self._loops.read_backing(pool.metadata.devno),
            )
            for pool in pools
        )

    def read_raws(self, pools: tuple[BarePool, ...]) -> tuple[RawPool, ...]:
        """The configured pools, each with the one of its name that is up."""
        up = {pool.name: pool for pool in pools}
        return tuple(self._read(rule, up.get(rule.name)) for rule in self._settings().raws)

    def _read(self, rule: RawRule, pool: BarePool | None) -> RawPool:
        data, metadata = self._loops.read_place(rule.data), self._loops.read_place(rule.metadata)
        # The metadata of a pool that is up is the kernel's.
        head = self._heads.get(_key(metadata), b"") if metadata and not pool else b""
        return RawPool(rule, pool, data, metadata, head)

    async def read_heads(self, raws: tuple[RawPool, ...]) -> tuple[RawPool, ...]:
        """The same with the first block of the metadata of those that are down.

        A disk that does not answer in time has none, and holds up no other pool any longer.
        """
        down = {_key(raw.metadata): raw.metadata for raw in raws if raw.metadata and not raw.pool}
        heads = await asyncio.gather(*(_read_head(place.path) for place in down.values()))
        self._heads = dict(zip(down, heads, strict=True))
        return tuple(
            replace(raw, head=self._heads[_key(raw.metadata)])
            if raw.metadata and not raw.pool
            else raw
            for raw in raws
        )


def _key(place: Place) -> tuple[str, object]:
    return place.path, place.inode or place.devno


async def _read_head(path: str) -> bytes:
    try:
        return await within(_HEAD_S, path, lambda _: read_head(path))
    except (DoubtError, OSError):
        return b""
