"""The closed set of steps, each printed as the command that it equals."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from dmguard.core.actions import Action
from dmguard.core.codes import CODES
from dmguard.core.steps.dm import DmStep
from dmguard.core.steps.traits import Traits

if TYPE_CHECKING:
    from dmguard.core.model import Devno


@dataclass(frozen=True, slots=True)
class Lvm:
    """One LVM command that changes something; `argv` without the leading `lvm`.

    `refusal` is the code of what it means when LVM does not do it, if that is not a failure.
    `at_once`: it rests on what was proved just before, so that it is not tried again later.
    `urgent`: the VG whose writers may stand still until it is done, so that it is to start at once.
    `twice`: where it fails it is run once more, for the first try drops what was in its way.
    `cure`: what is run where LVM refuses it for the reason `ails`, and then it once more.
    """

    argv: tuple[str, ...]
    refusal: str = ""
    at_once: bool = False
    urgent: str = ""
    twice: bool = False
    ails: str = ""
    cure: tuple[str, ...] = ()

    is_proof: ClassVar[bool] = False
    holds_back: ClassVar[bool] = False
    lets_go: ClassVar[bool] = False

    def __str__(self) -> str:
        told = shlex.join(self.argv)
        if not self.cure:
            return told
        return (
            f"{told}\n    # if {CODES[self.ails].clause}: {shlex.join(self.cure)}; then once more"
        )


class Proof(StrEnum):
    """What a disk has to be."""

    BLANK = "blank and unused"
    HALF_PV = "blank but for what LVM writes before a group has it, and unused"
    UNSIGNED = "unused and without any signature, whatever is on it else"
    UNSIGNED_HALF_PV = "unused and without any signature but that of a half-made physical volume"
    EXPENDABLE = "unused, whatever is on it"


@dataclass(frozen=True, slots=True)
class Prove(Traits):
    """Look once more that a disk is the very one that was judged, and what it has to be.

    `vg_uuid` is empty where the VG is yet to be made, `vg` where it does not matter.
    """

    disk: str
    identity: str
    devno: Devno
    diskseq: int | None
    size: int
    vg: str
    vg_uuid: str
    proof: Proof

    is_proof: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"# check again: {self.disk} is the disk {self.identity}, {self.proof}"


class UnitVerb(StrEnum):
    """What can be asked of systemd for a unit."""

    RESET_FAILED = "reset-failed"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload-or-try-restart"


@dataclass(frozen=True, slots=True)
class UnitStep(Traits):
    """One request to systemd. It is met when the job is queued, or, with `wait`, when it has ended
    as was asked.
    """

    verb: UnitVerb
    unit: str
    wait: bool = False

    @property
    def lets_go(self) -> bool:
        return self.wait

    def __str__(self) -> str:
        queued = self.wait or self.verb is UnitVerb.RESET_FAILED
        return f"systemctl {self.verb} {'' if queued else '--no-block '}{self.unit}"


@dataclass(frozen=True, slots=True)
class ProveStopped(Traits):
    """Look once more that units do not run: somebody may have started one while the lock was let
    go.
    """

    units: tuple[str, ...]

    is_proof: ClassVar[bool] = True
    holds_back: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"# check again: {', '.join(self.units)}: stopped"


@dataclass(frozen=True, slots=True)
class PutFile(Traits):
    """Replace a file whole. One that is there keeps its mode and owner, and is first copied to
    `backup`, if that is given.

    `was` is the SHA-256 of what it must have, as hex; empty if there must be none. One that has
    anything else, and not `text` either, is refused.
    """

    path: str
    text: str
    was: str
    mode: int = 0o644
    backup: str = ""

    def __str__(self) -> str:
        copies = self.backup and self.was
        copy = f"cp -a --backup=numbered {self.path} {self.backup}; " if copies else ""
        return f"{copy}write {self.path}:\n" + "\n".join(
            f"        | {line}" for line in self.text.splitlines()
        )


@dataclass(frozen=True, slots=True)
class MovePath(Traits):
    """Give a folder another name on its file system. One that has it already is fine. Refused is
    one with anything mounted on it or below it.
    """

    source: str
    target: str

    def __str__(self) -> str:
        return shlex.join(("mv", "-T", self.source, self.target))


@dataclass(frozen=True, slots=True)
class MoveBack(Traits):
    """Give a path that was moved aside its name again; what is there by now gets another, free
    name. Nothing is done if nothing was moved aside.
    """

    aside: str
    path: str

    def __str__(self) -> str:
        return f"# if it is there: {shlex.join(('mv', '-T', self.aside, self.path))}"


@dataclass(frozen=True, slots=True)
class RemoveFile(Traits):
    """Take away a file that has the SHA-256 `was`, as hex; one that is not there is fine."""

    path: str
    was: str

    def __str__(self) -> str:
        return shlex.join(("rm", self.path))


@dataclass(frozen=True, slots=True)
class Wipe(Traits):
    """Take every signature off a disk whose content was given up."""

    disk: str

    at_once: ClassVar[bool] = True

    @property
    def argv(self) -> tuple[str, ...]:
        return ("wipefs", "--all", self.disk)

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Unmake(Traits):
    """Blank again what LVM wrote on a disk before a group has it; nothing else is touched."""

    disk: str
    devno: Devno
    size: int

    at_once: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"# if LVM has begun there, and no group has it: blank the PV's label on {self.disk}"


Step = (
    Lvm
    | Prove
    | UnitStep
    | ProveStopped
    | PutFile
    | MovePath
    | MoveBack
    | RemoveFile
    | Wipe
    | Unmake
    | DmStep
)

Table = Mapping[type[Action], Callable[[Any], tuple[Step, ...]]]
"""For each kind of action of a family its steps."""


def digest(text: str) -> str:
    """What PutFile.was has for a file of this text."""
    import hashlib  # as in edge/files: not for who writes no file

    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
