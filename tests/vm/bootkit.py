"""Words of the tests about boots: cut the power, come late with a disk, read who came when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from tests.lab.lvmkit import containerd_devmapper, docker_direct_lvm
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine
    from tests.vm.conftest import Factory

ERROR = "Non existing device"
ACTIVATE = "dmguard-activate.service"
WITHOUT = f"systemd.mask=dmguard.service systemd.mask={ACTIVATE}"

# systemd's own messages about a unit (systemd, src/systemd/sd-messages.h).
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
FAILED = "be02cf6855d2428ba40df7e9d022f03d"

AUTOACTIVATION_OFF = "auto_activation_volume_list = []"


@dataclass(frozen=True)
class Turn:
    """One start of a unit, in seconds since the boot; it did not succeed if `failed`."""

    begun: float
    ended: float
    failed: bool

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


def turns(m: Machine, unit: str) -> list[Turn]:
    """The starts of a unit in this boot that have come to their end."""
    found, begun = [], None
    for entry in m.journal("-b", f"UNIT={unit}", "_PID=1"):
        at = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        kind = entry.get("MESSAGE_ID")
        if kind == STARTING:
            begun = at
        elif kind in (STARTED, FAILED) and begun is not None:
            found.append(Turn(begun, at, kind == FAILED))
            begun = None
    return found


def cut_and_boot(m: Machine, append: str = "", *, wait: bool = True) -> None:
    """Cut the power without a word, and boot with these words for the kernel."""
    m.run("sync")
    m.power_cut()
    m.append = append
    m.boot(240, wait=wait)


def boot_without(m: Machine, disk: Disk, unit: str = ACTIVATE, append: str = "") -> float:
    """Cut the power, boot without the disk; when the unit was started, in seconds of uptime."""
    m.run("sync")
    m.power_cut()
    disk.plugged = False
    m.append = append
    m.boot(240, wait=False)
    begun: float = wait_for(f"{unit} begun", lambda: entered(m, unit, "InactiveExit"), timeout=180)
    return begun


def plug_at(m: Machine, disk: Disk, moment: float) -> float:
    """Plug the disk in at that uptime; when its node was there."""
    wait_for("the moment", lambda: uptime(m) >= moment, timeout=180)
    m.replug(disk)
    out = m.run(f"udevadm info -q property --property USEC_INITIALIZED --value -n {disk.device}")
    return int(out.out) / 1e6


def uptime(m: Machine) -> float:
    return float(m.run("cut -d ' ' -f 1 /proc/uptime").out)


def entered(m: Machine, unit: str, state: str = "ActiveEnter") -> float:
    """When a unit last did so, in seconds since the boot; 0 if it did not."""
    out = m.run(f"systemctl show -P {state}TimestampMonotonic {unit}", check=False).out.strip()
    return int(out or 0) / 1e6


def errors(m: Machine) -> list[str]:
    """Every line of this boot's journal that says that the pool's device is not there."""
    return [
        str(entry["MESSAGE"]) for entry in m.journal("-b") if ERROR in str(entry.get("MESSAGE"))
    ]


def assert_docker_works(m: Machine) -> None:
    """It runs, has its pool, and runs containers on it."""
    wait_for("docker active", lambda: is_active(m, "docker"), timeout=120)
    said = m.run("docker run --rm --network none busybox echo works", timeout=180).out
    assert said == "works\n"
    assert "docker-thinpool" in m.run("docker info --format '{{.DriverStatus}}'").out


def is_active(m: Machine, unit: str) -> bool:
    return m.run(f"systemctl is-active {unit}", check=False).out.strip() == "active"


def switch_autoactivation_off(m: Machine) -> None:
    """LVM brings nothing up by itself any more, at the next boot and after."""
    m.put("/etc/lvm/lvm.conf", f"activation {{\n\t{AUTOACTIVATION_OFF}\n}}\n")
    m.run("vgchange -q --setautoactivation n docker")


def plugin(m: Machine) -> str:
    """What containerd says of its devmapper plugin."""
    lines = m.run("ctr plugins ls").out.splitlines()
    (line,) = [line for line in lines if "devmapper" in line]
    return line.split()[-1]


class Consumer(Protocol):
    """A program on a machine of its own, started at boot, with its data in docker/thinpool."""

    unit: ClassVar[str]
    m: Machine

    def __init__(self, machines: Factory) -> None: ...

    def assert_works(self) -> None:
        """It was started once in this boot, found its pool, and works with it."""

    def is_broken(self) -> bool:
        """It has been started, complained of its pool, and does not work with it now."""


class Docker:
    """On Debian 12, its pool made as its manual has it."""

    unit: ClassVar = "docker.service"

    def __init__(self, machines: Factory) -> None:
        self.m = machines(disks=[2 << 30])
        docker_direct_lvm(self.m, self.m.disks[0])
        self.m.run("systemctl enable docker.service docker.socket")

    def assert_works(self) -> None:
        assert_docker_works(self.m)
        assert errors(self.m) == []
        assert len(turns(self.m, self.unit)) == 1

    def is_broken(self) -> bool:
        return not is_active(self.m, self.unit) and bool(errors(self.m))


class Containerd:
    """On Debian 13, with its devmapper plugin. It tries once, and runs on without it."""

    unit: ClassVar = "containerd.service"

    def __init__(self, machines: Factory) -> None:
        self.m = machines("trixie", disks=[1 << 30])
        containerd_devmapper(self.m, self.m.disks[0])
        self.m.run("systemctl enable containerd.service")

    def assert_works(self) -> None:
        wait_for("containerd active", lambda: is_active(self.m, self.unit), timeout=120)
        assert plugin(self.m) == "ok"
        assert len(turns(self.m, self.unit)) == 1

    def is_broken(self) -> bool:
        return is_active(self.m, self.unit) and plugin(self.m) == "error"
