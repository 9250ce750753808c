"""What a file lies on: block devices, and what those are made of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dmguard.edge.roots import Roots, children_of, text_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from dmguard.core.model import Devno

_DEEPEST = 100
"""Devices, where each may be made of many."""


def lies_on(path: Path, devices: Collection[Devno], roots: Roots | None = None) -> bool | None:
    """Does a file lie on one of these devices, or on one that is made of them?

    None where that cannot be told: a file system that has no device of its own, as btrfs, an
    overlay, or one of another host's (its number is then of major 0, Linux, fs/super.c:
    get_anon_bdev).
    """
    sys = (roots or Roots()).sys
    try:
        number = path.stat().st_dev
    except OSError:
        return False
    wanted = {f"{major}:{minor}" for major, minor in devices}
    found = [f"{os.major(number)}:{os.minor(number)}"]
    for name in found:
        if name in wanted:
            return True
        for slave in children_of(sys / "dev/block" / name / "slaves"):
            below = (text_of(slave / "dev") or "").strip()
            if below and below not in found and len(found) < _DEEPEST:
                found.append(below)
    return None if os.major(number) == 0 else False
