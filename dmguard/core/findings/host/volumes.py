"""What is promised to the volumes of a pool, and what they give back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import State
    from dmguard.core.settings import Settings

_DISCARDS = {"ignore": "discards-ignored", "nopassdown": "discards-kept"}


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    for pool in state.pools:
        volumes = host.volumes.get(pool.lv.uuid)
        if volumes is None or not settings.guards(pool.name):
            continue
        if volumes.virtual > pool.lv.size:
            yield Finding(
                "overprovisioned",
                pool.name,
                f"{pool.name}: its volumes may hold {format_size(volumes.virtual)}, it has"
                f" {format_size(pool.lv.size)}, and {pool.vg.name} has"
                f" {format_size(pool.vg.free)} free",
            )
        code = _DISCARDS.get(volumes.discards)
        if code is not None:
            yield Finding(code, pool.name, f"{pool.name}: LVM has discards={volumes.discards}")
