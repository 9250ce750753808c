"""The acts whose machines lose their power, each caused at will and under a writer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tests.lab.lvmkit import bring_thin_up, lv_size, make_pool, make_vg, pool_status, raw_thin
from tests.torture.witness import assert_metadata_is_sound
from tests.torture.writer import Writer
from tests.vm import mortal
from tests.vm.kit import MIB, NO_DMEVENTD, config, grown, size_of, wait_for, wait_for_mark
from tests.vm.mortal import CLAIMS, EXTENT
from tests.vm.setupkit import assert_made, assert_set_up, set_up, tear_down

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.torture.witness import Scene

THIN = 1500 * MIB


class Act(ABC):
    """One kind of act on one machine. `rounds` is how often it can be done there."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """What the history calls it; of several, each is done once."""
    subject: str
    """The pool, the disk or the group of this round, as the history has it."""
    is_urgent: ClassVar[bool] = False
    """It does not wait until its intent is on the disk, so that a cut can leave it untold."""
    disks: ClassVar[tuple[int, ...]] = (2 << 30,)
    settings: ClassVar[str] = config(guard='resync = "1h"')
    append: ClassVar[str] = NO_DMEVENTD
    rounds: ClassVar[int]
    m: Machine
    writer: Writer

    @abstractmethod
    def prepare(self, number: int) -> None:
        """Before the trigger, while nothing happens."""

    @abstractmethod
    def trigger(self) -> None:
        """Make the act necessary, with the writer at work, and do not wait for it."""

    def wait(self) -> None:  # noqa: B027 - most are on
        """If the power is not cut: until the machine can be asked."""

    def cut(self) -> None:
        """The power goes."""
        self.m.power_cut()

    @abstractmethod
    def is_there(self, before: Scene, scene: Scene, kind: str) -> bool:
        """Has LVM what the act is to make?"""

    def is_untold(self, before: Scene, left: Scene, kind: str) -> bool:
        """Was it done when the power went, and nothing of it on the disk? Then it stays untold."""
        known = left.intents or left.has_told(before, kind, self.subject)
        return self.is_urgent and self.is_there(before, left, kind) and not known

    def count(self, before: Scene, left: Scene, kind: str) -> int:
        """How often it is told at the end."""
        once = not self.is_untold(before, left, kind)
        return len(before.told(kind, self.subject)) + once

    @abstractmethod
    def revive(self) -> None:
        """After the boot that follows a cut."""

    @abstractmethod
    def assert_converged(self) -> None:
        """The act is done, and no more than it."""

    def assert_true(self, entry: dict[str, Any]) -> None:  # noqa: B027 - most tell no numbers
        """What the history says of the act is so."""

    @abstractmethod
    def assert_sound(self) -> None:
        """The metadata and what was written are as they must be."""


class Data(mortal.Data, Act):
    """extend-data: a writer crosses the threshold and goes on."""

    name, kinds, is_urgent, rounds = "data", ("extend-data",), True, 8
    subject = "docker/thinpool"

    def __init__(self, m: Machine) -> None:
        super().__init__(m)
        self.writer = Writer(m, self.device)
        self.before, self.upto = 0, 0

    def prepare(self, number: int) -> None:
        """LVM brings the pool up by itself, or it is down when the agent begins, by turns."""
        by_itself = "y" if number % 2 else "n"
        self.m.run(f"lvchange -q --setautoactivation {by_itself} docker/thinpool")
        wait_for_mark(self.m, "docker", "thinpool")

    def trigger(self) -> None:
        self.before, self.upto = self.size, self.size * 85 // 100 // MIB
        self.size = grown(self.size, EXTENT)
        self.writer.start(self.upto)

    def is_there(self, _before: Scene, scene: Scene, _kind: str) -> bool:
        return ["docker", "[thinpool_tdata]", str(self.size)] in scene.lvm

    def revive(self) -> None:
        if self.m.run("dmsetup info docker-thinpool", check=False).status:
            assert_metadata_is_sound(self.m, "docker", "thinpool")
        super().revive()
        self.writer.start(self.upto)

    def assert_converged(self) -> None:
        m = self.m
        self.writer.finish()
        wait_for("grown", lambda: size_of(m, "docker", "thinpool") >= self.size)
        assert size_of(m, "docker", "thinpool") == lv_size(m, "docker", "thinpool") == self.size
        wait_for_mark(m, "docker", "thinpool")
        assert pool_status(m, "docker", "thinpool")["mode"] == "rw"

    def assert_true(self, entry: dict[str, Any]) -> None:
        numbers = entry["numbers"]
        assert (numbers["size"], numbers["target"]) == (self.before, self.size), entry

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert_metadata_is_sound(self.m, "docker", "thinpool")


class Metadata(mortal.Metadata, Act):
    """extend-metadata: a pool with full metadata is activated, and written to at once."""

    name, kinds, is_urgent, rounds = "metadata", ("extend-metadata",), True, 5

    def __init__(self, m: Machine) -> None:
        super().__init__(m)
        self.writer = Writer(m, "/dev/mapper/t0", 0.05)
        m.run("systemctl stop dmguard")
        for number in range(1, 6):
            pool = f"vg/pool{number}"
            message = f"dmsetup message vg-pool{number} 0 'create_thin 1000'"
            m.run(f"lvchange -q -ay {pool} && {message} && lvchange -q -an {pool}")
        m.run("systemctl start dmguard")

    @property
    def subject(self) -> str:  # type: ignore[override] # it is another pool each time
        return f"vg/{self.pool}"

    def prepare(self, number: int) -> None:
        if self.number:
            self.m.run(f"dmsetup remove t0; lvchange -q -an {self.subject}")
        self.number += 1
        self.writer.acknowledged = 0

    def trigger(self) -> None:
        table = f"0 {THIN // 512} thin /dev/mapper/vg-{self.pool} 1000"
        up = f"lvchange -q -ay {self.subject}"
        thin = f"until dmsetup create t0 --table '{table}' 2> /dev/null; do :; done"
        self.writer.start(12, f"{up} && {thin} && udevadm settle")

    def is_there(self, _before: Scene, scene: Scene, _kind: str) -> bool:
        return ["vg", f"[{self.pool}_tmeta]", str(5 * MIB // 2)] in scene.lvm

    def revive(self) -> None:
        assert_metadata_is_sound(self.m, "vg", self.pool)
        super().revive()
        bring_thin_up(self.m, "vg", self.pool, "t0", THIN, 1000)
        self.writer.start(12)

    def assert_converged(self) -> None:
        m, pool = self.m, self.pool
        self.writer.finish()
        wait_for("grown", lambda: lv_size(m, "vg", f"{pool}_tmeta") == 5 * MIB // 2)

        def is_rw() -> bool:
            status = pool_status(m, "vg", pool)
            return (status["meta_total"] * 4096, status["mode"]) == (5 * MIB // 2, "rw")

        wait_for("the same in the kernel", is_rw)
        # Where the power went when all was told, this is what is left to be done.
        wait_for_mark(m, "vg", pool)

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert_metadata_is_sound(self.m, "vg", self.pool)


class _Beside:
    """A pool that is below its threshold all the time, and is written to."""

    def __init__(self, m: Machine, vg: str) -> None:
        self.m, self.vg = m, vg
        make_pool(m, vg, "busy", "1200m")
        self.writer = Writer(m, raw_thin(m, vg, "busy", "t0", THIN, 0), 0.05)
        wait_for_mark(m, vg, "busy")

    def write(self) -> None:
        self.writer.start(self.writer.acknowledged + 60)

    def revive(self) -> None:
        self.m.run(f"lvchange -q -ay {self.vg}/busy")
        bring_thin_up(self.m, self.vg, "busy", "t0", THIN, 0)

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert_metadata_is_sound(self.m, self.vg, "busy")
        assert pool_status(self.m, self.vg, "busy")["mode"] == "rw"


class Claim(mortal.Claim, Act):
    """claim-disk: a blank disk is plugged in, of a group with a busy pool."""

    name, kinds, rounds = "claim", ("claim-disk",), 10
    settings = config(guard='resync = "1h"', more=CLAIMS)

    def __init__(self, m: Machine) -> None:
        super().__init__(m)
        self.beside = _Beside(m, "vg")
        self.writer = self.beside.writer

    @property
    def subject(self) -> str:  # type: ignore[override] # it is another disk each time
        return self.m.disks[-1].device

    def prepare(self, number: int) -> None:
        """Nothing is to be done for it."""

    def trigger(self) -> None:
        self.beside.write()
        self.cause(wait=False)

    def is_there(self, _before: Scene, scene: Scene, _kind: str) -> bool:
        return any(row[:2] == [self.subject, "vg"] for row in scene.lvm)

    def revive(self) -> None:
        self.beside.revive()

    def assert_sound(self) -> None:
        self.beside.assert_sound()
        self.m.run("vgck vg")


class Resize(mortal.ResizePv, Act):
    """resize-pv: a disk comes back larger; another group's pool is busy meanwhile."""

    name, kinds, rounds = "resize", ("resize-pv",), 10
    disks = (256 * MIB,)

    def __init__(self, m: Machine) -> None:
        super().__init__(m)
        self.subject = self.disk.device
        make_vg(m, "other", [m.add_disk(2 << 30)])
        self.beside = _Beside(m, "other")
        self.writer = self.beside.writer

    def prepare(self, number: int) -> None:
        """Nothing is to be done for it."""

    def trigger(self) -> None:
        self.beside.write()
        self.cause(wait=False)

    def is_there(self, before: Scene, scene: Scene, _kind: str) -> bool:
        (old,), (new,) = (
            [row for row in its.lvm if row[0] == self.subject] for its in (before, scene)
        )
        return new != old

    def revive(self) -> None:
        self.beside.revive()

    def assert_sound(self) -> None:
        self.beside.assert_sound()
        assert_metadata_is_sound(self.m, "vg", "pool")
        self.m.run("vgck vg")


