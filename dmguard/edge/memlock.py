"""Memory that is never paged out: the root file system may be on the pool that has stopped."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_MAPS = Path("/proc/self/maps")


def lock_memory() -> str | None:
    """Lock this process in memory: from now on it needs no disk to go on; the reason if refused.

    What is in memory stays there, and so does what is touched later. Programs and libraries that
    are mapped now are read in as a whole. Nothing else is: MCL_CURRENT alone would also fill the
    stack of each thread, 8 MiB, which nobody needs.

    What is loaded later, a module or a library, is read from disk then: load it before.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Imports leave gaps behind, and memory that is locked cannot be given back.
    gc.collect()
    # What is loaded by now stays, and a collection that comes in the middle of a look need not go
    # through it.
    gc.freeze()
    if hasattr(libc, "malloc_trim"):  # glibc's
        libc.malloc_trim(0)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return os.strerror(ctypes.get_errno())
    for start, end in _programs():
        if libc.mlock(ctypes.c_void_p(start), ctypes.c_size_t(end - start)) != 0:
            return os.strerror(ctypes.get_errno())
    return None


def _programs() -> Iterator[tuple[int, int]]:
    """Where programs and libraries lie: files that are mapped for this process alone."""
    for line in _MAPS.read_text().splitlines():
        # proc(5): the range, permissions, offset, device, inode, and the path of a file
        where, permissions, *rest = line.split(maxsplit=5)
        if rest[-1].startswith("/") and permissions.startswith("r") and permissions.endswith("p"):
            start, end = where.split("-")
            yield int(start, 16), int(end, 16)
