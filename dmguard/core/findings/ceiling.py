"""A pool above a threshold that may not, or cannot, grow any further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import at_max_size, is_above, metadata_want, policy_for
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for pool in state.pools:
        kernel = pool.kernel
        if kernel is None or not settings.guards(pool.name) or obstacle(pool, state):
            continue
        policy = policy_for(pool, settings)
        most = policy.max_size
        above = is_above(kernel.data, policy.data_threshold)
        if most is not None and above and at_max_size(pool, policy):
            yield Finding(
                "pool-ceiling",
                pool.name,
                f"{pool.name}: above its threshold and at its max_size of {format_size(most)}",
            )
        if is_above(kernel.metadata, policy.metadata_threshold) and not metadata_want(pool, policy):
            yield Finding(
                "metadata-ceiling",
                pool.name,
                f"{pool.name}: metadata above its threshold and at the kernel's limit"
                f" ({format_size(pool.lv.metadata_size)})",
            )
