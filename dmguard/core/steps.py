"""Action → the steps that carry it out: what a dry run prints and what execute runs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions import (
    Action,
    Activate,
    Claim,
    Extend,
    Refresh,
    ResizePv,
    RestorePv,
    StartUnit,
)
from dmguard.core.model import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.model import Devno, Disk


@dataclass(frozen=True, slots=True)
class Lvm:
    """One LVM command that changes something; `argv` without the leading `lvm`.

    `refusal` is the code of what it means when LVM does not do it, if that is not a failure.
    `at_once`: it rests on what was proved just before, so that it is not tried again later.
    """

    argv: tuple[str, ...]
    refusal: str = ""
    at_once: bool = False

    def __str__(self) -> str:
        return shlex.join(self.argv)


class Proof(StrEnum):
    """What a disk has to be."""

    BLANK = "blank and unused"
    ORPHAN_PV = "a physical volume of no volume group, and unused"


@dataclass(frozen=True, slots=True)
class Prove:
    """Look once more that a disk is the very one that was judged, and what it has to be."""

    disk: str
    identity: str
    devno: Devno
    diskseq: int | None
    size: int
    vg: str
    vg_uuid: str
    proof: Proof

    at_once: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"# check again: {self.disk} is the disk {self.identity}, {self.proof}"


class UnitVerb(StrEnum):
    """What can be asked of systemd for a unit."""

    RESET_FAILED = "reset-failed"
    START = "start"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One request to systemd. It is met when the job is queued: nothing waits for its end."""

    verb: UnitVerb
    unit: str

    at_once: ClassVar[bool] = False

    def __str__(self) -> str:
        no_wait = "" if self.verb is UnitVerb.RESET_FAILED else "--no-block "
        return f"systemctl {self.verb} {no_wait}{self.unit}"


Step = Lvm | Prove | UnitStep

_SHORT = "global/wait_for_locks=0 global/notify_dbus=0"
"""Never wait in LVM for ever, and never for a hung bus."""

_QUIET = f"{_SHORT} activation/monitoring=0"
"""And start no dmeventd inside our own cgroup."""

TAG = "dmguard"
"""The LVM tag of PVs that dmguard claimed."""


def steps_for(action: Action) -> tuple[Step, ...]:
    """The steps of an action. Sizes are absolute, so a replay cannot grow a pool twice."""
    match action:
        case Claim():
            return _claim(action)
        case Activate():
            return _activate(action)
        case StartUnit():
            verb = UnitVerb.RESTART if action.restart else UnitVerb.START
            return (UnitStep(UnitVerb.RESET_FAILED, action.unit), UnitStep(verb, action.unit))
    return (_one_command(action),)


def _one_command(action: Extend | Refresh | ResizePv | RestorePv) -> Lvm:
    match action:
        case Extend():
            return _extend(action)
        case Refresh():
            config = _with_mark(action.threshold)
            return Lvm(("lvchange", "--refresh", "--config", config, action.pool))
        case ResizePv():
            return Lvm(("pvresize", "--config", _QUIET, action.disk))
        case RestorePv():
            argv = ("vgextend", "--config", _QUIET, "--restoremissing", action.vg, action.disk)
            return Lvm(argv)


def _with_mark(threshold: int) -> str:
    # The low water mark belongs to whoever loads the table last. LVM computes it from this
    # setting (lvm2, lib/thin/thin.c), so growing and refreshing both leave dmguard's own.
    return f"{_QUIET} activation/thin_pool_autoextend_threshold={threshold}"


def _extend(action: Extend) -> Lvm:
    option = "--size" if action.resource is Resource.DATA else "--poolmetadatasize"
    config = _with_mark(action.threshold)
    return Lvm(("lvextend", "--config", config, option, f"{action.target}b", action.pool))


def _claim(action: Claim) -> tuple[Step, ...]:
    return (_prove(action, Proof.BLANK), _join(action.vg, action.disk))


def _prove(action: Claim, proof: Proof) -> Prove:
    return Prove(
        action.disk,
        action.identity,
        action.devno,
        action.diskseq,
        action.size,
        action.vg,
        action.vg_uuid,
        proof,
    )


def _join(vg: str, node: str) -> Lvm:
    # Without --yes, and with a closed standard input: LVM's own look at the disk is the second
    # line of defence, and what it asks is answered with no.
    return Lvm(("vgextend", "--config", _QUIET, vg, node), "disk-refused-by-lvm", at_once=True)


def _tag(node: str) -> Lvm:
    return Lvm(("pvchange", "--config", _QUIET, "--addtag", TAG, node))


def _activate(action: Activate) -> tuple[Step, ...]:
    config = _SHORT if action.monitor else _QUIET
    steps = []
    if action.components:
        names = tuple(f"{action.vg}/{name}" for name in action.components)
        steps.append(Lvm(("lvchange", "--activate", "n", "--config", config, *names)))
    # As LVM itself would do it, where nobody asked for this very pool: it then heeds
    # activation/auto_activation_volume_list, which a plain activation does not.
    how = "ay" if action.auto else "y"
    ignore = ("--ignoreactivationskip",) if action.skip else ()
    steps.append(Lvm(("lvchange", "--activate", how, *ignore, "--config", config, action.pool)))
    return tuple(steps)


def finish_for(action: Action, ran: int, disks: Iterable[Disk]) -> tuple[Step, ...]:
    """What completes an action that a crash left half done; `ran` of its steps came to their end.

    vgextend first writes a PV's label and then commits the VG. Between the two the disk is a PV of
    no VG. It was proved blank before, so that all that is on it is ours, and the claim goes on.
    The disk is told by its identity: after a reboot it may have another name.
    """
    if not isinstance(action, Claim) or ran < 1:
        return ()
    disk = _same_disk(action, disks)
    return () if disk is None else (_orphan(disk, action), _join(action.vg, disk.node))


def after_for(action: Action, ran: int, disks: Iterable[Disk]) -> tuple[Step, ...]:
    """What follows when an action is done and told; whether it succeeds does not change that.

    A disk that another command added to the group meanwhile is not tagged as dmguard's.
    """
    if not isinstance(action, Claim) or ran < 1:
        return ()
    disk = _same_disk(action, disks)
    return () if disk is None else (_tag(disk.node),)


def every_step(action: Action) -> tuple[Step, ...]:
    """All that is done for an action when nothing goes wrong, to be shown beforehand."""
    return (*steps_for(action), *((_tag(action.disk),) if isinstance(action, Claim) else ()))


def undo_for(action: Action, ran: int, disks: Iterable[Disk]) -> tuple[Step, ...]:
    """What takes back the half of an action that LVM did not complete: the label of a PV that it
    made, and no more. Whether there is such a label is proved first.
    """
    if not isinstance(action, Claim) or ran < 1:
        return ()
    disk = _same_disk(action, disks)
    if disk is None:
        return ()
    remove = Lvm(("pvremove", "--config", _QUIET, disk.node), at_once=True)
    return (_orphan(disk, action), remove)


def _same_disk(action: Claim, disks: Iterable[Disk]) -> Disk | None:
    found = [d for d in disks if d.identity == action.identity and d.size == action.size]
    return found[0] if len(found) == 1 else None


def _orphan(disk: Disk, action: Claim) -> Prove:
    proof = _prove(action, Proof.ORPHAN_PV)
    return replace(proof, disk=disk.node, devno=disk.devno, diskseq=disk.diskseq)
