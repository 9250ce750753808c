"""What lies below pools that are none of LVM's, and those of them that are configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.bare import RawPool
from dmguard.edge.loopdev import Loops, read_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.bare import BarePool, Place
    from dmguard.core.settings import RawRule, Settings


class Below:
    """Reads sysfs and the files; starts no process."""

    def __init__(self, settings: Callable[[], Settings], loops: Loops | None = None) -> None:
        self._settings = settings
        self._loops = loops or Loops()

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
        head = b"" if metadata is None or pool is not None else _head(metadata)
        return RawPool(rule, pool, data, metadata, head)


def _head(place: Place) -> bytes:
    try:
        return read_head(place.path)
    except OSError:
        return b""
