"""The configuration that every LVM command of dmguard's has on its command line."""

from __future__ import annotations

SHORT = "global/wait_for_locks=0 global/notify_dbus=0"
"""Never wait in LVM for ever, and never for a hung bus."""

QUIET = f"{SHORT} activation/monitoring=0"
"""And start no dmeventd inside our own cgroup."""


def with_mark(threshold: int, base: str = QUIET) -> str:
    """The base, and the low water mark that the live table gets.

    It belongs to whoever loads the table last. LVM computes it from this setting (lvm2,
    lib/thin/thin.c), so activating, growing and refreshing all leave dmguard's own.
    """
    return f"{base} activation/thin_pool_autoextend_threshold={threshold}"
