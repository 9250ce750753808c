"""A host around Docker's pool on which nothing is wrong, and what can be changed of it."""

import json
from dataclasses import replace

from dmguard.core.findings.host import find_around
from dmguard.core.host import ACTIVATE, AGENT, DockerData, FileText, Host, LvmConf, UnitFacts
from dmguard.core.model import Consumer, Pool, State
from dmguard.core.settings import Settings
from dmguard.core.sizing import low_water_for
from tests.unit.builders import (
    CHUNK,
    MIB,
    in_kernel,
    make_pool,
    make_settings,
    make_state,
    with_profile,
)

DAEMON_JSON = "/etc/docker/daemon.json"
GROWS = "activation {\n\tthin_pool_autoextend_threshold=80\n\tthin_pool_autoextend_percent=20\n}\n"
UNITS = {
    AGENT: UnitFacts(AGENT),
    ACTIVATE: UnitFacts(ACTIVATE, active="inactive"),
    "docker.service": UnitFacts(
        "docker.service", after=frozenset({ACTIVATE}), wants=frozenset({ACTIVATE})
    ),
}


def follows(pool: Pool, name: str | None) -> Pool:
    """The pool, with this profile attached."""
    return replace(pool, lv=replace(pool.lv, profile=name))


SIZE = 10_000 * MIB
POOL = in_kernel(
    follows(with_profile(make_pool(), 80), "vg-pool"), low_water=low_water_for(SIZE, CHUNK, 80)
)


def daemon_json(*options: str, driver: str | None = "devicemapper") -> FileText:
    document: dict[str, object] = {"storage-driver": driver} if driver else {}
    return FileText(json.dumps(document | {"storage-opts": list(options)}))


HOST = Host(
    lvm=LvmConf(),
    monitored={POOL.lv.uuid: True},
    profiles={"vg-pool": GROWS},
    files={DAEMON_JSON: daemon_json("dm.thinpooldev=/dev/mapper/vg-pool")},
    docker_version="20.10.24+dfsg1",
    docker=DockerData("/var/lib/docker", there=True, devices=True),
    units=UNITS,
    dmeventd=True,
)


def around(
    pool: Pool = POOL, host: Host = HOST, *, consumer: str | None = "docker", **state: object
) -> State:
    """The state of a host with this pool, which a program uses."""
    users = (Consumer(consumer, pool.dm_name),) if consumer else ()
    seen = replace(make_state(pool), consumers=users, host=host)
    return replace(seen, **state)  # type: ignore[arg-type]


def conf(host: Host = HOST, **changes: object) -> Host:
    """The host, with something else in LVM's configuration."""
    assert host.lvm is not None
    return replace(host, lvm=replace(host.lvm, **changes))  # type: ignore[arg-type]


def unit(name: str, host: Host = HOST, **changes: object) -> Host:
    """The host, with something else about a unit."""
    changed = replace(host.units.get(name, UnitFacts(name)), **changes)  # type: ignore[arg-type]
    return replace(host, units={**host.units, name: changed})


def file(path: str, text: str | FileText, host: Host = HOST) -> Host:
    """The host, with another text in a file."""
    new = FileText(text) if isinstance(text, str) else text
    return replace(host, files={**host.files, path: new})


NO_AGENT = unit(AGENT, active="inactive")


def told(state: State, settings: Settings | None = None) -> dict[str, str]:
    """The codes that are found around the pools, and the subject of each."""
    found = find_around(state, settings or make_settings())
    return {finding.code: finding.subject for finding in found}
