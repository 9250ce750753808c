"""containerd's devmapper snapshotter: its configuration in each version, read and written."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.consumers import tomltext
from dmguard.core.consumers.edit import Edit, EditError
from dmguard.core.consumers.service import Service
from dmguard.core.toml import TomlError, load_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTAINERD = Service(
    command="containerd", unit="containerd.service", config="containerd/config.toml", client="ctr"
)
_CONFIG_FLAGS = ("--config", "-config", "--c", "-c")

PLUGIN = "io.containerd.snapshotter.v1.devmapper"
_SECTIONS = (PLUGIN, "devmapper")
_CRI = (
    ("io.containerd.grpc.v1.cri", "containerd"),
    ("io.containerd.cri.v1.images",),
    ("io.containerd.cri.v1.runtime", "containerd"),
)
"""Where each version names the snapshotter of images and of runtimes."""


@dataclass(frozen=True, slots=True)
class Containerd:
    """What a config.toml says of the snapshotter. None: it does not say."""

    version: int
    pool: str | None = None
    root_path: str | None = None
    base_image_size: str | None = None
    is_disabled: bool = False
    is_default: bool = False
    """Is it the snapshotter of Kubernetes' images or of one of its runtimes?"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written; None leaves what there is."""

    pool: str
    root_path: str | None = None
    base_image_size: str | None = None
    discard_blocks: bool | None = None

    def values(self) -> dict[str, str | bool]:
        found: dict[str, str | bool | None] = {
            "pool_name": self.pool,
            "root_path": self.root_path,
            "base_image_size": self.base_image_size,
            "discard_blocks": self.discard_blocks,
        }
        return {key: value for key, value in found.items() if value is not None}


def read(text: str) -> Containerd | None:
    """What the text says; None when it cannot be read."""
    document = _document(text)
    if document is None:
        return None
    section = _section(document)
    disabled = document.get("disabled_plugins")
    return Containerd(
        version=_version(document),
        pool=_pool_name(section.get("pool_name")),
        root_path=_text(section.get("root_path")),
        base_image_size=_text(section.get("base_image_size")),
        is_disabled=isinstance(disabled, list) and any(name in disabled for name in _SECTIONS),
        is_default="devmapper" in _snapshotters(document),
    )


def _document(text: str) -> dict[str, Any] | None:
    """containerd reads over a byte order mark."""
    try:
        return load_toml(text.removeprefix("\ufeff"))
    except TomlError:
        return None


def pool_in(text: str) -> str | None:
    """config.toml of version 1, 2 or 3 → the device-mapper name of the pool."""
    found = read(text)
    return found.pool if found is not None else None


def imports_in(text: str) -> tuple[str, ...]:
    """Globs of the files that are read after this one, and come before it."""
    found = (_document(text) or {}).get("imports")
    # To Go two asterisks are one (path/filepath, Match).
    texts = (glob for glob in found if isinstance(glob, str)) if isinstance(found, list) else ()
    return tuple(re.sub(r"\*+", "*", glob) for glob in texts if glob.strip("/"))


def _version(document: Any) -> int:
    """Without one it is the first."""
    version = document.get("version", 1)
    return version if isinstance(version, int) else 0


def _table(document: Any, *path: str) -> dict[str, Any]:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _section(document: Any) -> dict[str, Any]:
    tables = (_table(document, "plugins", key) for key in _SECTIONS)
    return next((table for table in tables if table.get("pool_name")), {})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _pool_name(name: object) -> str | None:
    return name if isinstance(name, str) and name and "/" not in name else None


def _snapshotters(document: Any) -> set[str]:
    tables = [_table(document, "plugins", *path) for path in _CRI]
    runtimes = [runtime for table in tables for runtime in _table(table, "runtimes").values()]
    values = [table.get("snapshotter") for table in (*tables, *runtimes) if isinstance(table, dict)]
    return {value for value in values if isinstance(value, str)}


_BLANK = " \t\n"
"""TOML has a carriage return before a line feed alone (TOML 1.0, Newline)."""


def configure(text: str, wanted: Wanted, version: int = 2) -> Edit:
    """The text with the snapshotter's section as wanted, and nothing else changed.

    `version` is that of a new file. EditError: the text is of another version, or cannot be changed
    without touching something else.
    """
    if not text.replace("\r\n", "\n").strip(_BLANK):
        text = f"version = {version}\n"
    before = tomltext.read(text)
    _check(before)
    path = ("plugins", PLUGIN)
    section = _table(before, *path)
    values = {key: value for key, value in wanted.values().items() if section.get(key) != value}
    after = tomltext.set_values(text, path, values)
    _prove(before, after, values)
    return Edit(after, tuple(_tell(key, section.get(key), value) for key, value in values.items()))


def _tell(key: str, old: object, new: str | bool) -> str:  # noqa: FBT001 - a value of the text
    words = str(new).lower() if isinstance(new, bool) else new
    return f"{key} = {words} is added" if old is None else f"{key}: {old} becomes {words}"


def _check(document: Any) -> None:
    if (version := _version(document)) not in (2, 3):
        raise EditError(
            f"it is of version {version}, and only 2 and 3 are written: `containerd config migrate`"
            " prints it in the newest version, `containerd config default` a new one"
        )
    disabled = document.get("disabled_plugins")
    named = [name for name in _SECTIONS if isinstance(disabled, list) and name in disabled]
    if named:
        raise EditError(f"disabled_plugins has {named[0]} in it: take it out of that list first")


def _prove(before: dict[str, Any], after: str, values: dict[str, str | bool]) -> None:
    """The wanted keys, and no others, have changed."""
    try:
        expected = copy.deepcopy(before)
        plugins = expected.setdefault("plugins", {})
        plugins.setdefault(PLUGIN, {}).update(values)
        proven = not values or tomltext.read(after) == expected
    except (AttributeError, EditError, RecursionError):
        proven = False
    if not proven:
        raise EditError(
            f"its section of {PLUGIN} is written in a way that cannot be changed without touching"
            " something else"
        )


def is_broken(listing: str) -> bool | None:
    """The answer of `ctr plugins ls` → is the devmapper plugin in error?

    None: it is not listed, or was left out (`skip`), as where the file names no pool.
    """
    for line in listing.splitlines():
        words = line.split()
        if "devmapper" in words and re.match(r"io\.containerd\.snapshotter", words[0]):
            return {"error": True, "ok": False}.get(words[-1])
    return None


def config_in(words: Iterable[str]) -> str:
    """The words of its command line → the file that it reads; systemd starts it in /.

    Of one given twice the last counts, and one dash is as good as two.
    """
    path, rest = CONTAINERD.path, iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _CONFIG_FLAGS:
            path = value if equals else next(rest, path)
    return f"/{path.lstrip('/')}"
