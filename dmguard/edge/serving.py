"""Which pool a running consumer uses, by its own word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.edge.consumers import is_plugin_broken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dmguard.core.model import Consumer
    from dmguard.edge.dockerapi import Engine
    from dmguard.edge.run import Runner

# Of systemd's ActiveState: on the way up or down.
_MOVING = ("activating", "deactivating", "reloading", "refreshing")


async def read_serving(
    runner: Runner, consumers: Iterable[Consumer], units: Mapping[str, str], docker: Engine
) -> dict[str, str | None]:
    """For each consumer that runs the pool's device-mapper name: empty for none, None if unknown.

    `units` has the ActiveState of each consumer's unit; of one that starts or stops it is not known
    what it uses. `docker` is what Docker says. containerd tells that its plugin is well, and its
    configuration the pool; that of iSulad must do. None is asked that does not run: that would
    start it by its socket.
    """
    pools = {consumer.name: consumer.dm_name for consumer in consumers}
    found: dict[str, str | None] = {
        name: None for name, active in units.items() if active in _MOVING
    }
    running = {name for name, active in units.items() if active == "active"}
    if "docker" in running:
        found["docker"] = None if docker.version is None else docker.pool or ""
    if "isulad" in running:
        found["isulad"] = pools.get("isulad", "")
    if "containerd" in running:
        found["containerd"] = await _of_containerd(runner, pools.get("containerd", ""))
    return found


async def _of_containerd(runner: Runner, pool: str) -> str | None:
    is_broken = await is_plugin_broken(runner) if pool else False
    return None if is_broken is None else "" if is_broken else pool
