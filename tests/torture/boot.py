"""The boot as an act: dmguard brings the pool up, and the power goes meanwhile."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.lab.channel import LabError
from tests.lab.lvmkit import bring_thin_up, make_pool, make_vg, pool_status
from tests.torture.acts import THIN, Act
from tests.torture.witness import assert_metadata_is_sound
from tests.torture.writer import Writer
from tests.vm.bootkit import ACTIVATE, turns
from tests.vm.kit import config, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.torture.witness import Scene

# Its folder is the lab's own, which is there some time in the boot.
# It does not write in the boot that follows a cut: that would put back what was lost.
_WRITER = """[Unit]
ConditionKernelCommandLine=torture
After=dmguard-activate.service lab-agent.service
Requires=dmguard-activate.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/bin/sh -c 'until mountpoint -q /run/lab; do sleep 0.05; done'
ExecStartPre=/bin/sh -c 'dmsetup create t0 --table "{table}" && udevadm settle'
ExecStart=/bin/sh -c '{words}'

[Install]
WantedBy=multi-user.target
"""


class Boot(Act):
    """activate: nothing but dmguard brings the pool up, and a writer waits for it."""

    name, kinds, rounds = "boot", ("activate",), 12
    subject = "vg/pool"
    # What has the skip flag is brought up only if it is named.
    settings = config(guard='resync = "1h"\npools = ["*/*", "vg/pool"]')

    def __init__(self, m: Machine) -> None:
        self.m = m
        make_vg(m, "vg", m.disks)
        make_pool(m, "vg", "pool", "1200m")
        m.run("dmsetup message vg-pool 0 'create_thin 0' && lvchange -q -ky vg/pool")
        self.writer = Writer(m, "/dev/mapper/t0", 0.05)
        self.booting = threading.Thread()

    def prepare(self, number: int) -> None:
        """The writer goes on at the next boot."""
        table = f"0 {THIN // 512} thin /dev/mapper/vg-pool 0"
        words = self.writer.command(self.writer.acknowledged + 20)
        self.m.put("/etc/systemd/system/busy.service", _WRITER.format(table=table, words=words))
        self.m.run("systemctl daemon-reload; systemctl enable -q busy; sync")

    def trigger(self) -> None:
        self.m.power_cut()
        self.booting = threading.Thread(target=self.boot, daemon=True)
        self.booting.start()

    def boot(self) -> None:
        plain = self.m.append
        self.m.append = f"{plain} torture"
        with contextlib.suppress(LabError):  # the power is cut
            self.m.boot(wait=False)
        self.m.append = plain

    def wait(self) -> None:
        self.booting.join()
        self.m.wait_until("systemctl is-active busy", 60)
        self.writer.count()

    def cut(self) -> None:
        self.m.power_cut()
        self.booting.join()

    def is_there(self, before: Scene, scene: Scene, kind: str) -> bool:
        """What is active is so until the power goes, and leaves nothing to see."""
        return scene.has_told(before, kind, self.subject)

    def count(self, before: Scene, left: Scene, kind: str) -> int:
        """It is down in each boot."""
        return len(left.told(kind, self.subject)) + 1

    def revive(self) -> None:
        bring_thin_up(self.m, "vg", "pool", "t0", THIN, 0)

    def assert_converged(self) -> None:
        (turn,) = wait_for("activated", lambda: turns(self.m, ACTIVATE))
        assert not turn.failed
        assert pool_status(self.m, "vg", "pool")["mode"] == "rw"

    def assert_sound(self) -> None:
        self.writer.assert_intact()
        assert_metadata_is_sound(self.m, "vg", "pool")
