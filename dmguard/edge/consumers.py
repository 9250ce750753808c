"""Which programs of this host keep their data in a thin pool: their configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.consumers import FILES, PARSERS
from dmguard.core.consumers.containerd import is_broken
from dmguard.core.model import Consumer
from dmguard.edge.run import RunError

if TYPE_CHECKING:
    from dmguard.edge.run import Runner

ETC = Path("/etc")
_LARGEST = 1 << 20
_LISTING = ("ctr", "plugins", "ls")


def read_consumers(etc: Path = ETC) -> tuple[Consumer, ...]:
    """The programs that are configured for a pool. What cannot be read names none."""
    found = []
    for name, files in FILES.items():
        texts = (_read(etc / file) for file in files)
        pools = (PARSERS[name](text) for text in texts if text)
        pool = next((pool for pool in pools if pool), None)
        if pool is not None:
            found.append(Consumer(name, pool))
    return tuple(found)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""


async def is_plugin_broken(runner: Runner) -> bool | None:
    """Is containerd's devmapper plugin in error? None when containerd does not say."""
    try:
        completed = await runner.read(_LISTING, timeout_s=10.0)
    except RunError:
        return None
    return is_broken(completed.stdout)
