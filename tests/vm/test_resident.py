"""The LVM that stays beside the agent while growth is near, and what becomes of its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.boundaries import Stop
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import (
    LIBRARY,
    MIB,
    NO_DMEVENTD,
    assert_reads_back,
    config,
    done,
    entries,
    grown,
    history,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    write,
)
from tests.vm.mortal import INTENT, attach, kill, let_go, main_pid, wait_until_stopped

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

EXTENT = 4 * MIB
SIZE = 100 * MIB
GROWN = grown(SIZE, EXTENT)
NEAR = 68
# LVM has begun, and nobody else gets the lock of the group: it has the one that is taken before it,
# so that another agent's report does not take either from under it.
BEGUN = Stop("openat", "/run/lock/lvm/V_docker", 1)


def make_machine(machines: Factory) -> tuple[Machine, str]:
    """A pool that is far from its threshold, and a thin device in it."""
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=config(guard='resync = "1s"'))
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    return m, device


def come_near(m: Machine, device: str) -> str:
    """Write until growth is near; the pid of the resident LVM, which was not there before."""
    assert resident(m) == ""
    write(m, device, 0, NEAR)
    return str(wait_for("the resident LVM", lambda: resident(m)))


def resident(m: Machine) -> str:
    """Its pid once it is ready: then its memory is locked."""
    pid = m.run("pgrep -x dmguard-lvm", check=False).out.strip()
    locked = f"grep -q '^VmLck:.* [1-9][0-9]* kB' /proc/{pid}/status"
    return pid if pid and m.run(locked, check=False).status == 0 else ""


def failures(m: Machine) -> int:
    """How often dmguard has told that a growth failed, or that LVM could not be asked."""
    codes = ("act-failed", "lvm-unreadable")
    told = [entry for entry in entries(m) if entry["DMGUARD_REASON"] in codes]
    return len([entry for entry in told if entry["DMGUARD_RESULT"] != "done"])


def is_grown(m: Machine) -> bool:
    return size_of(m, "docker", "thinpool") == GROWN


def assert_told_once(m: Machine) -> None:
    wait_for("the act told", lambda: history(m, "extend-data"))
    assert [entry["result"] for entry in history(m, "extend-data")] == ["done"]
    wait_for("the intent settled", lambda: not m.run(f"ls {INTENT}", check=False).out)


@on_each_kernel
def test_growth_that_was_near_starts_no_process_of_lvms(machines: Factory) -> None:
    """With the program away it grows; with the library away as well it does not."""
    m, device = make_machine(machines)
    come_near(m, device)

    m.run("mv /usr/sbin/lvm /usr/sbin/lvm.away")
    write(m, device, NEAR, 12)
    wait_for("the pool grown", lambda: is_grown(m))
    m.run("mv /usr/sbin/lvm.away /usr/sbin/lvm")
    assert_told_once(m)
    wait_for_mark(m, "docker", "thinpool")

    before = failures(m)
    m.run(f"mv {LIBRARY} {LIBRARY}.away; mv /usr/sbin/lvm /usr/sbin/lvm.away; pkill dmguard-lvm")
    writer = start_writing(m, device, NEAR + 12, 20)
    # Its growth fails, or what it is to know of the group before that.
    wait_for("the failure", lambda: failures(m) > before)
    assert is_grown(m)
    m.run("mv /usr/sbin/lvm.away /usr/sbin/lvm")
    wait_for("the pool grown by a process", lambda: size_of(m, "docker", "thinpool") > GROWN)
    assert writer.wait(60).status == 0
    assert resident(m) == ""
    assert_reads_back(m, device, 0, NEAR + 32)


@pytest.mark.parametrize("dies", ["agent", "resident"])
def test_a_death_in_the_middle_of_a_growth_leaves_it_done_once(
    machines: Factory, dies: str
) -> None:
    m, device = make_machine(machines)
    pid = come_near(m, device)
    attach(m, pid, BEGUN)
    writer = start_writing(m, device, NEAR, 12)
    wait_until_stopped(m, pid)
    assert size_of(m, "docker", "thinpool") == SIZE

    if dies == "agent":
        agent = main_pid(m)
        m.run(f"kill -9 {agent}")
        wait_for("another agent", lambda: main_pid(m) not in ("0", agent))
        assert size_of(m, "docker", "thinpool") == SIZE
        let_go(m, pid)
    else:
        kill(m, pid)

    wait_for("the pool grown", lambda: is_grown(m), timeout=60)
    assert writer.wait(60).status == 0
    assert_told_once(m)
    wait_for("its end", lambda: not m.run(f"ls /proc/{pid}/exe", check=False).out)
    assert is_grown(m)
    assert_reads_back(m, device, 0, NEAR + 12)


def test_stopping_the_service_lets_the_resident_lvm_finish(machines: Factory) -> None:
    m, device = make_machine(machines)
    pid = come_near(m, device)
    attach(m, pid, BEGUN)
    writer = start_writing(m, device, NEAR, 12)
    wait_until_stopped(m, pid)

    m.run("systemctl stop --no-block dmguard")
    wait_for(
        "the unit stopping",
        lambda: m.run("systemctl show -P ActiveState dmguard").out.strip() == "deactivating",
    )
    assert size_of(m, "docker", "thinpool") == SIZE
    let_go(m, pid)

    m.wait_until("test $(systemctl show -P ActiveState dmguard) = inactive", 60)
    assert is_grown(m)
    assert len(done(m, "extend-data")) == 1
    assert m.run("pgrep -x dmguard-lvm", check=False).out == ""
    assert "left-over" not in m.run("journalctl -b -u dmguard -o cat").out
    assert writer.wait(60).status == 0


def test_a_group_with_a_twin_of_its_disk_is_not_changed(machines: Factory) -> None:
    """LVM refuses that; a resident one that sees no other disk would not."""
    m, device = make_machine(machines)
    come_near(m, device)
    copy = m.add_disk(2 << 30)
    m.run(f"dd if={m.disks[0].device} of={copy.device} bs=1M count=8 conv=fsync status=none")
    # Where LVM has read the blank disk its hints have no PV there, and udev, which watches a disk
    # only once it has looked at it, may not have seen dd.
    m.run(f"rm -f /run/lvm/hints && udevadm trigger --settle --action=change {copy.device}")
    m.wait_until("pvs 2>&1 | grep -q 'Not using device'")
    write(m, device, NEAR, 12)
    wait_for("the failure", lambda: "failed" in [e["DMGUARD_RESULT"] for e in entries(m)])
    assert size_of(m, "docker", "thinpool") == SIZE

    m.unplug(copy)
    wait_for("the pool grown", lambda: size_of(m, "docker", "thinpool") > SIZE)
    assert_reads_back(m, device, 0, NEAR + 12)
