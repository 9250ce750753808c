"""Docker's and iSulad's configuration, where their driver would not work, or not for long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.consumers import DAEMONS
from dmguard.core.consumers.daemon import DRIVER, Daemon, min_free, pool_name, read
from dmguard.core.consumers.flags import Flags
from dmguard.core.findings import Finding
from dmguard.core.model import dm_name
from dmguard.core.sizing import policy_for
from dmguard.core.units import parse_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

SETUP = "/etc/sysconfig/docker-storage-setup"
DEVICE, MIN_FREE = "dm.thinpooldev", "dm.min_free_space"

_LEAST_FREE = 10
"""Percent that the driver keeps free unless it is told otherwise."""

_CHOICE, _GONE = 23, 25
"""The versions of Docker since which its driver must be chosen by name, and has been removed."""

_AUTO_EXTEND = re.compile(r"^\s*AUTO_EXTEND_POOL=[\"']?(\w+)", re.MULTILINE)
_YES = ("yes", "true", "on", "y", "t", "1")


@dataclass(frozen=True, slots=True)
class Configured:
    """A daemon that is to use the driver: its name, its file, and what that says with its command
    line.
    """

    name: str
    path: str
    daemon: Daemon

    def option(self, name: str) -> str:
        return self.daemon.options.get(name, "")


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    for its in configured(host):
        yield from _of_options(its)
        if its.name == "docker":
            yield from _of_version(its, host)
            yield from _of_data(its, state, host)
        yield from _of_pool_name(its, state)
        yield from _of_free_space(its, state, settings)
    found = _AUTO_EXTEND.search(host.text(SETUP) or "")
    if found and found[1] != "yes" and found[1].lower() in _YES:
        yield Finding("auto-extend-ignored", SETUP, f"{SETUP}: AUTO_EXTEND_POOL={found[1]}")


def configured(host: Host) -> Iterator[Configured]:
    """The daemons that are told to keep their data in a pool, whether or not they can.

    A file that one left behind when it was removed tells nobody anything.
    """
    for name, program in DAEMONS.items():
        if not host.has(program.command, program.unit):
            continue
        flags = host.flags.get(name, Flags())
        path = program.path_of(flags)
        daemon = (read(host.text(path) or "") or Daemon()).under(flags)
        of_driver = any(option.startswith("dm.") for option in daemon.options)
        if daemon.driver == DRIVER or (daemon.driver is None and of_driver):
            yield Configured(name, path, daemon)


def _of_options(its: Configured) -> Iterator[Finding]:
    value = its.option(MIN_FREE)
    if value and min_free(value) is None:
        yield Finding("min-free-invalid", its.path, f"{its.name}: {MIN_FREE}={value}")
    if its.option("dm.directlvm_device_force").lower() in _YES:
        device = its.option("dm.directlvm_device") or "no device"
        yield Finding("docker-force", its.path, f"{its.name}: dm.directlvm_device_force, {device}")


def _of_version(its: Configured, host: Host) -> Iterator[Finding]:
    version = host.docker_version or ""
    major = parse_count(version.partition(".")[0])
    if major is None:
        return
    if major >= _GONE:
        yield Finding("driver-gone", its.path, f"docker: is {version}, and told to use {DRIVER}")
    elif major >= _CHOICE and its.daemon.driver is None:
        yield Finding(
            "driver-not-chosen", its.path, f"docker: is {version}, with dm. options and no driver"
        )


def _of_pool_name(its: Configured, state: State) -> Iterator[Finding]:
    device = its.option(DEVICE)
    if device and pool_name(device) is None:
        pool = pool_at(device, state)
        there = f", which is {dm_name(pool.lv.vg, pool.lv.name)}" if pool else ""
        yield Finding("pool-named-by-path", its.path, f"{its.name}: {DEVICE}={device}{there}")


def pool_at(path: str, state: State) -> Pool | None:
    """The pool that `/dev/VG/LV` means."""
    return state.pool(path.removeprefix("/dev/")) if path.startswith("/dev/") else None


def _of_data(its: Configured, state: State, host: Host) -> Iterator[Finding]:
    # Docker counts its changes up in the pool's transaction number, and begins to at once.
    pool, data = _pool_of(its, state), host.docker
    number = pool.kernel.transaction_id if pool and pool.kernel else None
    if pool is None or data is None or number is None or pool.lv.thin_count:
        return
    noted = data.transaction
    if number and not data.devices:
        yield Finding(
            "docker-data-missing",
            pool.name,
            f"{pool.name}: Docker has made {number} changes in it, and {data.root} has no list of"
            " its devices",
        )
    elif noted is not None and number not in (noted, noted - 1):
        # The one that it is at is noted first.
        yield Finding(
            "docker-data-differs",
            pool.name,
            f"{pool.name}: {number} changes were made in it, and the list of devices in"
            f" {data.root} is of {noted}",
        )


def _pool_of(its: Configured, state: State) -> Pool | None:
    used = pool_name(its.option(DEVICE))
    return next((pool for pool in state.pools if pool.dm_name == used), None)


def _of_free_space(its: Configured, state: State, settings: Settings) -> Iterator[Finding]:
    pool = _pool_of(its, state)
    keeps = min_free(its.option(MIN_FREE) or f"{_LEAST_FREE}%")
    if pool is None or keeps is None or not settings.guards(pool.name):
        return
    policy = policy_for(pool, settings)
    threshold = max(policy.data_threshold, policy.metadata_threshold)
    if keeps > 100 - threshold:
        yield Finding(
            "min-free-above",
            its.path,
            f"{its.name}: makes no container with less than {keeps} % free, and {pool.name}"
            f" grows above {threshold} %",
        )
