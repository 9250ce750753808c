"""A lock, a disk or an LVM that does not answer holds up nothing that it does not concern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vm.filling import Filling, cleared, reasons
from tests.vm.kit import LIBRARY, MIB, NO_DMEVENTD, config, history, wait_for
from tests.vm.lvmcut import REAL, wrap_lvm
from tests.vm.mortal import main_pid

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

# A look that does not end would have the agent killed after so long.
WATCHDOG = "[Service]\nWatchdogSec=6\n"
SILENT = {"vg-silent", "lvm-unreadable"}
SLOW = "dmsetup suspend slow && dmsetup reload slow --table '{0}' && dmsetup resume slow"


class Host:
    """Two pools on disks of their own, and a third group one of whose disks can be held."""

    def __init__(self, machines: Factory) -> None:
        settings = config(guard='resync = "1h"')
        sizes = [1 << 30, 1 << 30, 512 * MIB, 64 * MIB]
        self.m = m = machines(disks=sizes, append=NO_DMEVENTD, config=settings)
        m.put("/etc/systemd/system/dmguard.service.d/watchdog.conf", WATCHDOG)
        m.run("systemctl daemon-reload && systemctl restart dmguard && modprobe dm-delay")
        self.one, self.two = Filling(m, "one", m.disks[:1]), Filling(m, "two", m.disks[1:2])
        # LVM sees no PV in what it lies on, which begins a MiB before it.
        sectors = int(m.run(f"blockdev --getsz {m.disks[3].device}").out) - 2048
        self.plain = f"0 {sectors} linear {m.disks[3].device} 2048"
        self.late = f"0 {sectors} delay {m.disks[3].device} 2048 1000"
        m.run(f"dmsetup create slow --table '{self.plain}'")
        # Its pool is on the other disk; what it is, is on both.
        self.held = Filling(m, "held", m.disks[2:3])
        m.run("vgextend -q held /dev/mapper/slow")
        assert m.run("pvs --noheadings -o pv_used /dev/mapper/slow").out.split() == ["0"]
        self.pid = main_pid(m)

    def pools(self) -> tuple[Filling, ...]:
        return self.one, self.two, self.held

    def assert_untouched(self) -> None:
        """It is the agent that it was, and nothing was done twice."""
        m = self.m
        assert main_pid(m) == self.pid
        assert m.run("systemctl show -P NRestarts dmguard").out.strip() == "0"
        done = [e["pool"] for e in history(m, "extend-data") if e["result"] == "done"]
        for pool in self.pools():
            pool.assert_intact()
        print("grown:", {name: done.count(name) for name in done})


def busy(m: Machine) -> list[str]:
    return [reason for reason in reasons(m, "one/pool") if reason != "above-threshold"]


def see_lock(its: Host) -> None:
    """Another has the group's lock, and does not come to its end."""
    m = its.m
    holder = m.start("exec flock /run/lock/lvm/V_one sleep 1000")
    m.wait_until("pgrep -x sleep")
    its.one.cross()
    wait_for("told", lambda: busy(m))
    for _ in range(2):
        its.two.assert_met()
    m.run("sleep 8")  # longer than the watchdog waits: the time that it lasts is the fault
    assert not its.one.is_grown()
    its.two.assert_met()
    assert busy(m) == ["vg-busy"]
    holder.kill()
    its.one.assert_grown(10)


def see_silence(its: Host) -> None:
    """A disk does not answer, and who has asked it cannot be killed."""
    m = its.m
    m.run("dmsetup suspend --noflush --nolockfs slow")
    try:
        # Nobody knows of it yet, and LVM as a process of its own would ask each disk.
        its.one.assert_met()
        # Something happens to a disk of no group.
        m.run("udevadm trigger --action=change /dev/ubda")
        wait_for("told", lambda: set(reasons(m)) >= SILENT, timeout=90)
        assert reasons(m, "held/pool") == ["vg-silent"]
        for _ in range(2):
            its.one.assert_met()
            its.two.assert_met()
        its.held.cross()
    finally:
        m.run("dmsetup resume slow")
    its.held.assert_grown(30)
    wait_for("told", lambda: set(cleared(m)) >= SILENT, timeout=60)


def see_silence_from_the_start(its: Host) -> None:
    """An agent that has never had an answer of LVM's goes by the disks that answer."""
    m = its.m
    count = reasons(m).count("lvm-unreadable")
    m.run("dmsetup suspend --noflush --nolockfs slow")
    try:
        m.run("systemctl restart dmguard")
        its.pid = main_pid(m)
        wait_for("told", lambda: reasons(m).count("lvm-unreadable") > count, timeout=90)
        for pool in (its.one, its.two):
            pool.assert_met()
        wait_for("told", lambda: reasons(m, "held/pool").count("vg-silent") > 1)
        its.held.cross()
    finally:
        m.run("dmsetup resume slow")
    its.held.assert_grown(30)
    assert "vg-missing-pv" not in reasons(m)


def see_slowness(its: Host) -> None:
    """Each read and write of one of its disks takes a second."""
    m = its.m
    m.run(SLOW.format(its.late))
    its.held.assert_met(60)
    its.one.assert_met(60)
    m.run(SLOW.format(its.plain))
    its.held.assert_met()


def see_own_command(its: Host) -> None:
    """LVM does not come to its end in the very group. It is not killed, and that is told."""
    m = its.m
    m.run(f"mv {LIBRARY} {LIBRARY}.away; pkill -x dmguard-lvm", check=False)
    wrap_lvm(m, '[ "$1" != lvextend ] || kill -STOP $$')
    its.two.cross()
    wait_for("told", lambda: "lvm-slow" in reasons(m), timeout=120)
    assert reasons(m, "lvextend").count("lvm-slow") == 1
    assert not its.two.is_grown()
    m.run("pkill -CONT -x lvm")
    its.two.assert_grown(10)
    m.run(f"mv {REAL} /usr/sbin/lvm")
    its.two.assert_met(10)
    assert reasons(m).count("lvm-slow") == 1


def test_what_does_not_answer_holds_no_other_pool_up(machines: Factory) -> None:
    its = Host(machines)
    for pool in its.pools():
        pool.assert_met()
    see_lock(its)
    see_silence(its)
    see_silence_from_the_start(its)
    see_slowness(its)
    see_own_command(its)
    its.assert_untouched()
