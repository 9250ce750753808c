"""Programs that keep their data in a thin pool: the text of their configuration → its pool.

One file a program. Whatever cannot be understood names no pool: a program's broken configuration
is its own to complain about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.consumers.containerd import CONTAINERD
from dmguard.core.consumers.docker import DOCKER
from dmguard.core.consumers.isulad import ISULAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.consumers.daemon import Program
    from dmguard.core.consumers.service import Service

DAEMONS: Mapping[str, Program] = {"docker": DOCKER, "isulad": ISULAD}
"""The daemons with a daemon.json and storage options on their command line."""

SERVICES: Mapping[str, Service] = {"docker": DOCKER, "containerd": CONTAINERD, "isulad": ISULAD}
"""All of them, by the names that the configuration has for them."""
