"""A look at everything, disks included, by a command that has the time for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.ledger import keep_books

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.model import State


async def look_at_all(loop: Loop) -> State:
    """The state, with every close look at a disk that is wanted: some seconds for many disks."""
    state = await loop.observer.look(fresh=True, disks=True, units=True)
    # Without an agent nobody noted yet what an administrator took out.
    return replace(state, ledger=keep_books(state.ledger, state))
