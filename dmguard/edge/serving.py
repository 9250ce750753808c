"""Which pool a running consumer uses, by its own word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dmguard.edge.consumers import is_plugin_broken
from dmguard.edge.run import RunError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.model import Consumer
    from dmguard.edge.run import Runner

_DOCKER = ("docker", "info", "--format", "{{json .DriverStatus}}")
_PATIENCE_S = 20.0


async def read_serving(
    runner: Runner, consumers: Iterable[Consumer], running: Iterable[str]
) -> dict[str, str]:
    """For each consumer that is among the `running` ones the pool's device-mapper name.

    Docker tells it. containerd tells that its plugin is well, and its configuration the pool; that
    of iSulad must do. None is asked that does not run: that would start it by its socket.
    """
    there = set(running)
    pools = {consumer.name: consumer.dm_name for consumer in consumers}
    found = {}
    if "docker" in there:
        found["docker"] = parse_driver_status(await _ask_docker(runner))
    if "containerd" in there:
        well = await is_plugin_broken(runner) is False
        found["containerd"] = pools.get("containerd") if well else None
    if "isulad" in there:
        found["isulad"] = pools.get("isulad")
    return {name: pool for name, pool in found.items() if pool}


async def _ask_docker(runner: Runner) -> str:
    try:
        return (await runner.read(_DOCKER, timeout_s=_PATIENCE_S, aside=True)).stdout
    except RunError:
        return ""


def parse_driver_status(text: str) -> str | None:
    """docker info's DriverStatus as JSON → the pool's name, if the driver has one."""
    try:
        pairs = json.loads(text)
        return next((str(value) for key, value in pairs if key == "Pool Name"), None)
    except (ValueError, TypeError):
        return None
