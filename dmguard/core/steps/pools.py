"""The steps of what is done to a pool. Sizes are absolute, so a replay cannot grow it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Activate, AttachProfile, ClearSkip, Extend, Monitor, Refresh
from dmguard.core.model import Resource
from dmguard.core.steps.config import QUIET, SHORT, with_mark
from dmguard.core.steps.kinds import Lvm, PutFile

if TYPE_CHECKING:
    from dmguard.core.model import State
    from dmguard.core.steps.kinds import Step, Table

_WITHOUT_UDEV = "--noudevsync"
"""For what only loads the tables anew of a pool that is there. LVM otherwise ends when udev has
looked at each of its devices, for which it waits without an end (libdm, libdm-common.c), and udev
is to do nothing with them: their names stay. A udev that is behind or does not answer would hold
the group's lock, and with it the next growth.
"""


def extend(action: Extend) -> tuple[Step, ...]:
    option = "--size" if action.resource is Resource.DATA else "--poolmetadatasize"
    config = with_mark(action.threshold)
    # With metadata LVM may make the pool's spare anew, for whose device it does need udev.
    how = (_WITHOUT_UDEV,) if action.resource is Resource.DATA else ()
    size = f"{action.target}b"
    grow = ("lvextend", *how, "--config", config, option, size, action.pool)
    return (Lvm(grow, urgent=action.vg),)


def refresh(action: Refresh) -> tuple[Step, ...]:
    return (Lvm(_load(action), urgent=action.vg),)


def _load(action: Extend | Refresh) -> tuple[str, ...]:
    config = with_mark(action.threshold)
    return ("lvchange", "--refresh", _WITHOUT_UDEV, "--config", config, action.pool)


def undo_load(action: Extend | Refresh, ran: int, state: State) -> tuple[Step, ...]:
    """A command that died between suspend and resume leaves the pool suspended, and perhaps with a
    table beside the live one that is larger than what LVM committed: that must never go live, for
    it has extents that LVM counts as free.

    LVM loads what it committed, if it gets the group's lock, so that nobody is at the pool. Where
    such a table is there the kernel refuses it over the smaller data volume, and drops it: the next
    try then succeeds.
    """
    del ran
    found = (pool.kernel for pool in state.pools if pool.lv.uuid == action.lv_uuid)
    kernel = next(found, None)
    # Nor is anybody else's volume looked at, which may be in the very pool that stands still.
    load = Lvm(_load(action), urgent=action.vg, twice=True)
    return (load,) if kernel is not None and kernel.suspended else ()


def activate(action: Activate) -> tuple[Step, ...]:
    config = SHORT if action.monitor else QUIET
    steps = []
    if action.components:
        names = tuple(f"{action.vg}/{name}" for name in action.components)
        steps.append(Lvm(("lvchange", "--activate", "n", "--config", config, *names)))
    # As LVM itself would do it, where nobody asked for this very pool: it then heeds
    # activation/auto_activation_volume_list, which a plain activation does not.
    how = "ay" if action.auto else "y"
    ignore = ("--ignoreactivationskip",) if action.skip else ()
    # Else its table would have to be loaded anew, and while that is done no thin device comes up.
    if action.threshold is not None:
        config = with_mark(action.threshold, config)
    steps.append(Lvm(("lvchange", "--activate", how, *ignore, "--config", config, action.pool)))
    return tuple(steps)


def attach_profile(action: AttachProfile) -> tuple[Step, ...]:
    attach = ("lvchange", "--metadataprofile", action.profile, "--config", QUIET, action.pool)
    return (PutFile(action.path, action.text, action.was), Lvm(attach))


def monitor(action: Monitor) -> tuple[Step, ...]:
    return (Lvm(("lvchange", "--monitor", "y", "--config", SHORT, action.pool)),)


def clear_skip(action: ClearSkip) -> tuple[Step, ...]:
    return (Lvm(("lvchange", "--setactivationskip", "n", "--config", QUIET, action.pool)),)


STEPS: Table = {
    Extend: extend,
    Refresh: refresh,
    Activate: activate,
    AttachProfile: attach_profile,
    Monitor: monitor,
    ClearSkip: clear_skip,
}
