"""A pool written into daemon.json, as Docker and iSulad have it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from dmguard.core.consumers import jsontext
from dmguard.core.consumers.daemon import DRIVER, MAPPER, pool_name, split_option
from dmguard.core.consumers.edit import BLANK, Edit, EditError, is_whole

_FORBIDDEN = re.compile(
    r"dm\.(datadev|metadatadev|loopdatasize|loopmetadatasize|directlvm_.*|thinp_.*)"
)
"""Options of another kind of pool: the driver makes one of its own by them, or does not start."""
_FOREIGN = re.compile(r"(overlay2?|btrfs|zfs|windowsfilter)\..*")
"""Options of other drivers: each driver refuses all that are not its own."""
_DEFERRED = ("dm.use_deferred_removal", "dm.use_deferred_deletion")
_TRUE = ("1", "t", "true")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written: the device-mapper name of the pool, and what goes with it.

    `min_free_space` is in percent; None leaves what there is. `deferred` False is for a program
    that does not know the options for it.
    """

    pool: str
    min_free_space: int | None = None
    deferred: bool = True

    def options(self) -> dict[str, str]:
        """The options by name, in the order in which they are added."""
        found = {"dm.thinpooldev": MAPPER + self.pool}
        if self.deferred:
            found |= dict.fromkeys(_DEFERRED, "true")
        if self.min_free_space is not None:
            found["dm.min_free_space"] = f"{self.min_free_space}%"
        return found

    def is_unwanted(self, name: str) -> bool:
        """May the option not stand beside the wanted ones?"""
        refused = name in _DEFERRED and not self.deferred
        return refused or bool(_FORBIDDEN.fullmatch(name) or _FOREIGN.fullmatch(name))


def configure(text: str, wanted: Wanted) -> Edit:
    """The text with the driver and the wanted options, and nothing else changed.

    EditError: it cannot be told for certain what is in the text.
    """
    if not text.strip(BLANK):
        return _new_document(wanted)
    members = {member.key: member for member in jsontext.read_object(text)}
    driver, options = members.get("storage-driver"), members.get("storage-opts")
    replacements, changes = [], []
    new: list[tuple[str, object]] = []
    if driver is None:
        new.append(("storage-driver", DRIVER))
        changes.append(f"storage-driver: {DRIVER} is added")
    elif isinstance(driver.value, str) and not is_whole(driver.value):
        raise EditError("storage-driver is no text")
    elif driver.value != DRIVER:
        replacements.append(jsontext.Replacement(driver.start, driver.end, json.dumps(DRIVER)))
        changes.append(f"storage-driver: {driver.value} becomes {DRIVER}")
    chosen = _Options(wanted)
    if options is None:
        chosen.add_missing()
        new.append(("storage-opts", [json.loads(word) for _, word in chosen.kept]))
    else:
        chosen.take(text, options)
        chosen.add_missing()
        if chosen.changes:
            replacements.append(jsontext.dump_array(text, options, chosen.kept))
    if new:
        replacements.append(jsontext.add_members(text, new))
    result = jsontext.apply(text, replacements)
    _prove(text, result)
    return Edit(result, (*changes, *chosen.changes), tuple(chosen.removed))


def _new_document(wanted: Wanted) -> Edit:
    options = [f"{name}={value}" for name, value in wanted.options().items()]
    document = {"storage-driver": DRIVER, "storage-opts": options}
    added = (f"storage-driver: {DRIVER} is added", *(f"{option} is added" for option in options))
    return Edit(json.dumps(document, indent=4) + "\n", added)


class _Options:
    """The elements of storage-opts on their way to the wanted ones."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._missing = wanted.options()
        self.kept: list[tuple[jsontext.Place | None, str]] = []
        self.changes: list[str] = []
        self.removed: list[str] = []

    def take(self, text: str, array: jsontext.Member) -> None:
        """What there is: kept, replaced in its place, or removed."""
        if not isinstance(array.value, list):
            raise EditError("storage-opts is not a list")
        ours = set(self._missing)
        for place in jsontext.read_array(text, array):
            if not isinstance(place.value, str) or not is_whole(place.value):
                raise EditError("storage-opts has something in it that is no text")
            name, value = split_option(place.value)
            if self._wanted.is_unwanted(name) or (name in ours and name not in self._missing):
                self.removed.append(place.value)
                self.changes.append(f"{place.value} is removed")
            elif name not in ours:
                self.kept.append((place, text[place.start : place.end]))
            else:
                self._replace(text, place, name, value)

    def _replace(self, text: str, place: jsontext.Place, name: str, value: str) -> None:
        wanted = self._missing.pop(name)
        right = place.value.strip().lower().startswith("dm.") and _is_same(name, value, wanted)
        if right:
            self.kept.append((place, text[place.start : place.end]))
            return
        self.kept.append((place, json.dumps(f"{name}={wanted}")))
        self.changes.append(f"{place.value} becomes {name}={wanted}")

    def add_missing(self) -> None:
        """The wanted ones that were not there, at the end."""
        for name, value in self._missing.items():
            self.kept.append((None, json.dumps(f"{name}={value}")))
            self.changes.append(f"{name}={value} is added")
        self._missing = {}


def _is_same(name: str, value: str, wanted: str) -> bool:
    """Does the driver read the two values as the same?"""
    if name in _DEFERRED:
        return value.lower() in _TRUE
    if name == "dm.thinpooldev":
        return pool_name(value) == pool_name(wanted)
    return value == wanted


def _prove(before: str, after: str) -> None:
    """All that is not ours has the text that it had, in the order that it had."""
    old, new = (
        [
            (member.key, text[member.start : member.end])
            for member in jsontext.read_object(text)
            if member.key not in ("storage-driver", "storage-opts")
        ]
        for text in (before, after)
    )
    if old != new:
        raise EditError("it cannot be changed without touching something else")
