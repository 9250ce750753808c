"""Action → the steps that carry it out: what a dry run prints and what execute runs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dmguard.core.actions import Action, Refresh
from dmguard.core.model import Resource


@dataclass(frozen=True, slots=True)
class Lvm:
    """One LVM command that changes something; `argv` without the leading `lvm`."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.argv)


Step = Lvm

_QUIET = "global/wait_for_locks=0 global/notify_dbus=0 activation/monitoring=0"
"""Never wait in LVM for ever, never for a hung bus, and start no dmeventd inside our own cgroup."""


def steps_for(action: Action) -> tuple[Step, ...]:
    """The steps of an action. Sizes are absolute, so a replay cannot grow a pool twice."""
    # The low water mark belongs to whoever loads the table last. LVM computes it from this
    # setting (lvm2, lib/thin/thin.c), so growing and refreshing both leave dmguard's own.
    config = f"{_QUIET} activation/thin_pool_autoextend_threshold={action.threshold}"
    if isinstance(action, Refresh):
        return (Lvm(("lvchange", "--refresh", "--config", config, action.pool)),)
    option = "--size" if action.resource is Resource.DATA else "--poolmetadatasize"
    return (Lvm(("lvextend", "--config", config, option, f"{action.target}b", action.pool)),)
