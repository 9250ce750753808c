"""The section of the configuration that a pool, as it runs now, would be brought up by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dmguard.core.actions import Act
from dmguard.core.plan import Refusal, refuse
from dmguard.core.units import format_exact

if TYPE_CHECKING:
    from dmguard.core.bare import Backing
    from dmguard.core.model import State


def raw_section(state: State, name: str) -> str | Refusal:
    """[[raw_pool]] for the live pool of this device-mapper name, as TOML.

    Docker's own is refused: Docker makes it anew itself at each start, and under another name
    where its folder moves.
    """
    pool = next((pool for pool in state.bare if pool.name == name), None)
    if pool is None:
        return _refuse(name, "no-such-pool")
    if pool.is_docker:
        return _refuse(name, "raw-docker")
    data, metadata = stable_path(pool.data, state), stable_path(pool.metadata, state)
    if data is None or metadata is None:
        return _refuse(name, "raw-no-name")
    options = pool.table.params.split()[5:]
    lines = [
        "[[raw_pool]]",
        f"name = {json.dumps(name)}",
        f"data = {json.dumps(data)}",
        f"metadata = {json.dumps(metadata)}",
        f"block_size = {json.dumps(format_exact(pool.kernel.chunk))}",
        f"low_water = {pool.kernel.low_water}",
    ]
    if options:
        lines.append(f"options = {json.dumps(options)}")
    return "\n".join(lines) + "\n"


def stable_path(backing: Backing, state: State) -> str | None:
    """A path that leads to the same after a boot: a file that a loop device shows whole, or a link
    of a disk's identity; None if there is none.
    """
    if backing.is_loop:
        file = backing.file
        return file.path if file and not file.offset and not file.limit else None
    disk = state.disk_at(backing.devno)
    links = sorted(link for link in (disk.links if disk else ()) if "/by-id/" in link)
    return links[0] if links else None


def _refuse(name: str, code: str) -> Refusal:
    return refuse(name, code, Act.ACTIVATE_RAW)
