"""Reads the parts of a bundle. Whatever does not answer costs its own part, and no other."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from dmguard.core.bundle.pack import Obtained, cut
from dmguard.core.bundle.parts import Command, Files, Listing, Own, Part, Report
from dmguard.edge.consumers import (
    known_daemons,
    read_containerd_path,
    read_flags,
    read_imports,
)
from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.lvm import REPORT_ALONE, report_command
from dmguard.edge.run import RunError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from dmguard.core.settings import ConsumerPolicy
    from dmguard.edge.run import Completed, Runner

ROOT = Path("/")
_WHOLE_S = 150.0
"""For all that is read together: on a host where nothing answers each part would wait for its own
time, one after the other.
"""
_MOST_FILES = 1000


async def obtain(parts: Iterable[Part], runner: Runner, root: Path = ROOT) -> list[Obtained]:
    """Those parts, in their order."""
    until = asyncio.get_running_loop().time() + _WHOLE_S
    return await asyncio.gather(*(_obtain(part, runner, root, until) for part in parts))


async def _obtain(part: Part, runner: Runner, root: Path, until: float) -> Obtained:
    try:
        async with asyncio.timeout_at(until):
            text, error = await _read(part, runner, root)
    except TimeoutError:
        return Obtained(part, error=f"no answer within the {_WHOLE_S:g} s that all have together")
    except (RunError, DoubtError, OSError) as failure:
        return Obtained(part, error=str(failure))
    text, dropped = cut(text, part.limit, keep_end=part.keep_end)
    return Obtained(part, text, cut(error, part.limit, keep_end=False)[0], dropped)


async def _read(part: Part, runner: Runner, root: Path) -> tuple[str, str]:
    how = part.how
    match how:
        case Command():
            argv = (*how.argv, *_matching(root, how.each)) if how.each else how.argv
            return _said(
                await runner.read(argv, timeout_s=part.timeout_s, check=False, aside=how.aside)
            )
        case Report():
            return _said(
                await runner.read(
                    report_command(),
                    timeout_s=part.timeout_s,
                    check=False,
                    variables=REPORT_ALONE,
                )
            )
        case Files():
            return await within(
                part.timeout_s, part.name, lambda stop: _read_files(root, part, how, stop)
            )
        case Listing():
            return await within(part.timeout_s, part.name, lambda _: (_list(root, how.folder), ""))
        case Own():
            raise AssertionError(part.name)
        case _:
            assert_never(how)


def _said(completed: Completed) -> tuple[str, str]:
    """What it found, and its complaints, which it may have beside a whole answer."""
    error = completed.stderr.rstrip()
    if completed.status != 0:
        error = f"{error}\n(ended with status {completed.status})".lstrip()
    return completed.stdout, error


def _matching(root: Path, pattern: str) -> list[str]:
    paths = sorted(root.glob(pattern.lstrip("/")))
    return [f"/{path.relative_to(root)}" for path in paths]


def _read_files(root: Path, part: Part, how: Files, stop: threading.Event) -> tuple[str, str]:
    texts, errors = [], []
    for pattern in how.patterns:
        names = _matching(root, pattern) if "*" in pattern else [pattern]
        for name in names[:_MOST_FILES]:
            if stop.is_set():
                break
            try:
                text = _read_file(root / name.lstrip("/"), part)
            except OSError as error:
                errors.append(f"{name}: {error.strerror}")
            else:
                texts.append(f"==> {name} <==\n{text}\n")
    if not texts and not errors:
        errors.append("there is no such file")
    return "\n".join(texts), "\n".join(errors)


def _read_file(path: Path, part: Part) -> str:
    """One that is too long is given whole to whoever cuts, as far as memory allows that."""
    if path.exists() and not path.is_file():
        return "(no file)"
    with path.open("rb") as file:
        data = file.read(2 * part.limit)
        dropped = len(file.read(1))
    text = data.decode(errors="replace")
    return f"{cut(text, len(text) - 1, keep_end=False)[0]}(cut)" if dropped else text


def _list(root: Path, folder: str) -> str:
    lines = []
    for path in sorted((root / folder.lstrip("/")).iterdir()):
        stat = path.lstat()
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stat.st_mtime))
        lines.append(f"{stat.st_mode:o} {stat.st_size:>10} {at} {path.name}")
    return "".join(f"{line}\n" for line in lines)


def read_config_paths(policies: Mapping[str, ConsumerPolicy], root: Path = ROOT) -> tuple[str, ...]:
    """The files of configuration of the consumers that are not in their usual places."""
    daemons = known_daemons(policies).values()
    own = [program.path_of(read_flags(root, program)) for program in daemons]
    containerd = read_containerd_path(root, policies)
    return (*own, containerd, *read_imports(root, containerd))


def read_hostnames(root: Path = ROOT) -> tuple[str, ...]:
    """What this host, and others that it knows, are called."""
    names: list[str] = []
    for path in ("proc/sys/kernel/hostname", "proc/sys/kernel/domainname", "etc/hostname"):
        names += _words(root / path)
    for line in _lines(root / "etc/hosts"):
        names += line.partition("#")[0].split()[1:]
    return tuple(dict.fromkeys(name for name in names if not name.startswith(("ip6-", "("))))


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.partition("#")[0].split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
