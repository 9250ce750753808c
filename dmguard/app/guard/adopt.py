"""What `dmguard setup` takes over: another tool's configuration, or a pool that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.consumers import daemon
from dmguard.core.consumers.docker import DOCKER
from dmguard.core.consumers.flags import Flags
from dmguard.core.goals import KeepSettings
from dmguard.core.imports import css, directlvm
from dmguard.core.imports.imported import ForeignError
from dmguard.core.plan import Refusal
from dmguard.core.section import raw_section
from dmguard.edge.config import CONFIG
from dmguard.edge.consumers import read_flags
from dmguard.edge.files import read_text

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.imports.imported import Imported

CONF_D = CONFIG / "conf.d"
CSS = "/etc/sysconfig/docker-storage-setup"
_MADE = "devicemapper/setup-config.json"


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration that was found, and the file of settings that it becomes, if any.

    `source` is its file; that of Docker's service if it is on the command line alone.
    """

    source: str
    imported: Imported
    goal: KeepSettings | None

    @property
    def says_something(self) -> bool:
        return self.imported.setup is not None or bool(self.imported.settings)


def read_foreign(path: str | None, root: Path = Path("/")) -> Found | None:
    """The file given; else the first of the known configurations below `root` that sets a pool up.

    None if there is none. ForeignError: it cannot be taken over.
    """
    if path:
        text = read_text(path)
        if text is None:
            raise ForeignError(f"{path}: it cannot be read")
        if path.endswith(".json"):
            return _of_docker(path, text, Flags(), Path("/"))
        return _of_css(path, text)
    text = read_text(_below(root, CSS))
    if text is not None and (found := _of_css(CSS, text)).says_something:
        return found
    flags = read_flags(root, DOCKER)
    file = DOCKER.path_of(flags)
    text = read_text(_below(root, file))
    found = _of_docker(DOCKER.unit if text is None else file, text or "", flags, root)
    return found if found.says_something else None


def _of_css(source: str, text: str) -> Found:
    return _found(source, css.read(text), "container-storage-setup")


def _of_docker(source: str, text: str, flags: Flags, root: Path) -> Found:
    """With what its command line says, and what it has made already."""
    known = (daemon.read(text) or daemon.Daemon()).under(flags)
    made = read_text(_below(root, f"{known.data_root or DOCKER.data_root}/{_MADE}"))
    return _found(source, directlvm.read(text, made or "", flags), "docker-direct-lvm")


def _found(source: str, imported: Imported, name: str) -> Found:
    goal = settings_file(name, imported.settings) if imported.settings else None
    return Found(source, imported, goal)


def _below(root: Path, path: str) -> str:
    return str(root / path.lstrip("/"))


async def section_of(loop: Loop, name: str) -> KeepSettings | Refusal:
    """The settings by which a live pool that is none of LVM's would be brought up again."""
    state = await loop.observer.look(fresh=True, disks=True)
    section = raw_section(state, name)
    if isinstance(section, Refusal):
        return section
    return settings_file(f"raw-{name}", section)


def settings_file(name: str, text: str) -> KeepSettings:
    return KeepSettings(str(CONF_D / f"{name}.toml"), text)
