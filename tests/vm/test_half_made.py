"""LVM dies inside vgcreate or vgextend: what it left is dmguard's to complete, or to take back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vm.disks import at_head, put, wipe
from tests.vm.kit import LIB, MIB, NO_DMEVENTD, config, history, wait_for
from tests.vm.lvmcut import LvmCut, content, given_to_nobody, is_blank
from tests.vm.mortal import CLAIMS, Claim, main_pid
from tests.vm.setupkit import assert_set_up, set_up, tear_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.machine import Disk, Machine
    from tests.vm.conftest import Factory

# Calls that are left of a vgcreate of two disks: the first has the header of its metadata area, and
# no label; both have a label; the first is marked as used; both are, and their metadata is written
# but not committed; it is committed on the first.
VGCREATE = {"header": 17, "labels": 12, "one used": 9, "text": 2, "committed": 1}
# The same of a vgextend of one.
VGEXTEND = {"header": 11, "label": 10, "used": 6, "text": 2}
TRACED = "[Service]\nSystemCallFilter=@debug\n"
"""What the agent starts may be traced."""


class SetUp:
    """A set-up of two disks whose vgcreate can be cut."""

    def __init__(self, machines: Factory) -> None:
        self.m = m = machines(disks=[64 * MIB, 64 * MIB, 64 * MIB], dmguard=False)
        self.first, self.second, self.third = m.disks
        self.words = f"--consumer none {self.first.device} {self.second.device}"
        self.cut = LvmCut(m, "vgcreate")
        self.cut.arm()
        set_up(m, self.words)
        self.cut.count()
        self.clear()

    def clear(self) -> None:
        tear_down(self.m, [self.first, self.second])
        self.m.run(f"rm -rf {LIB}/*")

    def die(self, moment: str) -> None:
        """dmguard and LVM die together."""
        self.cut.arm(VGCREATE[moment], "SIGSTOP")
        self.m.start(f"echo $$ > /tmp/pid; exec dmguard setup {self.words} > /tmp/out 2>&1")
        self.cut.wait_until_stopped()
        self.cut.kill_with(self.m.run("cat /tmp/pid").out.strip())

    def told(self) -> list[tuple[str, str]]:
        return [(entry["result"], entry["reason"]) for entry in history(self.m, "create-vg")]


def test_a_vgcreate_that_dies_alone_is_taken_back_and_made_anew(machines: Factory) -> None:
    its = SetUp(machines)
    moments = ("header", "labels", "one used", "text")
    for moment in moments:
        its.cut.arm(VGCREATE[moment])
        assert "what was half done was taken back" in set_up(its.m, its.words, 1)
        assert "killed by SIGKILL" in its.m.run("cat /run/calls").out
        assert is_blank(its.m, its.first), moment
        assert is_blank(its.m, its.second), moment
    assert its.told() == [("failed", "act-failed")] * len(moments)
    its.cut.arm(VGCREATE["committed"])
    assert "created" in set_up(its.m, its.words)
    assert "killed by SIGKILL" in its.m.run("cat /run/calls").out
    assert_set_up(its.m, its.words, [its.first, its.second])


def test_a_vgcreate_that_dies_with_dmguard_is_completed(machines: Factory) -> None:
    its = SetUp(machines)
    both = {its.first.device, its.second.device}
    refused = {"one used": {its.first.device}, "text": both}
    for moment in ("header", "one used", "text", "committed"):
        its.die(moment)
        assert not is_blank(its.m, its.first)
        assert given_to_nobody(its.m) == refused.get(moment, set()), moment
        set_up(its.m, its.words)
        assert its.told() == [("done", "resumed")], moment
        if moment == "header":
            assert_set_up(its.m, its.words, [its.first, its.second])
        its.clear()


def ext4(m: Machine, disk: Disk, _other: Disk) -> None:
    m.run(f"mke2fs -q -F -t ext4 {disk.device}")


def beside_the_label(m: Machine, disk: Disk, _other: Disk) -> None:
    """Nothing knows it by a signature, and the label is as LVM left it."""
    put(m, disk.device, [(offset + 10 * MIB, data) for offset, data in at_head(0)])


def other_group(m: Machine, disk: Disk, _other: Disk) -> None:
    m.run(f"pvremove -q -ff -y {disk.device} && vgcreate -q -y other {disk.device}")


def group_that_is_away(m: Machine, disk: Disk, other: Disk) -> None:
    """LVM says of it just what it says of a half-made one."""
    m.run(
        f"pvremove -q -ff -y {disk.device} && pvcreate -q -y --metadatacopies 0 {disk.device}"
        f" && vgcreate -q -y other {other.device} {disk.device}"
    )
    m.unplug(other)
    m.run("udevadm settle")
    assert disk.device in given_to_nobody(m)


FOREIGN: list[Callable[[Machine, Disk, Disk], None]] = [
    ext4,
    beside_the_label,
    other_group,
    group_that_is_away,
]


def test_what_another_made_of_the_disk_meanwhile_is_left_alone(machines: Factory) -> None:
    """The half is put back as it was each time, and completed at last: the positive control."""
    its = SetUp(machines)
    m = its.m
    its.die("text")
    half = [(disk, content(m, disk)[:MIB]) for disk in (its.first, its.second)]
    m.run(f"cp -a {LIB} /root/half")

    def restore() -> None:
        m.run(f"vgremove -q -ff -y other; rm -rf {LIB} && cp -a /root/half {LIB}")
        wipe(m, [disk.device for disk, _ in half])
        for disk, data in half:
            put(m, disk.device, [(0, data)])
        m.run("udevadm settle")

    for change in FOREIGN:
        restore()
        change(m, its.second, its.third)
        m.run("udevadm settle")
        before = content(m, its.second)
        said = set_up(m, its.words, 4)
        assert its.second.device in said
        assert its.told()[0] == ("failed", "act-interrupted"), change
        assert content(m, its.second) == before, change
        assert is_blank(m, its.first), change
        m.run(f"test ! -e {LIB}/intent.json")
    restore()
    set_up(m, its.words)
    assert its.told() == [("done", "resumed")]
    assert_set_up(m, its.words, [its.first, its.second])


class Extended:
    """An agent that claims what is plugged in, with a vgextend that can be cut."""

    def __init__(self, machines: Factory) -> None:
        settings = config(guard='resync = "1h"', more=CLAIMS)
        self.m = m = machines(disks=[128 * MIB], append=NO_DMEVENTD, config=settings)
        m.put("/etc/systemd/system/dmguard.service.d/trace.conf", TRACED)
        m.run("systemctl daemon-reload && systemctl restart dmguard")
        self.claims, self.cut = Claim(m), LvmCut(m, "vgextend")
        self.cut.arm()
        self.claims.cause()
        self.claims.assert_converged()
        self.cut.count()

    def take_out(self) -> None:
        """How often LVM writes depends on how many disks the group has."""
        disk = self.m.disks[-1]
        self.m.run(f"vgreduce -q vg {disk.device} && pvremove -q {disk.device}")
        self.m.unplug(disk)

    def cause(self, moment: str, signal: str) -> None:
        self.take_out()
        self.cut.arm(VGEXTEND[moment], signal)
        self.claims.cause()

    def told(self) -> list[tuple[str, str]]:
        disk = self.m.disks[-1].device
        found = [e for e in history(self.m, "claim-disk") if e["disk"] == disk]
        return [(entry["result"], entry["reason"]) for entry in found]


def test_a_vgextend_that_dies_alone_is_taken_back_and_made_anew(machines: Factory) -> None:
    its = Extended(machines)
    pid = main_pid(its.m)
    for moment in ("header", "used", "text"):
        its.cause(moment, "SIGKILL")
        wait_for("killed", lambda: "SIGKILL" in its.m.run("cat /run/calls", check=False).out)
        its.claims.assert_converged()
        assert its.told() == [("failed", "act-failed"), ("done", "disk-matches")], moment
    its.claims.assert_intact()
    assert main_pid(its.m) == pid


def test_a_vgextend_that_dies_with_the_agent_is_completed(machines: Factory) -> None:
    its = Extended(machines)
    for moment in VGEXTEND:
        its.cause(moment, "SIGSTOP")
        its.cut.wait_until_stopped()
        disk = its.m.disks[-1].device
        assert given_to_nobody(its.m) == ({disk} if moment in ("used", "text") else set())
        if moment == "used":
            its.m.power_cut()
            its.m.boot()
        else:
            its.cut.kill_with(main_pid(its.m))
        its.claims.assert_converged()
        assert its.told() == [("done", "resumed")], moment
    its.claims.assert_intact()
