"""What makes bare disks a guarded pool with its consumer. What is yet to be made has no uuid:
these actions go by names, and are planned only where the names are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Told, Witness, Words
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.model import Devno, Disk, State


@dataclass(frozen=True, slots=True)
class DiskRef:
    """All that one disk can be told by; `size` in bytes. `diskseq` None: not known, or that of an
    earlier boot.
    """

    disk: str
    identity: str
    devno: Devno
    diskseq: int | None
    size: int

    @classmethod
    def of(cls, disk: Disk) -> DiskRef:
        return cls(disk.node, disk.identity, disk.devno, disk.diskseq, disk.size)

    def find(self, disks: Iterable[Disk]) -> Disk | None:
        """The same disk now: after a reboot it may have another name. None if there is a doubt.

        If a name is all that it is told by, another disk can have that. `diskseq` is a number that
        the kernel gives to no other in this boot.
        """
        found = [d for d in disks if d.identity == self.identity and d.size == self.size]
        if self.identity.startswith("name:"):
            found = [disk for disk in found if disk.diskseq == self.diskseq is not None]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class WipeDisk(Told):
    """Take the signatures off a disk whose old content an administrator gave up, by its serial
    number or by-id link.
    """

    vg: str
    ref: DiskRef
    reason: str = "asked"

    act: ClassVar[Act] = Act.WIPE_DISK
    done: ClassVar[str] = "disk-wiped"
    witness: ClassVar[Witness] = Witness.DISKS
    needs_intent: ClassVar[bool] = True
    pool: ClassVar[str] = ""

    @property
    def disk(self) -> str:
        return self.ref.disk

    @property
    def key(self) -> str:
        return self.ref.identity

    def is_met(self, state: State) -> bool | None:
        disk = self.ref.find(state.disks)
        if disk is None or disk.probe is None or disk.probe.error or disk.probe.under_way:
            return None
        probe = disk.probe
        return not (probe.signatures or probe.tables or probe.pv_label or disk.partitions)

    def words(self) -> Words:
        return Words(("wipe", "wiped", "wiping"), f"signatures of {self.ref.identity}")

    def numbers(self) -> dict[str, int]:
        return {"size": self.ref.size}


@dataclass(frozen=True, slots=True)
class CreateVg(Told):
    """Make disks the PVs of a new VG. `expendable`: identities of disks with old data that was
    given up.
    """

    vg: str
    disks: tuple[DiskRef, ...]
    expendable: tuple[str, ...] = ()
    reason: str = "asked"

    act: ClassVar[Act] = Act.CREATE_VG
    done: ClassVar[str] = "vg-created"
    witness: ClassVar[Witness] = Witness.LVM
    needs_intent: ClassVar[bool] = True
    pool: ClassVar[str] = ""
    disk: ClassVar[str] = ""

    @property
    def key(self) -> str:
        return self.vg

    def is_met(self, state: State) -> bool | None:
        group = state.vg(self.vg)
        if group is None:
            return False
        here = {pv.devno for pv in group.pvs}
        found = [ref.find(state.disks) for ref in self.disks]
        return all(disk is not None and disk.devno in here for disk in found)

    def words(self) -> Words:
        size = format_size(sum(ref.size for ref in self.disks))
        what = f"volume group of {', '.join(ref.disk for ref in self.disks)}, {size}"
        return Words(("create", "created", "creating"), what)

    def numbers(self) -> dict[str, int]:
        return {"size": sum(ref.size for ref in self.disks)}


@dataclass(frozen=True, slots=True)
class CreatePool(Told):
    """Make a thin pool with its metadata, and an LVM profile of its own: `text` in the file `path`.

    `before` names the volumes that the VG had; its `vg_uuid` is empty while it is yet to be made.
    `was` is the SHA-256 of what the profile has now, as hex; empty if there is none. `monitor`: LVM
    may hand it to dmeventd. Sizes in bytes.
    """

    vg: str
    lv: str
    size: int
    metadata_size: int
    chunk: int
    zero: bool
    profile: str
    path: str
    text: str
    was: str
    monitor: bool
    before: tuple[str, ...]
    vg_uuid: str = ""
    reason: str = "asked"

    act: ClassVar[Act] = Act.CREATE_POOL
    done: ClassVar[str] = "pool-created"
    witness: ClassVar[Witness] = Witness.LVM
    needs_intent: ClassVar[bool] = True
    disk: ClassVar[str] = ""

    @property
    def pool(self) -> str:
        return f"{self.vg}/{self.lv}"

    @property
    def key(self) -> str:
        return self.pool

    def is_met(self, state: State) -> bool | None:
        pool = state.pool(self.pool)
        return pool is not None and pool.lv.profile == self.profile

    def words(self) -> Words:
        what = f"thin pool of {format_size(self.size)} with {format_size(self.metadata_size)}"
        return Words(("create", "created", "creating"), f"{what} of metadata")

    def numbers(self) -> dict[str, int]:
        return {"size": self.size, "metadata_size": self.metadata_size}


@dataclass(frozen=True, slots=True)
class Configure(Told):
    """Have a consumer keep its data in a pool: its configuration file, and itself started anew.

    `units` are stopped for that, and the last is started. `old` is what the file has now, None if
    there is none. `data` is moved to `aside` first, if that is given. `ran_before`: it runs now.
    """

    consumer: str
    units: tuple[str, ...]
    vg: str
    pool: str
    dm_name: str
    path: str
    text: str
    old: str | None
    data: str = ""
    aside: str = ""
    ran_before: bool = True
    reason: str = "asked"

    act: ClassVar[Act] = Act.CONFIGURE
    done: ClassVar[str] = "consumer-configured"
    witness: ClassVar[Witness] = Witness.HOST
    needs_intent: ClassVar[bool] = True
    on_consumer: ClassVar[bool] = True
    disk: ClassVar[str] = ""

    @property
    def unit(self) -> str:
        return self.units[-1]

    @property
    def key(self) -> str:
        return self.consumer

    def is_met(self, state: State) -> bool | None:
        if state.host is None:
            return None
        file = state.host.files.get(self.path)
        if file is None or file.text != self.text:
            return False
        serves = state.host.serves(self.consumer)
        return None if serves is None else serves == self.dm_name

    def words(self) -> Words:
        aside = f", with what it had in {self.data} moved to {self.aside}" if self.aside else ""
        what = f"{self.consumer} to keep its data in it, by {self.path}{aside}"
        return Words(("configure", "configured", "configuring"), what)
