"""A pool that is out of data space: the kernel holds its writers, or already fails them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.model import Mode
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for pool in state.pools:
        kernel = pool.kernel
        if kernel is None or kernel.mode is not Mode.OUT_OF_DATA or not settings.guards(pool.name):
            continue
        code = "out-of-data-errors" if kernel.errors_when_full else "out-of-data"
        what = "writes fail" if kernel.errors_when_full else "writers wait"
        yield Finding(
            code,
            pool.name,
            f"{pool.name}: all {format_size(kernel.size)} of data are in use and {what};"
            f" {pool.vg.name} has {format_size(pool.vg.free)} free",
        )
