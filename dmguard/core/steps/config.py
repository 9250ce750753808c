"""The configuration that every LVM command of dmguard's has on its command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SHORT = "global/wait_for_locks=0 global/notify_dbus=0"
"""Never wait in LVM for ever, and never for a hung bus."""

QUIET = f"{SHORT} activation/monitoring=0"
"""And start no dmeventd inside our own cgroup."""


_PLAIN = re.compile(r"/dev/[\w./:-]+", re.ASCII)


def narrowed(argv: tuple[str, ...], devices: Collection[str]) -> tuple[str, ...]:
    """The command, for an LVM that looks at these devices alone: it otherwise opens every disk of
    the host. As it is where there are none, or where one has a name that could be read otherwise.

    LVM's hints on where its PVs are stay as they are: they are those of all devices.
    """
    if not devices or not all(_PLAIN.fullmatch(device) for device in devices):
        return argv
    accepted = "".join(f'"a|^{device}$|",' for device in devices)
    narrow = f'devices/filter=[{accepted}"r|.*|"] devices/hints="none"'
    return _with(argv, narrow)


def unarchived(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command, for an LVM that keeps no copy of the metadata before it changes them."""
    return _with(argv, "backup/archive=0") if "--config" in argv else argv


def uncopied(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command, for an LVM that writes to no file system at all."""
    return _with(argv, "backup/archive=0 backup/backup=0") if "--config" in argv else argv


def _with(argv: tuple[str, ...], setting: str) -> tuple[str, ...]:
    place = argv.index("--config") + 1
    return (*argv[:place], f"{argv[place]} {setting}", *argv[place + 1 :])


def with_mark(threshold: int, base: str = QUIET) -> str:
    """The base, and the low water mark that the live table gets.

    It belongs to whoever loads the table last. LVM computes it from this setting (lvm2,
    lib/thin/thin.c), so activating, growing and refreshing all leave dmguard's own.
    """
    return f"{base} activation/thin_pool_autoextend_threshold={threshold}"
