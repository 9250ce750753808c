"""Which programs of this host keep their data in a thin pool: their configuration files."""

from __future__ import annotations

import os
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
    from collections.abc import Iterator, Mapping

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
_MOST_IMPORTS = 256
"""A folder that is a link to itself has files without end."""

_DEEPEST = 64
"""Folders of a pattern: to look for more takes a stack that is as deep."""

_LISTING = ("ctr", "plugins", "ls")


def read_consumers(
    policies: Mapping[str, ConsumerPolicy] = CONSUMERS, root: Path = ROOT
) -> tuple[Consumer, ...]:
    """The programs that are configured for a pool. What cannot be read names none."""
    pools = {name: _daemon_pool(root, program) for name, program in known_daemons(policies).items()}
    path = read_containerd_path(root, policies)
    imported = read_imports(root, path).values()
    own = _read(root / path.lstrip("/"))
    pools["containerd"] = next(reversed(imported), None) or containerd.pool_in(own)
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


def read_containerd_path(root: Path, policies: Mapping[str, ConsumerPolicy] = CONSUMERS) -> str:
    """The file that the command line of containerd's service names, or its own."""
    unit = policies["containerd"].unit if "containerd" in policies else containerd.CONTAINERD.unit
    texts = _unit_texts(root, unit)
    return containerd.config_in(_words(root, texts) if texts else ())


def read_imports(root: Path, own: str = containerd.CONTAINERD.path) -> dict[str, str]:
    """The files that containerd's configuration imports and that name a pool, with that pool.

    They come before it, and the last one before the others. What is imported imports in its turn;
    nothing is read a second time.
    """
    found: dict[str, str] = {}
    read: set[str] = set()
    pending = [own]
    while pending and len(read) < _MOST_IMPORTS:
        path = pending.pop(0)
        if path in read:
            continue
        read.add(path)
        text = _read(root / path.lstrip("/"))
        pool = containerd.pool_in(text)
        if pool is not None and path != own:
            found[path] = pool
        for name in containerd.imports_in(text):
            pending += _imported(root, os.path.normpath(Path(path).parent / name))
    return found


def _imported(root: Path, name: str) -> list[str]:
    """To containerd a name is a pattern only if there is an asterisk in it."""
    if "*" not in name:
        return [name]
    if name.count("/") > _DEEPEST:
        return []
    return [f"/{path.relative_to(root)}" for path in sorted(root.glob(name.lstrip("/")))]


def read_flags(root: Path, program: Program) -> Flags:
    """What the command line of the daemon's service says, its drop-ins and variables included.

    Where there is no such service, the file of options counts, as it would for one.
    """
    texts = _unit_texts(root, program.unit)
    if not texts:
        return read_options(_read(root / "etc" / program.options))
    return flags_in(_words(root, texts))


def _words(root: Path, texts: list[str]) -> list[str]:
    return list(read_service(texts).words(lambda path: _read(root / path.lstrip("/"))))


def _unit_texts(root: Path, unit: str) -> list[str]:
    """The unit file and its drop-ins: of one name the first folder's counts, sorted by name.

    An instance, as docker@main.service, has those of its template, too, and each service those for
    several: of a-b.service that is a-.service.d, of every one service.d.
    """
    folders = [root / folder for folder in _UNITS]
    names = dict.fromkeys((unit, re.sub("@.*[.]", "@.", unit)))
    units = [folder / name for name in names for folder in folders if (folder / name).exists()]
    drop_ins: dict[str, Path] = {}
    # What is for several services makes none.
    several = [*(name for each in names for name in _prefixes(each)), "service"] if units else []
    for name in dict.fromkeys((*names, *several)):
        for path in (path for folder in folders for path in (folder / f"{name}.d").glob("*.conf")):
            drop_ins.setdefault(path.name, path)
    return [_read(path) for path in (*units[:1], *(drop_ins[name] for name in sorted(drop_ins)))]


def _prefixes(unit: str) -> Iterator[str]:
    """Of a-b-c.service: a-b-.service and a-.service."""
    stem, _, kind = unit.rpartition(".")
    while "-" in stem:
        stem = stem.rpartition("-")[0]
        yield f"{stem}-.{kind}"


def _read(path: Path) -> str:
    """Line ends as they are; nothing for what is no file, as /dev/null for what is masked."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return file.read(_LARGEST)
    except (OSError, ValueError):  # a NUL is in no name
        return ""


async def is_plugin_broken(runner: Runner) -> bool | None:
    """Is containerd's devmapper plugin in error? None when containerd does not say."""
    try:
        completed = await runner.read(_LISTING, timeout_s=10.0)
    except RunError:
        return None
    return containerd.is_broken(completed.stdout)