class Setup(Act):
    """create-vg and create-pool: a set-up is cut, and the same words complete it."""

    name, kinds, rounds = "setup", ("create-vg", "create-pool"), 12
    disks = (64 * MIB, 64 * MIB, 2 << 30)
    append = ""
    subject = "docker"

    def __init__(self, m: Machine) -> None:
        self.m, self.its = m, m.disks[:2]
        # A disk that nobody names is written to.
        self.writer = Writer(m, m.disks[2].device, 0.05)
        self.words = f"--consumer none {self.its[0].device} {self.its[1].device}"

    def prepare(self, number: int) -> None:
        tear_down(self.m, self.its)
        self.m.run("udevadm settle; sync")

    def trigger(self) -> None:
        self.writer.start(self.writer.acknowledged + 60)
        self.m.start(f"dmguard setup {self.words} > /tmp/out 2>&1")

    def is_there(self, before: Scene, scene: Scene, kind: str) -> bool:
        if kind == "create-vg":
            return all(
                [disk.device, "docker"] in [row[:2] for row in scene.lvm] for disk in self.its
            )
        return ["docker", "thinpool"] in [row[:2] for row in scene.lvm]

    def revive(self) -> None:
        set_up(self.m, self.words)

    def assert_converged(self) -> None:
        assert_made(self.m, self.its)
        assert_set_up(self.m, self.words, self.its)

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert_metadata_is_sound(self.m, "docker", "thinpool")
