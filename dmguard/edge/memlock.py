"""Memory that is never paged out: the root file system may be on the pool that has stopped."""

from __future__ import annotations

import ctypes
import os

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def lock_memory() -> str | None:
    """Lock what is mapped now, and later what is touched; the reason if it is refused.

    In two calls: MCL_ONFAULT together with MCL_CURRENT would leave what is not yet in memory out,
    and without it each later thread's whole stack would be faulted in.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_MCL_CURRENT, _MCL_FUTURE | _MCL_ONFAULT):
        if libc.mlockall(flags) != 0:
            return os.strerror(ctypes.get_errno())
    return None
