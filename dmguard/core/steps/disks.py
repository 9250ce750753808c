"""The steps of what is done to a disk, and what completes or takes back half of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Claim, DiskRef, ResizePv, RestorePv
from dmguard.core.model import TAG
from dmguard.core.steps.config import QUIET
from dmguard.core.steps.kinds import Lvm, Proof, Prove, Unmake

if TYPE_CHECKING:
    from dmguard.core.model import Disk, State
    from dmguard.core.steps.kinds import Step, Table


def claim(action: Claim) -> tuple[Step, ...]:
    proof = Proof.UNSIGNED if action.forced else Proof.BLANK
    return (_prove(action, proof), _join(action.vg, action.disk))


def resize_pv(action: ResizePv) -> tuple[Step, ...]:
    return (Lvm(("pvresize", "--config", QUIET, action.disk)),)


def restore_pv(action: RestorePv) -> tuple[Step, ...]:
    argv = ("vgextend", "--config", QUIET, "--restoremissing", action.vg, action.disk)
    return (Lvm(argv),)


def finish_claim(action: Claim, ran: int, state: State) -> tuple[Step, ...]:
    """What completes a claim that a crash left half done.

    vgextend first writes a PV's label and then commits the VG. Between the two the disk is a PV of
    no VG, and from a moment on one that LVM gives to nobody. It was proved blank before, so that
    what LVM began is ours: it is taken back, and the claim made anew.
    The disk is told by its identity: after a reboot it may have another name.
    """
    disk = _same_disk(action, ran, state)
    if disk is None:
        return ()
    again = replace(action, disk=disk.node, devno=disk.devno, diskseq=disk.diskseq)
    return (*undo_claim(action, ran, state), *claim(again))


def after_claim(action: Claim, ran: int, state: State) -> tuple[Step, ...]:
    """The tag. A disk that another command added to the group meanwhile does not get it."""
    disk = _same_disk(action, ran, state)
    return () if disk is None else (tag(disk.node),)


def undo_claim(action: Claim, ran: int, state: State) -> tuple[Step, ...]:
    """What takes back the half of a claim that LVM did not complete: the label of a PV that it
    made, and no more. Whether there is such a label is proved first.
    """
    disk = _same_disk(action, ran, state)
    if disk is None:
        return ()
    proof = _prove(action, Proof.UNSIGNED_HALF_PV if action.forced else Proof.HALF_PV)
    return unmake(replace(proof, disk=disk.node, devno=disk.devno, diskseq=disk.diskseq))


def unmake(proof: Prove) -> tuple[Step, ...]:
    """A disk blank again, if that is proved to be all."""
    return (proof, Unmake(proof.disk, proof.devno, proof.size))


def tag_claimed(action: Claim) -> tuple[Step, ...]:
    return (tag(action.disk),)


def tag(node: str) -> Lvm:
    return Lvm(("pvchange", "--config", QUIET, "--addtag", TAG, node))


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
    return Lvm(("vgextend", "--config", QUIET, vg, node), "disk-refused-by-lvm", at_once=True)


def _same_disk(action: Claim, ran: int, state: State) -> Disk | None:
    """The disk, if there is one and it was proved blank before anything else was done."""
    if ran < 1:
        return None
    ref = DiskRef(action.disk, action.identity, action.devno, action.diskseq, action.size)
    return ref.find(state.disks)


STEPS: Table = {Claim: claim, ResizePv: resize_pv, RestorePv: restore_pv}
