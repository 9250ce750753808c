"""A look at everything, disks included, by a command that has the time for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.model import State

_ROUNDS = 600


async def look_at_all(loop: Loop) -> State:
    """The state, with every close look at a disk that is wanted: some seconds for many disks."""
    state = await loop.observer.look(fresh=True, disks=True, units=True)
    for _ in range(_ROUNDS):
        looked = sum(disk.probe is not None for disk in state.disks)
        state = await loop.observer.look(disks=True)
        if sum(disk.probe is not None for disk in state.disks) <= looked:
            break
    return state
