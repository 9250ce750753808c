"""Which programs of this host keep their data in a thin pool: their configuration files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.consumers import DAEMONS, containerd
from dmguard.core.consumers.daemon import read_options
from dmguard.core.consumers.flags import Flags, flags_in
from dmguard.core.consumers.unitfile import read_service
from dmguard.core.model import Consumer
from dmguard.core.settings import CONSUMERS
from dmguard.edge.run import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.consumers.daemon import Program
    from dmguard.core.settings import ConsumerPolicy
    from dmguard.edge.run import Runner

ROOT = Path("/")
_UNITS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where systemd looks for units, the first that has one first."""
_LARGEST = 1 << 20
_LISTING = ("ctr", "plugins", "ls")


def read_consumers(
    policies: Mapping[str, ConsumerPolicy] = CONSUMERS, root: Path = ROOT
) -> tuple[Consumer, ...]:
    """The programs that are configured for a pool. What cannot be read names none."""
    pools = {name: _daemon_pool(root, program) for name, program in known_daemons(policies).items()}
    imported = read_imports(root).values()
    pools["containerd"] = next(reversed(imported), None) or containerd.pool_in(_config(root))
    return tuple(Consumer(name, pool) for name, pool in pools.items() if pool is not None)


def known_daemons(policies: Mapping[str, ConsumerPolicy]) -> dict[str, Program]:
    """The daemons, each with the service that the configuration has for it."""
    return {
        name: replace(program, unit=policies[name].unit) if name in policies else program
        for name, program in DAEMONS.items()
    }


def _daemon_pool(root: Path, program: Program) -> str | None:
    flags = read_flags(root, program)
    config = program.path_of(flags).lstrip("/")
    return program.pool_in(_read(root / config), flags)


def _config(root: Path) -> str:
    return _read(root / "etc" / containerd.CONTAINERD.config)


def read_imports(root: Path) -> dict[str, str]:
    """The files that containerd's configuration imports and that name a pool, with that pool.

    They come before it, and the last one before the others. It is not read a second time itself.
    """
    found: dict[str, str] = {}
    own = root / "etc" / containerd.CONTAINERD.config
    for glob in containerd.imports_in(_config(root)):
        folder = root if glob.startswith("/") else own.parent
        for path in sorted(folder.glob(glob.lstrip("/"))):
            pool = containerd.pool_in(_read(path))
            if pool is not None and path != own:
                name = f"/{path.relative_to(root)}"
                found.pop(name, None)
                found[name] = pool
    return found


def read_flags(root: Path, program: Program) -> Flags:
    """What the command line of the daemon's service says, its drop-ins and variables included.

    Where there is no such service, the file of options counts, as it would for one.
    """
    texts = _unit_texts(root, program.unit)
    if not texts:
        return read_options(_read(root / "etc" / program.options))
    service = read_service(texts)
    return flags_in(service.words(lambda path: _read(root / path.lstrip("/"))))


def _unit_texts(root: Path, unit: str) -> list[str]:
    """The unit file and its drop-ins: of one name the first folder's counts, sorted by name.

    An instance, as docker@main.service, has those of its template, too.
    """
    folders = [root / folder for folder in _UNITS]
    names = dict.fromkeys((unit, re.sub("@.*[.]", "@.", unit)))
    units = [folder / name for name in names for folder in folders if (folder / name).exists()]
    drop_ins: dict[str, Path] = {}
    for folder in (folder / f"{name}.d" for name in names for folder in folders):
        for path in folder.glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    return [_read(path) for path in (*units[:1], *(drop_ins[name] for name in sorted(drop_ins)))]


def _read(path: Path) -> str:
    """Line ends as they are; nothing for what is no file, as /dev/null for what is masked."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""


async def is_plugin_broken(runner: Runner) -> bool | None:
    """Is containerd's devmapper plugin in error? None when containerd does not say."""
    try:
        completed = await runner.read(_LISTING, timeout_s=10.0)
    except RunError:
        return None
    return containerd.is_broken(completed.stdout)
