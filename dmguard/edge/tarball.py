"""A tar of files that are in memory, packed as its name says."""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING, Literal

from dmguard.core.bundle import FOLDER, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.bundle.pack import Member

_Mode = Literal["w", "w:gz", "w:xz"]
_MODES: tuple[_Mode, ...] = ("w", "w:gz", "w:xz")


def make_tar(name: str, members: Iterable[Member]) -> bytes:
    """Packed as one of SUFFIXES says, with which the name must end."""
    mode = next(
        mode for suffix, mode in zip(SUFFIXES, _MODES, strict=True) if name.endswith(suffix)
    )
    buffer = io.BytesIO()
    now = int(time.time())
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for member in members:
            entry = tarfile.TarInfo(f"{FOLDER}/{member.name}")
            entry.size, entry.mtime, entry.mode = len(member.data), now, 0o600
            tar.addfile(entry, io.BytesIO(member.data))
    return buffer.getvalue()
