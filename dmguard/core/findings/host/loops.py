"""Docker that makes its own pool on two files: well enough for a try, and not for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    del settings, host
    for pool in state.bare:
        if pool.is_docker and pool.is_loop:
            below = pool.data.file.path if pool.data.file else pool.data.node
            yield Finding("loop-lvm", pool.name, f"{pool.name}: Docker's pool lies on {below}")
