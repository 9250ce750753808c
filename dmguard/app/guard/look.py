"""A look at everything, disks included, by a command that has the time for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.ledger import keep_books

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.model import State


async def look_at_all(loop: Loop, *, host: bool = False) -> State:
    """The state, with every close look at a disk that is wanted: long, for many disks or slow
    ones, and so without the lock.
    """
    return _booked(await loop.observer.look(fresh=True, disks=True, units=True, host=host))


async def look_again(loop: Loop, *, host: bool = False) -> State:
    """Under the lock: what may have changed since a look at everything. An act on a disk proves
    that disk itself.
    """
    return _booked(await loop.observer.look(fresh=True, units=True, host=host))


def _booked(state: State) -> State:
    # Without an agent nobody noted yet what an administrator took out.
    return replace(state, ledger=keep_books(state.ledger, state))
