"""The disks of the host: listed by udev, looked at closely where that may lead to something."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.model import Probe
from dmguard.core.obstacle import vg_obstacle
from dmguard.core.steps import Proof
from dmguard.core.verdict import CONTENT, objections
from dmguard.loop.walk import Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from dmguard.core.model import Disk, State
    from dmguard.core.steps import Prove

log = logging.getLogger(__name__)

_AGAIN_S, _SELDOM_S = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class _Look:
    probe: Probe
    until: float


class Survey:
    """`read_disks` lists them without a close look, `probe` takes one, `wants` says of which;
    `probe_again` takes a brief one of a disk that is known.

    What is on a disk is known for as long as nothing happened to it. Who uses it, and what names
    it, changes without a word: a look that found any is taken again, as is one that failed, but
    not at once and ever more seldom, for each reads the disk.

    One read waits for looks for `patience_s` at most, so that neither a burst of disks nor one
    that does not answer holds up a pool that must grow. Looks that were not begun follow at the
    next read. One that takes longer goes on by itself, and `answered` is called when it comes back.
    """

    def __init__(
        self,
        read_disks: Callable[[], tuple[Disk, ...]],
        probe: Callable[[Disk], Awaitable[Probe]],
        probe_again: Callable[[Disk], Awaitable[Probe]],
        wants: Callable[[Disk, State], bool],
        *,
        patience_s: float = math.inf,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._read_disks = read_disks
        self._probe = probe
        self._probe_again = probe_again
        self._wants = wants
        self._patience_s = patience_s
        self._answered = answered
        self._looks: dict[Hashable, _Look] = {}
        self._pauses: dict[Hashable, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def read(self, state: State) -> tuple[Disk, ...]:
        """All disks, each with its close look if one is wanted and there was time for it."""
        disks = self._read_disks()
        state = replace(state, disks=disks)
        now = time.monotonic()
        wanted = {disk.fingerprint: disk for disk in disks if self._wants(disk, state)}
        self._looks = {
            fingerprint: known
            for fingerprint in wanted
            if (known := self._looks.get(fingerprint)) and known.until > now
        }
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in wanted}
        until = now + self._patience_s
        for fingerprint, disk in wanted.items():
            begun = fingerprint in self._looks or disk.node in self._under_way
            if not begun and time.monotonic() < until:
                await self._take(disk, until)
        return tuple(
            replace(disk, probe=self._known(disk) if disk.fingerprint in wanted else None)
            for disk in disks
        )

    async def _take(self, disk: Disk, until: float) -> None:
        task = asyncio.create_task(self._look(disk))
        patience = None if until == math.inf else max(0.0, until - time.monotonic())
        done, _ = await asyncio.wait({task}, timeout=patience)
        if done:
            task.result()
        else:
            self._under_way[disk.node] = task
            task.add_done_callback(lambda task: self._came_back(disk.node, task))

    async def _look(self, disk: Disk) -> None:
        probe = await self._probe(disk)
        self._looks[disk.fingerprint] = _Look(probe, time.monotonic() + self._good_for(disk, probe))

    def _good_for(self, disk: Disk, probe: Probe) -> float:
        """For how many seconds a look holds."""
        if probe.error is None and not probe.users and not probe.mentions:
            return math.inf
        pause = self._pauses.get(disk.fingerprint, _AGAIN_S)
        self._pauses[disk.fingerprint] = min(2 * pause, _SELDOM_S)
        return pause

    def _came_back(self, node: str, task: asyncio.Task[None]) -> None:
        del self._under_way[node]
        if not task.cancelled():
            if task.exception() is not None:
                log.error("%s: a close look failed", node, exc_info=task.exception())
            self._answered()

    def _known(self, disk: Disk) -> Probe | None:
        look = self._looks.get(disk.fingerprint)
        if look is not None:
            return look.probe
        if disk.node in self._under_way:
            return Probe(under_way=True)
        return None

    async def prove(self, step: Prove, look: Callable[[], Awaitable[State]]) -> Done:
        """Is the disk still the very one that was judged, and what it has to be?

        No pool is grown meanwhile: a disk that was looked at before is only looked at briefly.
        `look` asks LVM anew, after the disk was read.
        """
        found = [disk for disk in self._read_disks() if disk.node == step.disk]
        if len(found) != 1 or not _is_same(found[0], step):
            return _changed(f"{step.disk} is another disk now")
        # It was looked at closely, and udev would have told if anyone had written to it since
        # (systemd, rules.d/60-block.rules: it watches disks for that).
        known = self._looks.get(found[0].fingerprint)
        again = known is not None and known.probe.error is None and known.probe.data_at is None
        probe = await (self._probe_again if again else self._probe)(found[0])
        state = await look()
        obstacle = _group_obstacle(step, state)
        if obstacle is not None:
            return _changed(f"{step.vg}: {obstacle}")
        disks = self._read_disks()
        there = [disk for disk in disks if disk.node == step.disk]
        if len(there) != 1 or there[0].fingerprint != found[0].fingerprint:
            return _changed(f"something happened to {step.disk} while it was looked at")
        disk = replace(there[0], probe=probe)
        forgiving = step.proof in (Proof.UNSIGNED, Proof.EXPENDABLE)
        here = replace(state, disks=disks)
        reasons = objections(disk, here, step.vg or None, content=forgiving)
        if _is_proved(step.proof, frozenset(reason.code for reason in reasons), probe):
            return Done(ok=True)
        told = "; ".join(f"{r.code} ({r.detail})" if r.detail else r.code for r in reasons)
        beside = "" if probe.beside is None else f"; more at offset {probe.beside}"
        return _changed(f"not {step.proof}: {told or 'blank'}{beside}")


def _group_obstacle(step: Prove, state: State) -> str | None:
    """What forbids to change the group that the disk is for, or to make it."""
    if not step.vg:
        return None
    if not step.vg_uuid:
        return None if state.vg(step.vg) is None else "vg-there"
    group = next((vg for vg in state.vgs if vg.uuid == step.vg_uuid), None)
    return "vg-unknown" if group is None else vg_obstacle(group, state)


def _is_proved(proof: Proof, codes: frozenset[str], probe: Probe) -> bool:
    """Is what is said against a disk all that there may be?"""
    if not codes <= _ALLOWED[proof]:
        return False
    if proof is Proof.HALF_PV:
        return not codes or (probe.half_pv and probe.beside is None)
    if proof is Proof.UNSIGNED_HALF_PV:
        return "disk-orphan-pv" not in codes or probe.half_pv
    return True


_LABEL = frozenset(("disk-orphan-pv", "disk-has-data"))
"""What is said of a disk that LVM has begun to make a PV, before or after the label is there."""


_ALLOWED: dict[Proof, frozenset[str]] = {
    Proof.BLANK: frozenset(),
    Proof.HALF_PV: _LABEL,
    Proof.UNSIGNED: frozenset(("disk-has-data",)),
    Proof.UNSIGNED_HALF_PV: _LABEL,
    Proof.EXPENDABLE: CONTENT,
}


def _changed(complaint: str) -> Done:
    return Done(ok=False, complaint=complaint, code="disk-changed")


def _is_same(disk: Disk, step: Prove) -> bool:
    return (disk.identity, disk.devno, disk.diskseq, disk.size) == (
        step.identity,
        step.devno,
        step.diskseq,
        step.size,
    )
