"""What `dmguard setup` takes over: another tool's configuration, or a pool that runs."""

from __future__ import annotations

from dataclasses import dataclass
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
from dmguard.edge.files import read_text

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.imports.imported import Imported

CONF_D = CONFIG / "conf.d"
CSS = "/etc/sysconfig/docker-storage-setup"
DAEMON_JSON = DOCKER.path_of(Flags())
_MADE = "devicemapper/setup-config.json"


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration that was found, and the file of settings that it becomes, if any."""

    source: str
    imported: Imported
    goal: KeepSettings | None


def read_foreign(path: str | None) -> Found | None:
    """The file given, or the first of the known ones that is there; None if there is none.

    ForeignError: it cannot be taken over.
    """
    for source in (path,) if path else (CSS, DAEMON_JSON):
        text = read_text(source)
        if text is None:
            continue
        is_json = source.endswith(".json")
        imported = _read_docker(text) if is_json else css.read(text)
        if imported.setup is None and not imported.settings and path is None:
            continue
        name = "docker-direct-lvm" if is_json else "container-storage-setup"
        goal = settings_file(name, imported.settings) if imported.settings else None
        return Found(source, imported, goal)
    if path:
        raise ForeignError(f"{path}: it cannot be read")
    return None


def _read_docker(text: str) -> Imported:
    known = daemon.read(text)
    root = known.data_root if known and known.data_root else DOCKER.data_root
    return directlvm.read(text, read_text(f"{root}/{_MADE}") or "")


async def section_of(loop: Loop, name: str) -> KeepSettings | Refusal:
    """The settings by which a live pool that is none of LVM's would be brought up again."""
    state = await loop.observer.look(fresh=True, disks=True)
    section = raw_section(state, name)
    if isinstance(section, Refusal):
        return section
    return settings_file(f"raw-{name}", section)


def settings_file(name: str, text: str) -> KeepSettings:
    return KeepSettings(str(CONF_D / f"{name}.toml"), text)
