"""Which pool a running consumer uses, by its own word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.edge.consumers import is_plugin_broken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dmguard.core.model import Consumer
    from dmguard.edge.dockerapi import Engine
    from dmguard.edge.run import Runner


async def read_serving(
    runner: Runner, consumers: Iterable[Consumer], running: Collection[str], docker: Engine
) -> dict[str, str]:
    """For each consumer that is among the `running` ones the pool's device-mapper name.

    `docker` is what Docker says. containerd tells that its plugin is well, and its configuration
    the pool; that of iSulad must do. None is asked that does not run: that would start it by its
    socket.
    """
    pools = {consumer.name: consumer.dm_name for consumer in consumers}
    found = {"docker": docker.pool, "isulad": pools.get("isulad")}
    if {"containerd"} <= pools.keys() & running and await is_plugin_broken(runner) is False:
        found["containerd"] = pools["containerd"]
    return {name: pool for name, pool in found.items() if pool and name in running}
