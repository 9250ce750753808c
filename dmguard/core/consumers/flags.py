"""The storage options of a command line, as dockerd and isulad take them.

Docker does not start with the same option in daemon.json; to iSulad the command line counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FLAGS = {
    "--storage-driver": "driver",
    "-s": "driver",
    "--storage-opt": "options",
    "--data-root": "data_root",
    "--graph": "data_root",
    "-g": "data_root",
    "--config-file": "config_file",
}
_LIVE_RESTORE = "--live-restore"
"""A switch: its value is only taken after an equals sign."""

_TRUE = ("1", "t", "true")


@dataclass(frozen=True, slots=True)
class Flags:
    """What a command line says of storage. None: it does not say."""

    driver: str | None = None
    options: tuple[str, ...] = ()
    data_root: str | None = None
    config_file: str | None = None
    live_restore: bool = False
    """Do its containers run on while it is stopped?"""

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The keys that may therefore not be in daemon.json."""
        found = ["storage-driver"] if self.driver is not None else []
        return (*found, "storage-opts") if self.options else tuple(found)


def flags_in(words: Iterable[str]) -> Flags:
    """The words of a command line → its storage options; of one given twice the last counts."""
    found: dict[str, str] = {}
    options = []
    for field, value in _pairs(iter(words)):
        if field == "options":
            options.append(value)
        else:
            found[field] = value
    live = found.pop("live_restore", "").lower() in _TRUE
    return Flags(options=tuple(options), live_restore=live, **found)


def _pairs(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, equals, value = word.partition("=")
        if name == _LIVE_RESTORE:
            yield "live_restore", value if equals else "true"
        elif name in _FLAGS:
            yield _FLAGS[name], value if equals else next(words, "")
        elif word[:2] in ("-s", "-g"):
            yield _FLAGS[word[:2]], word[2:]
