"""What does the steps of a repair that are neither LVM's nor systemd's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmguard.core.steps.dm import CopyMetadata, DropThins, ProveRoom
from dmguard.edge.copies import copy_device, make_room
from dmguard.edge.dm import Control
from dmguard.loop.walk import Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.edge.run import Runner


def repair_hands(
    runner: Runner, open_control: Callable[[], Control] = Control.open
) -> dict[Any, Any]:
    """For each kind of step what does it."""

    async def keep(change: Callable[[], None]) -> Done:
        try:
            # A thread: it may take minutes, and neither the loop nor a writer waits for it.
            await asyncio.to_thread(change)
        except OSError as error:
            return Done(ok=False, complaint=str(error), code="metadata-not-copied")
        return Done(ok=True)

    async def prove_room(step: ProveRoom, lock: int) -> Done:
        del lock
        return await keep(lambda: make_room(Path(step.path), step.size))

    async def copy(step: CopyMetadata, lock: int) -> Done:
        del lock
        return await keep(lambda: copy_device(Path(step.node), Path(step.path)))

    async def drop_thins(step: DropThins, lock: int) -> Done:
        with open_control() as control:
            left = control.list_thins(step.pool)
        if busy := sorted(thin.name for thin in left if thin.opened):
            complaint = f"{', '.join(busy)}: in use, in {step.pool}"
            return Done(ok=False, complaint=complaint, code="pool-open")
        for thin in left:
            completed = await runner.change(("dmsetup", "remove", thin.name), stdin=lock)
            if completed.status != 0:
                return Done(ok=False, complaint=completed.complaint, code="pool-open")
        return Done(ok=True)

    return {ProveRoom: prove_room, CopyMetadata: copy, DropThins: drop_thins}
