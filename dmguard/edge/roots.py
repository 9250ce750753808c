"""Where the kernel's and the host's files are, and how those are read that may be gone by then."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.EINVAL, errno.ENOTDIR, errno.ENODEV})
"""What is said of a file that is missing, and of one whose process or device has gone."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the kernel's and the host's files are."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    etc: Path = Path("/etc")
    dev: Path = Path("/dev")


def clean(text: str) -> str:
    """Text of unknown origin, fit for one line of a terminal or a log."""
    return "".join(char if char.isprintable() else "?" for char in text)


def children_of(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def text_of(path: Path) -> str | None:
    """What is in a file; None if there is none, or its process or device has gone."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def link_of(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError as error:
        if error.errno in GONE:
            return None
        raise
