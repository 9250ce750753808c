"""Who is to keep its data in the pool, and what has to be written and moved for that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.actions import Configure
from dmguard.core.consumers import DAEMONS, SERVICES, containerd, daemon, daemonjson
from dmguard.core.consumers.edit import EditError
from dmguard.core.consumers.flags import Flags
from dmguard.core.host import socket_of
from dmguard.core.model import dm_name
from dmguard.core.plan.configuring import check_pool, plan_move, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.consumers.edit import Edit
    from dmguard.core.goals import SetUp
    from dmguard.core.host import Host
    from dmguard.core.model import State
    from dmguard.core.settings import ConsumerPolicy

AUTO = "auto"
"""Whoever of the known consumers is installed, if that is beyond doubt."""

_LAST_WITH_DRIVER = 24
_ROOT_PATH = "/var/lib/containerd/io.containerd.snapshotter.v1.devmapper"
_IMAGE_SIZE = "10GB"
_LEAST_FREE = 10
"""Percent that dm.min_free_space gets where it is not set: the driver's own default."""


def plan_consumer(
    state: State, host: Host, goal: SetUp, policies: Mapping[str, ConsumerPolicy]
) -> tuple[Configure, ...]:
    """What is still to be done for the consumer. RefusedError if something stands in the way."""
    name = _choose(host, goal)
    pool = dm_name(goal.vg, goal.pool)
    used = next((c.dm_name for c in state.consumers if c.name == name), None)
    serves = host.serves(name) if name else ""
    if not name or used == serves == pool:
        return ()
    if used == pool and serves is None:
        raise refuse(goal, "consumer-silent", f"{name} is configured for it")
    check_pool(name, state, host, goal)
    path = SERVICES[name].path
    if path in host.unreadable:
        raise refuse(goal, "config-unclear", f"{path} is there, and cannot be read")
    old = host.text(path)
    if used is not None and not _is_named_in(old or "", name, used):
        raise refuse(goal, "consumer-configured-elsewhere", f"it uses {used}")
    if name == "containerd" and used not in (None, pool):
        # Its snapshots' metadata.db is one for each root_path, and it names devices of that pool.
        raise refuse(goal, "consumer-has-data", f"its snapshots are in {used}, which {path} names")
    if others := _imported(name, host, pool):
        raise refuse(goal, "consumer-configured-elsewhere", f"it imports {others}")
    if told := _on_command_line(name, host):
        raise refuse(goal, "consumer-configured-elsewhere", f"it has {', '.join(told)}")
    try:
        edit = _edit(name, old or "", pool)
    except EditError as error:
        raise refuse(goal, "config-unclear", f"{path}: {error}") from error
    root = plan_move(name, state, host, goal)
    units = units_of(name, host, policies[name].unit)
    configure = Configure(
        consumer=name,
        units=units,
        vg=goal.vg,
        pool=goal.pool_name,
        dm_name=pool,
        path=path,
        text=edit.text,
        old=old,
        data=root,
        aside=_free_name(f"{root}.before-{pool}", name, host) if root else "",
        ran_before=any(host.is_up_or_coming(unit) for unit in units),
    )
    return (configure,)


def _choose(host: Host, goal: SetUp) -> str:
    """The consumer, empty for none."""
    name = goal.consumer
    if name == AUTO:
        found = [name for name, its in SERVICES.items() if its.command in host.programs]
        # Docker brings a containerd of its own.
        clear = found == ["docker", "containerd"] and _has_driver(host, goal)
        if len(found) > 1 and not clear:
            raise refuse(goal, "consumer-unclear", f"there are {', '.join(found)}")
        name = found[0] if found else ""
    needed = (SERVICES[name].command, SERVICES[name].client) if name else ()
    for program in filter(None, needed):
        if program not in host.programs:
            raise refuse(goal, "consumer-missing", program)
    if name == "docker" and not _has_driver(host, goal):
        raise refuse(goal, "docker-without-driver", f"it is version {host.docker_version}")
    return name


def _has_driver(host: Host, goal: SetUp) -> bool:
    major = re.match(r"\d+", host.docker_version or "")
    if major is None:
        raise refuse(goal, "docker-version-unknown", "dockerd --version does not tell it")
    return int(major[0]) <= _LAST_WITH_DRIVER


def _edit(name: str, text: str, pool: str) -> Edit:
    if name == "containerd":
        there = containerd.read(text)
        wanted = containerd.Wanted(
            pool,
            root_path=None if there and there.root_path else _ROOT_PATH,
            base_image_size=None if there and there.base_image_size else _IMAGE_SIZE,
            discard_blocks=True,
        )
        return containerd.configure(text, wanted)
    known = daemon.read(text) or daemon.Daemon()
    is_set = daemon.min_free(known.options.get("dm.min_free_space", "")) is not None
    least = None if is_set else _LEAST_FREE
    options = daemonjson.Wanted(pool, least, deferred=DAEMONS[name].deferred)
    return daemonjson.configure(text, options)


def _is_named_in(text: str, name: str, pool: str) -> bool:
    """Is it the file that names the pool, and not something else, as a command line?"""
    if name == "containerd":
        return containerd.pool_in(text) == pool
    return DAEMONS[name].pool_in(text, Flags()) == pool


def _imported(name: str, host: Host, pool: str) -> str:
    """The files that would have containerd use another pool whatever its own file says."""
    others = [path for path, other in host.imports.items() if other != pool]
    return ", ".join(others) if name == "containerd" else ""


def _on_command_line(name: str, host: Host) -> tuple[str, ...]:
    """What its command line has of its configuration: no daemon takes a key twice, or two files."""
    flags = host.flags.get(name, Flags())
    is_elsewhere = flags.config_file not in (None, SERVICES[name].path)
    return (*flags.conflicts, *(("config-file",) if is_elsewhere else ()))


def _free_name(path: str, name: str, host: Host) -> str:
    """A name that nothing has beside the folder: what is moved back must be what was moved."""
    data = host.isulad if name == "isulad" else host.docker
    taken = data.siblings if data else frozenset()
    numbered = (f"{path}.{number}" for number in range(2, 1000))
    return next(free for free in (path, *numbered) if free not in taken)


def units_of(name: str, host: Host, unit: str) -> tuple[str, ...]:
    """What is stopped, the service last. A socket would start Docker again when it is asked."""
    socket = host.units.get(socket_of(unit))
    is_there = name == "docker" and (socket is None or socket.is_there)
    return (socket_of(unit), unit) if is_there else (unit,)
