"""A thin pool that the kernel runs and LVM's report does not list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    del settings
    for kernel in state.unknown:
        yield Finding(
            "pool-unknown",
            kernel.dm_name,
            f"{kernel.dm_name}: the kernel runs this thin pool and LVM does not list it",
        )
