"""A repair as an act: a pool with damaged metadata is taken out of use, and the power goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_vg, pool_status
from tests.torture.acts import Act
from tests.torture.witness import assert_metadata_is_sound, read
from tests.torture.writer import Writer
from tests.vm.kit import MIB, config, wait_for, wait_for_mark
from tests.vm.offlinekit import (
    COPIES,
    SPACE_MAP,
    copy_sum,
    make_volume,
    spoil,
    sum_of,
    take_down,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.torture.witness import Scene


class Offline(Act):
    """repair-pool: what thin_check finds damaged is copied, repaired, and brought up."""

    name, kinds, rounds = "offline", ("repair-pool",), 12
    subject = "vg/hurt"
    disks = (256 * MIB, 2 << 30)
    # What LVM does to the live table meanwhile raises no event.
    settings = config(guard='resync = "2s"')
    append = ""

    def __init__(self, m: Machine) -> None:
        self.m = m
        make_vg(m, "vg", m.disks[:1])
        self.data = make_volume(m, "vg", "hurt")
        self.damaged = ""
        # A disk that nobody names is written to.
        self.writer = Writer(m, m.disks[1].device, 0.05)

    def prepare(self, number: int) -> None:
        """Its damage is known already: the next thing that is done about it is the repair."""
        self.m.run(f"lvremove -q -y vg/hurt_meta0; rm -rf {COPIES}", check=False)
        take_down(self.m, "vg", "hurt")
        self.damaged = spoil(self.m, "vg", "hurt", SPACE_MAP)
        told = self.m.run("dmguard recover vg/hurt", check=False)
        assert "[thin-check-failed]" in told.out, told.out
        self.m.run("sync")

    def trigger(self) -> None:
        self.writer.start(self.writer.acknowledged + 60)
        self.m.start("dmguard recover --offline --yes vg/hurt > /tmp/out 2>&1")

    def is_there(self, before: Scene, scene: Scene, kind: str) -> bool:
        return ["vg", "hurt_meta0"] in [row[:2] for row in scene.lvm]

    def revive(self) -> None:
        """The agent goes on with what was begun, and the same words do what was not."""
        wait_for("settled", lambda: not read(self.m).intents, timeout=60)
        again = self.m.run("dmguard recover --offline --yes vg/hurt", timeout=120)
        print(again.out)

    def assert_converged(self) -> None:
        m = self.m
        assert pool_status(m, "vg", "hurt")["mode"] == "rw"
        # LVM loads the pool's table for it, with a mark of its own.
        m.run("lvchange -q -ay vg/hurt-data")
        wait_for_mark(m, "vg", "hurt")
        # What there was is kept twice, and each time it is that of before the first repair.
        assert copy_sum(m, "vg", "hurt") == self.damaged
        assert not m.run(f"ls -A {COPIES} | grep '^\\.'", check=False).out
        m.run("lvchange -q -y -ay vg/hurt_meta0")
        assert m.run("sha256sum /dev/vg/hurt_meta0").out.split()[0] == self.damaged
        assert not m.run("lvs --noheadings -o name vg/hurt_meta1", check=False).out

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert sum_of(self.m, "vg", "hurt") == self.data
        assert_metadata_is_sound(self.m, "vg", "hurt")
