"""The steps of a set-up, and what completes or takes back the half that a crash left."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions.setup import Configure, CreatePool, CreateVg, WipeDisk
from dmguard.core.steps.config import QUIET, SHORT
from dmguard.core.steps.disks import tag, unmake
from dmguard.core.steps.kinds import (
    Lvm,
    MoveBack,
    MovePath,
    Proof,
    Prove,
    ProveStopped,
    PutFile,
    RemoveFile,
    UnitStep,
    UnitVerb,
    Wipe,
    digest,
)

if TYPE_CHECKING:
    from dmguard.core.actions.setup import DiskRef
    from dmguard.core.model import State, Volume
    from dmguard.core.steps.kinds import Step, Table


def wipe_disk(action: WipeDisk) -> tuple[Step, ...]:
    proof = _prove(action.ref, action.vg, Proof.EXPENDABLE)
    return (proof, Wipe(action.disk))


def create_vg(action: CreateVg) -> tuple[Step, ...]:
    proofs = _prove_all(action, Proof.BLANK, Proof.UNSIGNED)
    nodes = (ref.disk for ref in action.disks)
    # As for a claim: no --yes, and a closed standard input.
    argv = ("vgcreate", "--config", QUIET, action.vg, *nodes)
    make = Lvm(argv, "disk-refused-by-lvm", at_once=True)
    return (*proofs, make)


def _prove_all(action: CreateVg, proof: Proof, given_up: Proof) -> tuple[Prove, ...]:
    """A proof for each disk, and another for those with old data."""
    return tuple(
        _prove(ref, action.vg, given_up if ref.identity in action.expendable else proof)
        for ref in action.disks
    )


def _prove(ref: DiskRef, vg: str, proof: Proof) -> Prove:
    return Prove(ref.disk, ref.identity, ref.devno, ref.diskseq, ref.size, vg, "", proof)


def finish_vg(action: CreateVg, ran: int, state: State) -> tuple[Step, ...]:
    """vgcreate first writes the label of each PV and then commits the VG. In between LVM gives
    them to nobody. All disks were proved before that, so that what LVM began is ours: it is taken
    back, and the VG made anew.
    """
    again = replace(action, disks=_refs_now(action, state))
    undo = undo_vg(action, ran, state)
    return (*undo, *create_vg(again)) if undo else ()


def undo_vg(action: CreateVg, ran: int, state: State) -> tuple[Step, ...]:
    """The labels of PVs that are of no VG, each proved to be all that is on its disk.

    The VG is written to one disk after the other: while one is away it may be there, on that.
    """
    again = replace(action, disks=_refs_now(action, state))
    if ran < len(action.disks) or len(again.disks) < len(action.disks):
        return ()
    proofs = _prove_all(again, Proof.HALF_PV, Proof.UNSIGNED_HALF_PV)
    return tuple(step for proof in proofs for step in unmake(proof))


def after_vg(action: CreateVg, ran: int, state: State) -> tuple[Step, ...]:
    """The tag of the PVs that dmguard made."""
    if ran < len(action.disks):
        return ()
    return tuple(tag(ref.disk) for ref in _refs_now(action, state))


def tag_vg(action: CreateVg) -> tuple[Step, ...]:
    return tuple(tag(ref.disk) for ref in action.disks)


def _refs_now(action: CreateVg, state: State) -> tuple[DiskRef, ...]:
    found = (ref.find(state.disks) for ref in action.disks)
    return tuple(type(action.disks[0]).of(disk) for disk in found if disk is not None)


def create_pool(action: CreatePool) -> tuple[Step, ...]:
    config = SHORT if action.monitor else QUIET
    options = {
        "--config": config,
        "--size": f"{action.size}b",
        "--poolmetadatasize": f"{action.metadata_size}b",
        "--chunksize": f"{action.chunk}b",
        "--zero": "y" if action.zero else "n",
        "--metadataprofile": action.profile,
        "--name": action.lv,
    }
    words = (word for option in options.items() for word in option)
    return (
        PutFile(action.path, action.text, action.was),
        Lvm(("lvcreate", "--type", "thin-pool", *words, action.vg)),
    )


def finish_pool(action: CreatePool, ran: int, state: State) -> tuple[Step, ...]:
    """Away with what a half-made pool left, and once more from the start."""
    if state.vg(action.vg) is None or state.pool(action.pool) is not None:
        return ()
    left = _left_of_pool(action, ran, state)
    return () if left is None else (*_remove(action, left), *create_pool(action))


def undo_pool(action: CreatePool, ran: int, state: State) -> tuple[Step, ...]:
    return _remove(action, _left_of_pool(action, ran, state) or ())


def _left_of_pool(action: CreatePool, ran: int, state: State) -> tuple[Volume, ...] | None:
    """What a pool was to be made of; None if there is anything that it could not be.

    lvcreate commits three times: an LV for the metadata under a name of LVM's own choice, one of
    the pool's name for the data, and the pool made of both (seen with 2.03.16 and 2.03.31). Their
    names, sizes and kinds are known, and none of them was there before.
    """
    group = state.vg(action.vg)
    if ran < 1 or group is None or (action.vg_uuid and group.uuid != action.vg_uuid):
        return ()
    new = tuple(volume for volume in group.volumes if volume.name not in action.before)
    for volume in new:
        if volume.segtype not in ("linear", "striped"):
            return None
        metadata = re.fullmatch(r"lvol\d+", volume.name) and volume.size == action.metadata_size
        data = volume.name == action.lv and volume.size in (action.size, action.metadata_size)
        if not metadata and not data:
            return None
    return new


def _remove(action: CreatePool, volumes: tuple[Volume, ...]) -> tuple[Step, ...]:
    if not volumes:
        return ()
    names = tuple(f"{action.vg}/{volume.name}" for volume in volumes)
    # Put down first: that is refused if anyone has one open, and what is down is removed without
    # a question.
    quiet = f"{QUIET} devices/issue_discards=0"
    return (
        Lvm(("lvchange", "--activate", "n", "--config", QUIET, *names)),
        Lvm(("lvremove", "--config", quiet, *names)),
    )


def configure(action: Configure) -> tuple[Step, ...]:
    was = "" if action.old is None else digest(action.old)
    backup = f"{action.path}.before-dmguard" if action.old is not None else ""
    moves = (MovePath(action.data, action.aside),) if action.aside else ()
    return (
        *_stop(action),
        ProveStopped(action.units),
        *moves,
        PutFile(action.path, action.text, was, backup=backup),
        *_start(action),
    )


def _stop(action: Configure) -> tuple[Step, ...]:
    return tuple(UnitStep(UnitVerb.STOP, unit, wait=True) for unit in action.units)


def _start(action: Configure) -> tuple[Step, ...]:
    return (
        UnitStep(UnitVerb.RESET_FAILED, action.unit),
        UnitStep(UnitVerb.START, action.unit, wait=True),
    )


def finish_configure(action: Configure, ran: int, state: State) -> tuple[Step, ...]:
    """Each of its steps may be done twice, but for the move: the file is written after it, and a
    consumer that was started since has made its folder anew.
    """
    del ran
    written = state.host is not None and state.host.text(action.path) == action.text
    return configure(replace(action, aside="") if written else action)


def undo_configure(action: Configure, ran: int, state: State) -> tuple[Step, ...]:
    """As it was: a consumer that does not start with the pool starts without it again.

    Each step sees for itself whether there is anything to take back, for the last one that was
    done may not be counted in `ran`. Nothing is put back under one that still runs. Before the
    first change there is nothing to put back, and it is only started again.
    """
    del state
    start = _start(action) if action.ran_before else ()
    if ran <= len(action.units):
        return start
    new = digest(action.text)
    back: Step = RemoveFile(action.path, new)
    if action.old is not None:
        back = PutFile(action.path, action.old, new)
    return (
        *_stop(action),
        ProveStopped(action.units),
        back,
        *((MoveBack(action.aside, action.data),) if action.aside else ()),
        *start,
    )


STEPS: Table = {
    WipeDisk: wipe_disk,
    CreateVg: create_vg,
    CreatePool: create_pool,
    Configure: configure,
}
