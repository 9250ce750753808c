"""Disks, VGs that they may go to, and one action of each kind, for the tests."""

from dataclasses import replace

from dmguard.core.actions import (
    Activate,
    Claim,
    ResizePv,
    RestorePv,
    StartUnit,
)
from dmguard.core.ledger import Ledger
from dmguard.core.model import Consumer, Disk, Probe, Pv, State, Unit, Vg
from dmguard.core.settings import ClaimRule, Match, Settings
from tests.unit.builders import EXTENT, GIB, MIB, make_pool, make_state, make_vg

BLANK = Probe()
RULE = ClaimRule("vg", Match(path="pci-*"), settle=5.0)
CLAIMS = Settings(claims=(RULE,))


def make_disk(letter: str = "b", /, **changes: object) -> Disk:
    """A blank disk of 10 GiB that RULE is for and that nothing speaks against."""
    number = 16 * (ord(letter) - ord("a"))
    disk = Disk(
        name=f"sd{letter}",
        devno=(8, number),
        size=10 * GIB,
        diskseq=number,
        rotational=False,
        path=f"pci-0000:00:0{letter}",
        links=(f"/dev/disk/by-id/scsi-{letter}",),
        serial=f"serial-{letter}",
        model="QEMU_HARDDISK",
        vendor="QEMU",
        bus="scsi",
        probe=BLANK,
    )
    return replace(disk, **changes)  # type: ignore[arg-type]


def pv_on(disk: Disk, *, size: int | None = None, missing: bool = False) -> Pv:
    """The PV that a disk is: as large as it, or of `size` bytes."""
    full = (disk.size - MIB) // EXTENT * EXTENT
    return Pv(
        name=disk.node,
        uuid=f"pv-{disk.serial}",
        size=full if size is None else size,
        free=0,
        allocatable=True,
        missing=missing,
        devno=disk.devno,
        device_size=disk.size,
        data_start=MIB,
    )


def vg_of(*disks: Disk, name: str = "vg") -> Vg:
    """A VG whose PVs are these disks."""
    return replace(make_vg(name=name), pvs=tuple(pv_on(disk) for disk in disks))


def host(*disks: Disk, vg: Vg | None = None, ledger: Ledger | None = None) -> State:
    """A host of these disks, with a healthy pool in the VG."""
    state = make_state(make_pool(vg=vg or vg_of(make_disk("a"))))
    return replace(state, disks=disks, ledger=ledger or Ledger())


def steady(*disks: Disk, seconds: float = 60.0) -> dict[str, float]:
    """For so long have they been as they are."""
    return {disk.node: seconds for disk in disks}


def consumer(state: str = "failed", **unit: int) -> Consumer:
    """Docker, whose pool is vg/pool and whose unit is in this state."""
    return Consumer("docker", "vg-pool", Unit("docker.service", state, **unit))  # type: ignore[arg-type]


DISK = make_disk()
CLAIM = Claim(
    vg="vg",
    vg_uuid="uuid-vg",
    disk=DISK.node,
    identity=DISK.identity,
    devno=DISK.devno,
    diskseq=DISK.diskseq,
    size=DISK.size,
    reason="disk-matches",
)
RESIZE = ResizePv("vg", "uuid-vg", "/dev/sdb", "pv-serial-b", size=8 * GIB, target=10 * GIB)
RESTORE = RestorePv("vg", "uuid-vg", "/dev/sdb", "pv-serial-b", size=10 * GIB)
ACTIVATE = Activate("vg", "pool", "uuid-vg-pool", 10 * GIB, (), skip=False, monitor=True)
START = StartUnit("docker", "docker.service", restart=False, vg="vg", pool="vg/pool", entered=0)
