"""Docker's devicemapper driver, in Docker up to 24."""

from __future__ import annotations

from dmguard.core.consumers.daemon import DRIVER, Program

# Docker before 23 takes the driver that it finds data of.
DOCKER = Program(
    command="dockerd",
    unit="docker.service",
    config="docker/daemon.json",
    data_root="/var/lib/docker",
    options="sysconfig/docker-storage",
    unset=DRIVER,
    deferred=True,
)
