"""`dmguard recover --bundle`: what a maintainer has to see of this host, in one file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard import __version__
from dmguard.core.bundle.pack import Obtained, pack
from dmguard.core.bundle.parts import PLAN, SETTINGS, VERSIONS, Own, Part, parts_of
from dmguard.core.settings import Settings
from dmguard.edge.config import ConfigError, load_settings
from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.evidence import obtain, read_config_paths, read_hostnames
from dmguard.edge.files import write_new
from dmguard.edge.run import Runner
from dmguard.edge.tarball import make_tar
from dmguard.edge.versions import read_versions

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

_FILES_S = 10.0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was written: its size, how many parts there are, and those that could not be had.

    `hidden`: how much of what kind. `unknown`: pools that were named and are not there.
    """

    path: Path
    size: int
    parts: int
    failed: tuple[str, ...]
    hidden: Counter[str]
    unknown: tuple[str, ...] = ()


async def write_bundle(path: Path, pools: tuple[str, ...]) -> Bundle:
    """Look at everything, and change nothing but to write this file. OSError if it cannot be."""
    _check(path)
    try:
        settings, wrong = load_settings(), ""
    except ConfigError as error:
        settings, wrong = Settings(), str(error)
    policies = settings.consumers
    try:
        files = await within(_FILES_S, "configuration", lambda _: read_config_paths(policies))
        hosts = await within(_FILES_S, "host names", lambda _: read_hostnames())
    except (DoubtError, OSError):
        files, hosts = (), ()
    parts = parts_of((policy.unit for policy in policies.values()), files)
    named = {part.name: part for part in parts if isinstance(part.how, Own)}
    with Runner() as runner:
        others = [part for part in parts if part.name not in named]
        (plan, unknown), read = await asyncio.gather(
            _make_plan(named[PLAN], pools), obtain(others, runner)
        )
    own = [
        Obtained(named[VERSIONS], _tell_versions()),
        Obtained(named[SETTINGS], "" if wrong else _tell_settings(settings), wrong),
        plan,
    ]
    packed = pack([*own, *read], hosts, __version__)
    data = make_tar(path.name, packed.members)
    try:
        write_new(path, data)
    except OSError as error:
        told = f"{error.strerror}: nothing is left of {len(data)} bytes"
        raise OSError(error.errno, told, str(path)) from error
    return Bundle(path, len(data), len(parts), packed.failed, packed.hidden, unknown)


def _check(path: Path) -> None:
    """What cannot end well is told before the long look."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "is there already, and left as it is", str(path))
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise OSError(errno.EROFS, "cannot be written to", str(path.parent))


def _tell_versions() -> str:
    return "".join(
        f"{name} {version or 'not known'}\n"
        for name, version in {"dmguard": __version__, **read_versions()}.items()
    )


def _tell_settings(settings: Settings) -> str:
    from dmguard.app.toml import settings_toml

    return settings_toml(settings) + "\n"


async def _make_plan(part: Part, pools: tuple[str, ...]) -> tuple[Obtained, tuple[str, ...]]:
    from dmguard.app.guard.recover import recover
    from dmguard.app.render import recovered_values
    from dmguard.app.withbus import open_with_bus
    from dmguard.core.goals import Recover

    try:
        async with asyncio.timeout(part.timeout_s), open_with_bus() as loop:
            recovered = await recover(loop, Recover(pools), dry_run=True)
    except TimeoutError:
        return Obtained(part, error=f"no plan within {part.timeout_s:g} s"), ()
    except Exception as error:  # noqa: BLE001 - whatever it is, the bundle is to show it
        return Obtained(part, error="".join(traceback.format_exception(error))), ()
    values = {"schema": 1, **recovered_values(recovered)}
    return Obtained(part, json.dumps(values, indent=2) + "\n"), recovered.unknown
