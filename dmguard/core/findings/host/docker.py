"""Docker's configuration, where the devicemapper driver would not work, or not for long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmguard.core.consumers.options import DAEMON_JSON, storage_options
from dmguard.core.findings import Finding
from dmguard.core.plan.repair import pool_of
from dmguard.core.sizing import policy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.consumers.options import StorageOptions
    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

SETUP = "/etc/sysconfig/docker-storage-setup"
_FILES = (DAEMON_JSON, "/etc/sysconfig/docker-storage")
_MIN_FREE = 10
"""Percent that Docker keeps free unless it is told otherwise."""

_CHOICE, _GONE = 23, 25
"""The versions since which the driver must be chosen by name, and has been removed."""

_AUTO_EXTEND = re.compile(r"^\s*AUTO_EXTEND_POOL=[\"']?(\w+)", re.MULTILINE)


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    for path in _FILES:
        options = storage_options(host.text(path) or "")
        if options.uses_devicemapper:
            yield from _of_options(path, options)
            yield from _of_version(path, options, host)
            yield from _of_pool_name(path, options, state)
            yield from _of_free_space(path, options, state, settings)
            break
    found = _AUTO_EXTEND.search(host.text(SETUP) or "")
    if found and found[1] != "yes" and found[1].lower() in ("yes", "true", "on", "y", "t", "1"):
        yield Finding("auto-extend-ignored", SETUP, f"{SETUP}: AUTO_EXTEND_POOL={found[1]}")


def _of_options(path: str, options: StorageOptions) -> Iterator[Finding]:
    value = options.dm.get("min_free_space")
    if value is not None and min_free(value) is None:
        yield Finding("min-free-invalid", path, f"{path}: dm.min_free_space={value}")
    if options.dm.get("directlvm_device_force", "").lower() in ("true", "1", "t"):
        device = options.dm.get("directlvm_device", "no device")
        yield Finding("docker-force", path, f"{path}: dm.directlvm_device_force with {device}")


def min_free(value: str) -> int | None:
    """The percentage that Docker reads; None if it refuses to start with it."""
    found = re.fullmatch(r"(\d{1,2})%", value)
    return int(found[1]) if found else None


def _of_version(path: str, options: StorageOptions, host: Host) -> Iterator[Finding]:
    version = host.docker_version or ""
    major = version.partition(".")[0]
    if not major.isdigit():
        return
    if int(major) >= _GONE:
        yield Finding("driver-gone", path, f"{path}: names devicemapper, and this is {version}")
    elif int(major) >= _CHOICE and options.driver is None:
        yield Finding(
            "driver-not-chosen", path, f"{path}: has dm. options and no storage-driver: {version}"
        )


def _of_pool_name(path: str, options: StorageOptions, state: State) -> Iterator[Finding]:
    name = options.dm.get("thinpooldev", "")
    if "/" in name.removeprefix("/dev/mapper/"):
        pool = pool_at(name, state)
        there = f", which is {pool.name}" if pool else ""
        yield Finding("pool-named-by-path", path, f"{path}: dm.thinpooldev={name}{there}")


def pool_at(path: str, state: State) -> Pool | None:
    """The pool that `/dev/VG/LV` means."""
    return state.pool(path.removeprefix("/dev/")) if path.startswith("/dev/") else None


def _of_free_space(
    path: str, options: StorageOptions, state: State, settings: Settings
) -> Iterator[Finding]:
    consumer = next((c for c in state.consumers if c.name == "docker"), None)
    pool = pool_of(consumer, state) if consumer else None
    keeps = min_free(options.dm.get("min_free_space", f"{_MIN_FREE}%"))
    if pool is None or keeps is None or not settings.guards(pool.name):
        return
    policy = policy_for(pool, settings)
    threshold = max(policy.data_threshold, policy.metadata_threshold)
    if keeps > 100 - threshold:
        yield Finding(
            "min-free-above",
            path,
            f"{path}: Docker makes no container with less than {keeps} % free, and {pool.name}"
            f" grows above {threshold} %",
        )
