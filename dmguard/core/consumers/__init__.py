"""Programs that keep their data in a thin pool: the text of their configuration → its pool.

One file a program. Whatever cannot be understood names no pool: a program's broken configuration
is its own to complain about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.consumers import containerd, docker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILES: Mapping[str, tuple[str, ...]] = {
    "docker": ("docker/daemon.json", "sysconfig/docker-storage"),
    "containerd": ("containerd/config.toml",),
}
"""Where each program has its configuration, below /etc."""

PARSERS: Mapping[str, Callable[[str], str | None]] = {
    "docker": docker.pool_in,
    "containerd": containerd.pool_in,
}
"""Text of one file → the device-mapper name of the pool, or None if it names none."""
