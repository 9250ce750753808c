"""proc(5)'s mountinfo: what is mounted at a path and below it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = "proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")


def read_mounts(root: Path, place: Path) -> tuple[str, ...] | None:
    """What is mounted there and below it, by paths from there, itself as `.`; None: not known."""
    try:
        text = (root / _MOUNTS).read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
    real = Path(os.path.realpath(place))
    # A name in it may have every other end of a line that Python knows.
    lines = (line.split(" ") for line in text.split("\n"))
    points = {Path(unescape(words[4])) for words in lines if len(words) > 5}
    return tuple(sorted(str(p.relative_to(real)) for p in points if p.is_relative_to(real)))


def unescape(text: str) -> str:
    r"""Space, tab, newline and backslash are octal in mountinfo and swaps: '\040'."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
