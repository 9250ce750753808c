"""New disks become space: blank ones that a rule is for, and PVs whose disk has grown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, Claim, ResizePv
from dmguard.core.obstacle import guarded_vgs, vg_obstacle
from dmguard.core.plan import Refusal, refuse
from dmguard.core.verdict import judge, judge_by_hand, rules_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.goals import ClaimByHand
    from dmguard.core.model import Disk, State, Vg
    from dmguard.core.plan import Past
    from dmguard.core.settings import Settings

_SOON_S = 0.1


def plan_claims(
    state: State, settings: Settings, past: Past
) -> tuple[tuple[Claim, ...], dict[str, float]]:
    """The claims that are due, and in how many seconds each of the others may be.

    Each VG's limit is dealt out in the order of the disks' names, so that a burst of disks does
    not exceed it. A disk that is not claimed for the limit's sake keeps its verdict of `vg-limit`
    from the next look on.
    """
    actions: list[Claim] = []
    waits: dict[str, float] = {}
    taken: dict[str, int] = {}
    for disk in state.disks:
        if not rules_for(disk, settings):
            continue
        verdict = judge(disk, state, settings)
        vg = state.vg(verdict.vg) if verdict.vg else None
        if [reason.code for reason in verdict.reasons] == ["disk-not-probed"]:
            waits[disk.identity] = math.inf if disk.probe else _SOON_S
        if not verdict.claimable or verdict.rule is None or vg is None:
            continue
        left = verdict.rule.settle - past.steady.get(disk.node, 0.0)
        if left > 0:
            waits[disk.identity] = left
            continue
        limit = verdict.rule.limit
        if limit is not None and len(vg.pvs) + taken.get(vg.uuid, 0) >= limit:
            continue
        taken[vg.uuid] = taken.get(vg.uuid, 0) + 1
        actions.append(make_claim(disk, vg, "disk-matches"))
    return tuple(actions), waits


def plan_by_hand(state: State, goal: ClaimByHand) -> tuple[tuple[Claim, ...], tuple[Refusal, ...]]:
    """One disk, because an administrator says so: every check of the disk itself still holds."""
    disk = find_disk(state, goal.disk)
    if disk is None:
        return (), (_refuse(goal.disk, "no-such-disk"),)
    verdict = judge_by_hand(disk, goal.vg, state)
    vg = state.vg(goal.vg)
    if verdict.reasons or vg is None:
        return (), tuple(_refuse(disk.node, r.code, r.detail) for r in verdict.reasons)
    return (make_claim(disk, vg, "asked"),), ()


def find_disk(state: State, name: str) -> Disk | None:
    """A disk by its node, its kernel name, or any link to it."""
    found = (d for d in state.disks if name in (d.node, d.name) or name in d.links)
    return next(found, None)


def make_claim(disk: Disk, vg: Vg, reason: str) -> Claim:
    return Claim(
        vg=vg.name,
        vg_uuid=vg.uuid,
        disk=disk.node,
        identity=disk.identity,
        devno=disk.devno,
        diskseq=disk.diskseq,
        size=disk.size,
        reason=reason,
    )


def _refuse(disk: str, code: str, detail: str = "") -> Refusal:
    return refuse(disk, code, Act.CLAIM_DISK, detail)


def plan_resizes(state: State, settings: Settings) -> Iterator[ResizePv]:
    """PVs of guarded VGs whose device is larger than when it was last seen to be full size.

    A PV may also be smaller than its device because an administrator made it so. Hence only a
    device that grew while dmguard watched, or between two boots, is taken.
    """
    for vg in guarded_vgs(state, settings):
        if vg_obstacle(vg, state) is not None:
            continue
        for pv in vg.pvs:
            known = state.ledger.members.get(pv.uuid)
            if known is None or pv.device_size is None or pv.device_size <= known.device_size:
                continue
            if pv.growth(vg.extent) > 0:
                yield ResizePv(
                    vg.name, vg.uuid, pv.name, pv.uuid, size=pv.size, target=pv.device_size
                )
