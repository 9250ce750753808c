"""The steps of what is done to a pool that is none of LVM's.

The pool is live between any two of them: the kernel suspends it, swaps its table and resumes it
within the one call of ResumePool.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import ActivateRaw, GrowLoop
from dmguard.core.steps.dm import (
    AttachFile,
    CreateRaw,
    CutFile,
    DetachFile,
    DropTable,
    LoadTable,
    RestoreTable,
    ResumePool,
    SetCapacity,
    SetFileSize,
)

if TYPE_CHECKING:
    from dmguard.core.model import State
    from dmguard.core.steps.kinds import Step, Table


def grow(action: GrowLoop) -> tuple[Step, ...]:
    return (
        SetFileSize(action.path, action.inode, action.file_size, action.file_target),
        SetCapacity(action.node, action.inode),
        LoadTable(action.name, action.was, action.table),
        ResumePool(action.name, action.was, action.table),
    )


def finish_grow(action: GrowLoop, ran: int, state: State) -> tuple[Step, ...]:
    """All of it again, wherever it was interrupted: each step is fine with its end being there.

    After a boot the loop devices may have other numbers, and so the table.
    """
    del ran
    again = _as_it_is_now(action, state)
    return () if again is None else grow(again)


_LOADED = 3
"""So many of the steps ran when the table is loaded, and only its swap was still to come."""


def undo_grow(action: GrowLoop, ran: int, state: State) -> tuple[Step, ...]:
    """The pool goes on. The file is cut again where the kernel shows the old size, so that
    nothing can have been written to its new part.

    Before the swap we suspended nothing: a pool that is suspended then is someone else's.
    """
    if action.in_state(state) is None:
        return ()
    again = _as_it_is_now(action, state)
    restore: Step = RestoreTable(action.name, action.was, action.table)
    if ran < _LOADED:
        restore = DropTable(action.name, (again or action).table)
    if again is None or action.file_target == action.file_size:
        return (restore,)
    cut = CutFile(
        action.path,
        action.inode,
        was=action.file_target,
        size=action.file_size,
        pool=action.name,
        resource=action.resource,
        kept=action.size,
    )
    return (restore, cut, SetCapacity(again.node, action.inode))


def _as_it_is_now(action: GrowLoop, state: State) -> GrowLoop | None:
    """The action with the devices and the table of now; None if another file is below the pool."""
    pool = action.in_state(state)
    if pool is None:
        return None
    backing = pool.backing(action.resource)
    if backing.file is None or backing.file.inode != action.inode:
        return None
    return replace(action, node=backing.node, sectors=pool.table.sectors, params=pool.table.params)


def activate_raw(action: ActivateRaw) -> tuple[Step, ...]:
    files = ((action.metadata, action.metadata_is_file), (action.data, action.data_is_file))
    return (
        *(AttachFile(path) for path, is_file in files if is_file),
        CreateRaw(
            action.name,
            action.sectors,
            action.metadata,
            action.data,
            action.metadata_is_file,
            action.data_is_file,
            action.rest,
        ),
    )


def undo_raw(action: ActivateRaw, ran: int, state: State) -> tuple[Step, ...]:
    """No file stays on a loop device for nothing."""
    del ran
    if action.in_state(state) is not None:
        return ()
    return tuple(DetachFile(path) for path in reversed(action.attaches))


STEPS: Table = {GrowLoop: grow, ActivateRaw: activate_raw}
