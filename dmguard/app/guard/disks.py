"""`dmguard disks`, `claim` and `ignore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.app.guard.extend import Acted, act_by_hand
from dmguard.app.guard.lock import take_lock
from dmguard.app.guard.look import look_again, look_at_all
from dmguard.core.actions import Act
from dmguard.core.codes import CODES
from dmguard.core.plan import Past, Refusal, make_plan
from dmguard.core.plan.claim import find_disk
from dmguard.core.verdict import judge

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.goals import ClaimByHand
    from dmguard.core.verdict import Verdict


async def judge_all(loop: Loop) -> tuple[Verdict, ...]:
    """The verdict on every disk of the host."""
    state = await look_at_all(loop)
    return tuple(judge(disk, state, loop.settings) for disk in state.disks)


async def claim(loop: Loop, goal: ClaimByHand, *, dry_run: bool) -> Acted:
    """Claim one disk by hand. BusyError if the lock does not come free in time."""
    state = await look_at_all(loop)
    if dry_run:
        return Acted(make_plan(state, loop.settings, Past(), goal))
    return await act_by_hand(loop, goal, lambda: look_again(loop), dry_run=False)


@dataclass(frozen=True, slots=True)
class Ignored:
    """The disk that is left alone from now on, by its identity; None if there is no such disk."""

    disk: str
    identity: str | None
    refusal: Refusal | None = None


async def ignore(loop: Loop, name: str, *, dry_run: bool) -> Ignored:
    """Never ask for a disk again. BusyError if the lock does not come free in time, OSError if
    it cannot be noted.
    """
    state = await loop.observer.look(fresh=True, disks=True)
    disk = find_disk(state, name)
    if disk is None:
        code = "no-such-disk"
        message = f"{name}: {CODES[code].clause}"
        return Ignored(name, None, Refusal(name, code, message, Act.CLAIM_DISK))
    if not dry_run:
        with await take_lock(loop.paths):
            written = await loop.books.ignore(disk.identity)
        if not written:
            raise OSError(f"{loop.paths.ledger}: not written, so {disk.node} is not left alone")
    return Ignored(disk.node, disk.identity)
