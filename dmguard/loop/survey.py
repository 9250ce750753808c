"""The disks of the host: listed by udev, looked at closely where that may lead to something."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
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
_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class _Look:
    probe: Probe
    until: float


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
        self._looks: dict[Hashable, _Look] = {}

    async def read(self, state: State) -> tuple[Disk, ...]:
        """All disks, each with its close look if one is wanted and there was time for it."""
        disks = self._read_disks()
        state = replace(state, disks=disks)
        now = time.monotonic()
        wanted = [disk for disk in disks if self._wants(disk, state)]
        kept: dict[Hashable, _Look] = {
            disk.fingerprint: known
            for disk in wanted
            if (known := self._looks.get(disk.fingerprint)) and known.until > now
        }
        until = now + self._budget_s
        for disk in wanted:
            if disk.fingerprint not in kept and time.monotonic() < until:
                probe = await self._probe(disk)
                # A failed look is no knowledge. It is taken again, but not at once: it may have
                # taken long, and others wait for theirs.
                good_for = math.inf if probe.error is None else _AGAIN_S
                kept[disk.fingerprint] = _Look(probe, time.monotonic() + good_for)
        self._looks = kept
        return tuple(
            replace(disk, probe=kept[disk.fingerprint].probe if disk.fingerprint in kept else None)
            for disk in disks
        )

    async def prove(self, step: Prove, look: Callable[[], Awaitable[State]]) -> Done:
        """Is the disk still the very one that was judged, and what it has to be?

        `look` asks LVM anew, after the disk was read, which can take long.
        """
        found = [disk for disk in self._read_disks() if disk.node == step.disk]
        if len(found) != 1 or not _is_same(found[0], step):
            return _changed(f"{step.disk} is another disk now")
        probe = await self._probe(found[0])
        state = await look()
        group = next((vg for vg in state.vgs if vg.uuid == step.vg_uuid), None)
        obstacle = "vg-unknown" if group is None else vg_obstacle(group, state)
        if obstacle is not None:
            return _changed(f"{step.vg}: {obstacle}")
        disks = self._read_disks()
        again = [disk for disk in disks if disk.node == step.disk]
        if len(again) != 1 or again[0].fingerprint != found[0].fingerprint:
            return _changed(f"something happened to {step.disk} while it was looked at")
        disk = replace(again[0], probe=probe)
        reasons = objections(disk, replace(state, disks=disks), step.vg)
        wanted = [] if step.proof is Proof.BLANK else ["disk-orphan-pv"]
        if [reason.code for reason in reasons] == wanted:
            return Done(ok=True)
        told = "; ".join(f"{r.code} ({r.detail})" if r.detail else r.code for r in reasons)
        return _changed(f"not {step.proof}: {told or 'blank'}")


def _changed(complaint: str) -> Done:
    return Done(ok=False, complaint=complaint, code="disk-changed")


def _is_same(disk: Disk, step: Prove) -> bool:
    return (disk.identity, disk.devno, disk.diskseq, disk.size) == (
        step.identity,
        step.devno,
        step.diskseq,
        step.size,
    )
