"""The disks of the host: listed by udev, looked at closely where that may lead to something."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.obstacle import vg_obstacle
from dmguard.core.steps import Proof
from dmguard.core.verdict import objections
from dmguard.loop.execute import Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from dmguard.core.model import Disk, Probe, State
    from dmguard.core.steps import Prove

_BUDGET_S = 1.0


class Survey:
    """`read_disks` lists them without a close look, `probe` takes one, `wants` says of which.

    A close look is kept for as long as nothing happened to the disk. Looks are taken for one
    second at a time, so that a burst of disks does not hold up a pool that must grow; the rest
    follows at the next look.
    """

    def __init__(
        self,
        read_disks: Callable[[], tuple[Disk, ...]],
        probe: Callable[[Disk], Awaitable[Probe]],
        wants: Callable[[Disk, State], bool],
        *,
        budget_s: float = _BUDGET_S,
    ) -> None:
        self._read_disks = read_disks
        self._probe = probe
        self._wants = wants
        self._budget_s = budget_s
        self._probes: dict[Hashable, Probe] = {}

    async def read(self, state: State) -> tuple[Disk, ...]:
        """All disks, each with its close look if one is wanted and there was time for it."""
        disks = self._read_disks()
        state = replace(state, disks=disks)
        until = time.monotonic() + self._budget_s
        kept: dict[Hashable, Probe] = {}
        for disk in disks:
            if not self._wants(disk, state):
                continue
            probe = self._probes.get(disk.fingerprint)
            if probe is None and time.monotonic() < until:
                probe = await self._probe(disk)
            if probe is not None:
                kept[disk.fingerprint] = probe
        # A failed look is no knowledge: it is taken again at the next read.
        self._probes = {key: probe for key, probe in kept.items() if probe.error is None}
        return tuple(replace(disk, probe=kept.get(disk.fingerprint)) for disk in disks)

    async def prove(self, step: Prove, state: State) -> Done:
        """Is the disk still the very one that was judged, and what it has to be?"""
        disks = self._read_disks()
        found = [disk for disk in disks if disk.node == step.disk]
        if len(found) != 1 or not _is_same(found[0], step):
            return Done(ok=False, complaint=f"{step.disk} is another disk now", code="disk-changed")
        group = state.vg(step.vg)
        obstacle = "vg-unknown" if group is None else vg_obstacle(group, state)
        if obstacle is not None:
            return Done(ok=False, complaint=f"{step.vg}: {obstacle}", code="disk-changed")
        disk = replace(found[0], probe=await self._probe(found[0]))
        reasons = objections(disk, replace(state, disks=disks), step.vg)
        codes = [reason.code for reason in reasons]
        wanted = [] if step.proof is Proof.BLANK else ["disk-orphan-pv"]
        if codes == wanted:
            return Done(ok=True)
        told = "; ".join(f"{r.code} ({r.detail})" if r.detail else r.code for r in reasons)
        return Done(ok=False, complaint=f"not {step.proof}: {told or 'blank'}", code="disk-changed")


def _is_same(disk: Disk, step: Prove) -> bool:
    return (disk.identity, disk.devno, disk.diskseq, disk.size) == (
        step.identity,
        step.devno,
        step.diskseq,
        step.size,
    )
