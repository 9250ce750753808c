"""What stands in the way of a consumer's new pool: who is in the pool, and what would be left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.actions import Act
from dmguard.core.consumers import DAEMONS, daemon
from dmguard.core.consumers.flags import Flags
from dmguard.core.model import dm_name
from dmguard.core.plan import RefusedError
from dmguard.core.plan import refuse as _refuse
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.goals import SetUp
    from dmguard.core.host import DockerData, Host
    from dmguard.core.model import KernelPool, State

_PASSING = re.compile(
    r"(\d+\.\d+/)?(storage/)?(devicemapper/mnt/[^/]+|overlay2?/[^/]+/merged)"
    r"|(\d+\.\d+/)?containers/[^/]+/mounts/.+"
    r"|(\d+\.\d+/)?netns/[^/]+"
)
"""What a daemon mounts for containers that run, and unmounts when it stops."""


def refuse(goal: SetUp, code: str, detail: str) -> RefusedError:
    return RefusedError(_refuse(goal.pool_name, code, Act.CONFIGURE, detail))


def check_pool(name: str, state: State, host: Host, goal: SetUp) -> None:
    """RefusedError if the pool is another's, or may be: two who use one pool destroy it."""
    wanted, pool = dm_name(goal.vg, goal.pool), state.pool(goal.pool_name)
    users = {consumer.name for consumer in state.consumers if consumer.dm_name == wanted}
    users |= {user for user, serving in host.serving.items() if serving == wanted}
    if others := sorted(users - {name}):
        raise refuse(goal, "pool-has-consumer", ", ".join(others))
    if pool is None:
        return
    if pool.lv.thin_count:
        raise refuse(goal, "pool-has-volumes", f"{pool.lv.thin_count} of them")
    # Of one that is not up it cannot be told: it is brought up first, and looked at again.
    if name not in users and pool.kernel is not None and (told := _traces(pool.kernel)):
        way = f"lvremove {goal.pool_name}, then the same with --move-data"
        raise refuse(goal, "pool-in-use", f"{told}; if nothing in it is needed: {way}")


def _traces(kernel: KernelPool) -> str:
    """What shows that someone has made a volume in the pool: a new one has no such thing."""
    if kernel.data is None or kernel.transaction_id is None:
        return "the kernel does not tell what is in it"
    if kernel.data.used:
        return f"{format_size(kernel.data.used)} are used"
    return f"its transaction is {kernel.transaction_id}" if kernel.transaction_id else ""


def plan_move(name: str, state: State, host: Host, goal: SetUp) -> str:
    """The folder to be moved aside, since what is in it would not be seen any more; else empty.

    containerd keeps what belongs to a pool by the pool's name, so that another one hides nothing.
    """
    used = next((c.dm_name for c in state.consumers if c.name == name), None)
    kept = {"docker": host.docker, "isulad": host.isulad}
    # One that runs knows better than its file, which may have been edited since it was started.
    if name not in kept or host.serving.get(name, used) == dm_name(goal.vg, goal.pool):
        return ""
    data = kept[name]
    if data is None:
        raise refuse(goal, "consumer-has-data", "what is in its folder cannot be read")
    words = [f"images of {driver}" for driver in sorted(data.drivers)]
    words += ["containers"] if data.containers else []
    words += ["devices of another pool"] if data.devices else []
    if not words:
        return ""
    if not goal.move_data:
        raise refuse(goal, "consumer-has-data", f"{' and '.join(words)} in {data.root}")
    if told := _fixed(name, data, host):
        raise refuse(goal, "data-not-movable", told)
    return data.root


def _fixed(name: str, data: DockerData, host: Host) -> str:
    """Why the folder cannot be moved by giving it another name; empty if it can be."""
    if data.is_link:
        return f"{data.root} is a symbolic link"
    if data.mounts is None:
        return f"what is mounted in {data.root} is not known"
    if "." in data.mounts:
        return f"{data.root} is a mount point"
    if foreign := [path for path in data.mounts if not _PASSING.fullmatch(path)]:
        return f"{data.root}/{foreign[0]} is a mount point"
    if name == "isulad" and data.containers:
        return "iSulad's containers run on while it is stopped"
    if name == "docker" and _lives_on(host):
        return "Docker has live-restore: its containers run on while it is stopped"
    return ""


def _lives_on(host: Host) -> bool:
    known = daemon.read(host.text(DAEMONS["docker"].path) or "") or daemon.Daemon()
    return known.under(host.flags.get("docker", Flags())).live_restore
