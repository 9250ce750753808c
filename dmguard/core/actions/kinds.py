"""What every action has: its kind, its witness, and the words in which it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from dmguard.core.codes import CODES

if TYPE_CHECKING:
    from dmguard.core.model import Pool, State, Vg


class Act(StrEnum):
    """DMGUARD_ACTION: what kind of thing is done."""

    EXTEND_DATA = "extend-data"
    EXTEND_METADATA = "extend-metadata"
    REFRESH = "refresh"
    CLAIM_DISK = "claim-disk"
    RESIZE_PV = "resize-pv"
    RESTORE_PV = "restore-pv"
    ACTIVATE = "activate"
    START_UNIT = "start-unit"
    ATTACH_PROFILE = "attach-profile"
    MONITOR = "monitor"
    GROW_LOOP = "grow-loop"
    ACTIVATE_RAW = "activate-raw"
    CLEAR_SKIP = "clear-skip"
    EDIT_FILE = "edit-file"
    WIPE_DISK = "wipe-disk"
    CREATE_VG = "create-vg"
    CREATE_POOL = "create-pool"
    CONFIGURE = "configure"
    REPAIR_POOL = "repair-pool"


class Result(StrEnum):
    """DMGUARD_RESULT: how it ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    PLANNED = "planned"


class Witness(StrEnum):
    """Who shows that an action took effect.

    `host`: the files and settings of the host, and what LVM says. `disks`: what is on them.
    """

    KERNEL = "kernel"
    LVM = "lvm"
    SYSTEMD = "systemd"
    HOST = "host"
    DISKS = "disks"


class Words(NamedTuple):
    """Three forms of the verb (`extend`, `extended`, `extending`) and what it is done to."""

    verbs: tuple[str, str, str]
    what: str


@dataclass(frozen=True, slots=True)
class Told:
    """An action's part in sentences and journal fields; `reason` is the code of why it is done.

    `elsewhere` is the code of its having been done already, `unmet` that of its commands having
    succeeded for nothing. `on_consumer`: no two such are under way at once, though one of them may
    let go of the lock. `needs_intent`: it is not begun unless a crash in the middle would be seen.
    `urgent`: a writer may wait for it, and so it does not wait until its intent is on the disk,
    which may be busy with just that writer. A power cut in between leaves it done and untold.
    """

    elsewhere: ClassVar[str] = "done-elsewhere"
    on_consumer: ClassVar[bool] = False
    needs_intent: ClassVar[bool] = False
    urgent: ClassVar[bool] = False

    @property
    def unmet(self) -> str:
        return "act-failed"

    def why(self) -> str:
        """Why it is done, within a sentence."""
        return CODES[self.reason].clause  # type: ignore[attr-defined] # each has one, and last, for some have it by default

    def numbers(self) -> dict[str, int]:
        """The numbers of its entry, by their names in the journal."""
        return {}


@dataclass(frozen=True, slots=True)
class Pooled(Told):
    """What every action on a pool has. `key` tells it from others of its kind."""

    vg: str
    lv: str
    lv_uuid: str

    witness: ClassVar[Witness] = Witness.KERNEL
    disk: ClassVar[str] = ""

    @property
    def pool(self) -> str:
        return f"{self.vg}/{self.lv}"

    @property
    def key(self) -> str:
        return self.lv_uuid

    def in_state(self, state: State) -> Pool | None:
        """The pool that it is about."""
        return next((pool for pool in state.pools if pool.lv.uuid == self.lv_uuid), None)


@dataclass(frozen=True, slots=True)
class Grouped(Told):
    """The same of every action on a disk of a VG."""

    vg: str
    vg_uuid: str
    disk: str

    witness: ClassVar[Witness] = Witness.LVM
    pool: ClassVar[str] = ""

    def group_in(self, state: State) -> Vg | None:
        """The VG that it is about."""
        return next((vg for vg in state.vgs if vg.uuid == self.vg_uuid), None)
