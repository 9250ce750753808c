"""A change to somebody else's configuration, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass

BLANK = " \t\r\n"
"""What JSON calls white space, which is less than Python does (RFC 8259, 2)."""


class EditError(ValueError):
    """The text is left as it is; the error's text says why, and what would help."""


def check_text(text: str) -> None:
    """EditError unless it can be written back and told of: both formats are UTF-8."""
    if text.startswith("\ufeff"):
        raise EditError("it begins with a byte order mark")
    if not is_whole(text):
        raise EditError("it is not UTF-8")


def is_whole(text: str) -> bool:
    """Is there no half of a character in it? What was no UTF-8 is read as such halves."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Edit:
    """The text as it should be. What nobody asked for stands in it byte for byte.

    `changes` says each change in words, `removed` has the options that are gone, as they stood.
    """

    text: str
    changes: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
