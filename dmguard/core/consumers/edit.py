"""A change to somebody else's configuration, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass


class EditError(ValueError):
    """The text is left as it is; the error's text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The text as it should be. What nobody asked for stands in it byte for byte.

    `changes` says each change in words, `removed` has the options that are gone, as they stood.
    """

    text: str
    changes: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
