"""Action → the steps that carry it out: what a dry run prints and what execute runs.

One file a family of actions, each with a table of its own. An action of several effects may also
say what completes the half that a crash left, what follows when it is done and told, and what
takes back what did not come to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmguard.core.actions import (
    Action,
    ActivateRaw,
    Claim,
    Configure,
    CreatePool,
    CreateVg,
    EditFile,
    Extend,
    GrowLoop,
    Refresh,
    RepairPool,
)
from dmguard.core.steps import disks, files, loops, pools, repair, setup, units
from dmguard.core.steps.kinds import (
    Lvm,
    MoveBack,
    MovePath,
    Proof,
    Prove,
    ProveStopped,
    PutFile,
    RemoveFile,
    Step,
    Table,
    UnitStep,
    UnitVerb,
    Unmake,
    Wipe,
    digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dmguard.core.model import State

    Partial = Mapping[type[Action], Callable[[Any, int, State], tuple[Step, ...]]]

__all__ = [
    "Lvm",
    "MoveBack",
    "MovePath",
    "Proof",
    "Prove",
    "ProveStopped",
    "PutFile",
    "RemoveFile",
    "Step",
    "UnitStep",
    "UnitVerb",
    "Unmake",
    "Wipe",
    "after_for",
    "digest",
    "every_step",
    "finish_for",
    "has_after",
    "lets_go",
    "steps_for",
    "undo_for",
]

_STEPS: Table = {
    **pools.STEPS,
    **disks.STEPS,
    **units.STEPS,
    **files.STEPS,
    **setup.STEPS,
    **loops.STEPS,
    **repair.STEPS,
}
_FINISH: Partial = {
    Claim: disks.finish_claim,
    CreateVg: setup.finish_vg,
    CreatePool: setup.finish_pool,
    Configure: setup.finish_configure,
    GrowLoop: loops.finish_grow,
    RepairPool: repair.finish_repair,
}
_AFTER: Partial = {
    Claim: disks.after_claim,
    CreateVg: setup.after_vg,
    EditFile: files.after_edit,
}
_FOLLOWING: Table = {Claim: disks.tag_claimed, CreateVg: setup.tag_vg}
"""What _AFTER comes to where the disks have the names that they were planned with."""

_UNDO: Partial = {
    Claim: disks.undo_claim,
    CreateVg: setup.undo_vg,
    CreatePool: setup.undo_pool,
    Configure: setup.undo_configure,
    Extend: pools.undo_load,
    Refresh: pools.undo_load,
    GrowLoop: loops.undo_grow,
    ActivateRaw: loops.undo_raw,
    RepairPool: repair.undo_repair,
}


def steps_for(action: Action) -> tuple[Step, ...]:
    """The steps of an action."""
    return _STEPS[type(action)](action)


def lets_go(action: Action) -> bool:
    """Does any of its steps wait without the lock?"""
    return any(step.lets_go for step in steps_for(action))


def every_step(action: Action) -> tuple[Step, ...]:
    """All that is done for an action when nothing goes wrong, to be shown beforehand."""
    following = _FOLLOWING.get(type(action))
    return (*steps_for(action), *(following(action) if following else ()))


def finish_for(action: Action, ran: int, state: State) -> tuple[Step, ...]:
    """What completes an action that a crash left half done; `ran` of its steps came to their end.

    `state` is the host as it is now.
    """
    return _partial(_FINISH, action, ran, state)


def has_after(action: Action) -> bool:
    """Can anything follow it?"""
    return type(action) in _AFTER


def after_for(action: Action, ran: int, state: State) -> tuple[Step, ...]:
    """What follows when an action is done and told; whether it succeeds does not change that."""
    return _partial(_AFTER, action, ran, state)


def undo_for(action: Action, ran: int, state: State) -> tuple[Step, ...]:
    """What takes back the half of an action that did not come to its end, and no more."""
    return _partial(_UNDO, action, ran, state)


def _partial(table: Partial, action: Action, ran: int, state: State) -> tuple[Step, ...]:
    steps = table.get(type(action))
    return () if steps is None else steps(action, ran, state)
