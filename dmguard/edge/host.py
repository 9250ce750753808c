"""The host around the pools: files of configuration, programs, units, Docker's data."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.consumers import DAEMONS, SERVICES
from dmguard.core.consumers.daemon import Daemon, read
from dmguard.core.consumers.flags import Flags
from dmguard.core.host import (
    ACTIVATE,
    AGENT,
    KUBELET_UNIT,
    PROFILE_DIR,
    FileText,
    Host,
    UnitFacts,
    socket_of,
)
from dmguard.core.settings import CONSUMERS
from dmguard.core.units import parse_count
from dmguard.edge.consumers import (
    known_daemons,
    read_containerd_path,
    read_flags,
    read_imports,
)
from dmguard.edge.datafolder import read_docker_data, read_isulad_data
from dmguard.edge.dockerapi import SOCKET, Engine, ask_docker
from dmguard.edge.lvmconf import read_conf, read_profiles, read_volumes
from dmguard.edge.run import SEARCH_PATH, RunError
from dmguard.edge.serving import read_serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dmguard.core.model import Consumer
    from dmguard.core.settings import ConsumerPolicy
    from dmguard.edge.run import Runner

OWN_SETTINGS = "etc/dmguard/conf.d/*.toml"
FILES = (
    *(service.path for service in SERVICES.values()),
    "/etc/sysconfig/docker-storage-setup",
    "/var/lib/kubelet/config.yaml",
)
PROGRAMS = (
    *(service.command for service in SERVICES.values()),
    *(service.client for service in SERVICES.values() if service.client),
    "kubelet",
    "lvm",
    "thin_check",
    "thin_dump",
    "thin_repair",
)
UNITS = (
    AGENT,
    ACTIVATE,
    KUBELET_UNIT,
    "docker.socket",
    *(service.unit for service in SERVICES.values()),
)
_PROPERTIES = "Id,LoadState,ActiveState,After,Wants,Requires,ExecStart,MainPID"
_LARGEST = 1 << 20
_VERSION = re.compile(r"\bversion (\d[^\s,]*)")


async def read_host(
    runner: Runner,
    *,
    dmeventd: bool,
    consumers: Iterable[Consumer] = (),
    policies: Mapping[str, ConsumerPolicy] = CONSUMERS,
    docker_version: str | None = None,
    root: Path = Path("/"),
) -> Host:
    """All of it, below `root`. What cannot be read is not known, and nothing is raised for it.

    `consumers` are those that are configured for a pool, of which the running ones are asked which
    they use. Docker's version is not asked for where that is known already.
    """
    conf, lvs, units = await asyncio.gather(
        read_conf(runner, root / "etc/lvm"),
        read_volumes(runner, dmeventd=dmeventd),
        read_units(runner, _units(policies)),
    )
    of_consumers = {
        name: unit
        for name, policy in policies.items()
        if (unit := units.get(policy.unit)) is not None
    }
    running = {name: unit for name, unit in of_consumers.items() if unit.is_active}
    active = {name: unit.active for name, unit in of_consumers.items()}
    docker = await ask_docker(root / SOCKET) if "docker" in running else Engine()
    daemons = known_daemons(policies)
    flags = {name: read_flags(root, program) for name, program in daemons.items()}
    files, unreadable = read_files(root, flags)
    containerd = read_containerd_path(root, policies)
    folder = conf.profile_dir if conf else PROFILE_DIR
    programs = frozenset(name for name in PROGRAMS if shutil.which(name, path=SEARCH_PATH))
    if docker_version is None and "dockerd" in programs:
        own = docker.version if is_installed(running.get("docker")) else None
        docker_version = own or await read_docker_version(runner)
    return Host(
        lvm=conf,
        monitored=lvs.monitored,
        volumes=lvs.volumes,
        owned=lvs.owned,
        profiles=read_profiles(_below(root, folder)),
        files=files,
        unreadable=unreadable,
        programs=programs,
        docker_version=docker_version,
        docker=read_docker_data(root, _data_root("docker", files, flags)),
        isulad=read_isulad_data(root, _data_root("isulad", files, flags)),
        flags={**flags, "containerd": Flags(config_file=containerd)},
        units=units,
        dmeventd=dmeventd,
        serving=await read_serving(runner, consumers, active, docker),
        imports=read_imports(root, containerd),
    )


def read_files(
    root: Path, flags: Mapping[str, Flags]
) -> tuple[dict[str, FileText], frozenset[str]]:
    """The files of configuration that there are, dmguard's own settings among them; and the paths
    of those that cannot be read.
    """
    own = (f"/{path.relative_to(root)}" for path in root.glob(OWN_SETTINGS))
    named = (DAEMONS[name].path_of(its) for name, its in flags.items())
    paths = (*FILES, *named, *sorted(own))
    found = {path: file for path in paths if (file := _read(root, path)) is not None}
    unread = (path for path in paths if path not in found)
    return found, frozenset(path for path in unread if os.path.lexists(_below(root, path)))


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _read(root: Path, path: str) -> FileText | None:
    try:
        with _below(root, path).open(
            encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            stat = _below(root, path).stat()
            return FileText(file.read(_LARGEST), stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
    except (OSError, ValueError):  # a NUL is in no name
        return None


async def read_docker_version(runner: Runner) -> str | None:
    """The version of the dockerd that is installed."""
    try:
        completed = await runner.read(["dockerd", "--version"], timeout_s=10.0)
    except RunError:
        return None
    found = _VERSION.search(completed.stdout)
    return found[1] if found else None


def is_installed(unit: UnitFacts | None) -> bool:
    """Is what runs there the dockerd that its next start would run, and no older one?"""
    if unit is None or not unit.main_pid:
        return False
    try:
        runs = Path(f"/proc/{unit.main_pid}/exe").readlink()
    except OSError:
        return False
    found = shutil.which("dockerd", path=SEARCH_PATH)
    return found is not None and runs == Path(found).resolve()


def _data_root(name: str, files: Mapping[str, FileText], flags: Mapping[str, Flags]) -> str:
    file = files.get(DAEMONS[name].path_of(flags[name]))
    daemon = (read(file.text) if file else None) or Daemon()
    return daemon.under(flags[name]).data_root or DAEMONS[name].data_root


def _units(policies: Mapping[str, ConsumerPolicy]) -> tuple[str, ...]:
    own = [policy.unit for policy in policies.values()]
    sockets = [socket_of(policies["docker"].unit)] if "docker" in policies else []
    return (*UNITS, *own, *sockets)


async def read_units(runner: Runner, names: Iterable[str]) -> dict[str, UnitFacts]:
    """Units as systemd has them loaded, by the names that were asked for. None of what it does not
    tell.
    """
    asked = tuple(dict.fromkeys(names))
    argv = ["systemctl", "show", f"--property={_PROPERTIES}", "--", *asked]
    try:
        completed = await runner.read(argv, check=False)
    except RunError:
        return {}
    blocks = completed.stdout.strip().split("\n\n")
    if completed.status != 0 or len(blocks) != len(asked):
        return {}
    return {name: parse_unit(name, block) for name, block in zip(asked, blocks, strict=True)}


def parse_unit(name: str, block: str) -> UnitFacts:
    """One unit's lines `Property=value`; one that is asked for by an alias keeps that name."""
    values: dict[str, str] = {}
    for line in block.splitlines():
        key, _, value = line.partition("=")
        values[key] = f"{values[key]}\n{value}" if key in values else value
    return UnitFacts(
        name,
        load=values.get("LoadState", "not-found"),
        active=values.get("ActiveState", "inactive"),
        after=frozenset(values.get("After", "").split()),
        wants=frozenset(values.get("Wants", "").split()),
        requires=frozenset(values.get("Requires", "").split()),
        exec_start=values.get("ExecStart", ""),
        main_pid=parse_count(values.get("MainPID", "")) or 0,
    )
