"""A mount namespace of a test's own."""

from __future__ import annotations

from pathlib import Path


def unshare_mounts() -> list[str]:
    """The command for it: private, where the root is a mount; else, as in a chroot whose mounts
    are private already, as it is, because unshare cannot change what is none.
    """
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    rooted = any(row.split()[4] == "/" for row in rows)
    return ["unshare", "--mount", *([] if rooted else ["--propagation", "unchanged"])]
