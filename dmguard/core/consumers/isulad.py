"""iSulad's devicemapper driver: daemon.json as Docker's, with fewer options.

It knows dm.thinpooldev, dm.fs, dm.min_free_space, dm.basesize, dm.mkfsarg and dm.mountopt, and does
not start for any other: what is written for it has no options for deferred removal.
"""

from __future__ import annotations

from dmguard.core.consumers.daemon import Program

ISULAD = Program(
    command="isulad",
    unit="isulad.service",
    config="isulad/daemon.json",
    data_root="/var/lib/isulad",
    options="sysconfig/iSulad",
    unset="overlay2",
    deferred=False,
)
