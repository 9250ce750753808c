"""The places of members and elements in a JSON text, so that one can be changed and the rest kept.

The standard library reads the values; only where they begin and end is found here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.consumers.edit import EditError, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACE = re.compile(r"[ \t\n\r]*")
_UNIT = "    "


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands. `lead` is the white space before it, or before its key."""

    lead: str
    start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class Member(Place):
    """A member of an object; its place is that of its value."""

    key: str
    colon: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """What stands at text[start:end] is to be `text`."""

    start: int
    end: int
    text: str


def read_object(text: str) -> tuple[Member, ...]:
    """The members of the object that the text is; EditError if it is none, or an unclear one."""
    _check(text)
    at = _skip(text, 0)
    if text[at] != "{":
        raise EditError("it is not a JSON object")
    members = []
    at = _skip(text, lead := at + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, end) + 1)
        value, stop = _DECODER.raw_decode(text, start)
        members.append(Member(text[lead:at], start, stop, value, key, text[end:start]))
        lead, at = _next(text, stop)
    return tuple(members)


def read_array(text: str, array: Place) -> tuple[Place, ...]:
    """The elements of an array in a text that read_object has read."""
    found = []
    at = _skip(text, lead := array.start + 1)
    while text[at] != "]":
        value, stop = _DECODER.raw_decode(text, at)
        found.append(Place(text[lead:at], at, stop, value))
        lead, at = _next(text, stop)
    return tuple(found)


def _next(text: str, at: int) -> tuple[int, int]:
    """From the end of a value: where the white space before the next begins and ends."""
    at = _skip(text, at)
    if text[at] != ",":
        return at, at
    return at + 1, _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def apply(text: str, replacements: Iterable[Replacement]) -> str:
    """The text with all of them done; they may not overlap."""
    for one in sorted(replacements, key=lambda one: one.start, reverse=True):
        text = text[: one.start] + one.text + text[one.end :]
    return text


def add_members(text: str, new: list[tuple[str, object]]) -> Replacement:
    """Members after the last, laid out as that is."""
    members = read_object(text)
    lead, colon = _layout(text, members)
    words = [f"{lead}{json.dumps(key)}{colon}{dump(value, lead)}" for key, value in new]
    if members:
        return Replacement(members[-1].end, members[-1].end, "".join(f",{word}" for word in words))
    return Replacement(text.index("{") + 1, text.index("}"), ",".join(words) + _newline(text))


def _layout(text: str, members: tuple[Member, ...]) -> tuple[str, str]:
    """The white space before a new member, and what stands between its key and its value."""
    if not members:
        return _newline(text) + _UNIT, ": "
    last = members[-1]
    lead = last.lead if "\n" in last.lead else members[0].lead
    colon = last.colon if "\n" not in last.colon else ": "
    if "\n" in lead:
        return lead, colon
    return last.lead if len(members) > 1 else colon.partition(":")[2], colon


def dump(value: object, lead: str) -> str:
    """A value for a place with that white space before it: its elements on lines of their own
    where the members are."""
    if not isinstance(value, list) or "\n" not in lead:
        return json.dumps(value, ensure_ascii=False)
    deeper = lead + (lead.rpartition("\n")[2] or _UNIT)
    inner = ",".join(deeper + json.dumps(item, ensure_ascii=False) for item in value)
    return f"[{inner}{lead}]" if value else "[]"


def dump_array(text: str, array: Member, wanted: list[tuple[Place | None, str]]) -> Replacement:
    """The array with other elements: `wanted` has each one's old place, if any, and its text.

    What is kept keeps its place and the white space before it.
    """
    old = read_array(text, array)
    if not old:
        items = [json.loads(word) for _, word in wanted]
        return Replacement(array.start, array.end, dump(items, array.lead))
    tail = text[old[-1].end : array.end]
    lead = old[-1].lead if len(old) > 1 or "\n" in old[0].lead else old[0].lead or " "
    parts = []
    for number, (place, word) in enumerate(wanted):
        before = old[0].lead if number == 0 else place.lead if place else lead
        parts.append(before + word)
    return Replacement(array.start, array.end, f"[{','.join(parts)}{tail}")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _check(text: str) -> None:
    check_text(text)
    try:
        json.loads(text, object_pairs_hook=_unique, **_LENIENT)
    except RecursionError:
        raise EditError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise EditError(f"it is not JSON: {error}; comments are not allowed in it") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(key for key, _ in pairs)
    twice = sorted(key for key, count in counts.items() if count > 1)
    if twice:
        named = ", ".join(twice).encode(errors="backslashreplace").decode()
        raise EditError(f"{named}: given twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise EditError(f"it is not JSON: {name}")


# The text of a number is kept, its value does not matter: an int refuses a very long one.
_LENIENT: dict[str, Any] = {"parse_int": float, "parse_constant": _no_constant}
_DECODER = json.JSONDecoder(**_LENIENT)
