"""TOML text → its document, in bounded time and with one kind of error."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_MOST_DOTS = 32
"""In one key. The time that the standard library takes for one grows with their square."""

# Neither ever has to go back: what is not closed goes to the end of the line or of the text.
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*"
)
"""A string or a comment."""
_DOTTED = re.compile(r"[\w-]+(?:[ \t]*\.[ \t]*[\w-]+)*")


class TomlError(ValueError):
    """It is not TOML, or nothing that anybody writes."""


def load_toml(text: str) -> dict[str, Any]:
    """The document; TomlError if it is none."""
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        _check_keys(text)
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise TomlError(str(error)) from error
    except RecursionError as error:
        raise TomlError("it is nested too deeply") from error


def _check_keys(text: str) -> None:
    bare = _STRING.sub(_name, text)
    for match in _DOTTED.finditer(bare):
        if match[0].count(".") > _MOST_DOTS:
            line = bare.count("\n", 0, match.start()) + 1
            raise TomlError(f"a key of more than {_MOST_DOTS} dots (at line {line})")


def _name(string: re.Match[str]) -> str:
    """As a part of a key. The lines stay."""
    return "" if string[0].startswith("#") else "_" + "\n" * string[0].count("\n")
