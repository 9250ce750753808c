"""A filling pool grows before its writer feels it: by each way of noticing, and by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import make_pool, make_vg, pool_status, raw_thin
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    assert_reads_back,
    config,
    entries,
    grown,
    history,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

EXTENT = 4 * MIB
LOW_WATER_LINE = "reached low water mark for data device"


def make_filling_pool(m: Machine) -> str:
    """A pool of 100 MiB with a thin device as Docker makes it; dmguard has set its mark."""
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    return device


def seconds_after_event(m: Machine, entry: dict[str, str]) -> float:
    """From the kernel's low water message to dmguard's entry, which it writes when it is done."""
    at = int(entry["__MONOTONIC_TIMESTAMP"])
    lines = m.run(f"dmesg | grep -F '{LOW_WATER_LINE}'").out.splitlines()
    before = [int(float(line.removeprefix("[").split("]")[0]) * 1e6) for line in lines]
    return (at - max(moment for moment in before if moment <= at)) / 1e6


@on_each_kernel
def test_the_dm_source_alone_meets_a_writer_within_3_s(machines: Factory) -> None:
    """No dmeventd, no timer to speak of, then no journald, then no bus."""
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=config(guard='resync = "1h"'))
    # Without the kernel's messages the journal has nothing to wake the agent with.
    m.put("/etc/systemd/journald.conf.d/no-kernel.conf", "[Journal]\nReadKMsg=no\n")
    m.run("systemctl restart systemd-journald")
    device = make_filling_pool(m)
    assert m.run("lvs --noheadings -o lv_profile docker/thinpool").out.strip() == ""
    assert size_of(m, "docker", "thinpool") == 100 * MIB

    writer = start_writing(m, device, 0, 80)
    wait_for("the pool grown", lambda: size_of(m, "docker", "thinpool") > 100 * MIB)
    result = writer.wait(60)

    assert (result.status, result.err) == (0, "")
    assert size_of(m, "docker", "thinpool") == grown(100 * MIB, EXTENT)
    (entry,) = wait_for("the entry", lambda: entries(m, "extend-data"))
    assert entry["DMGUARD_TRIGGER"] == "dm-event"
    assert entry["DMGUARD_RESULT"] == "done"
    assert entry["DMGUARD_POOL"] == "docker/thinpool"
    assert entry["DMGUARD_SIZE"] == str(100 * MIB)
    assert entry["DMGUARD_TARGET"] == str(120 * MIB)
    assert "from 100.00 MiB to 120.00 MiB" in entry["MESSAGE"]
    reaction = seconds_after_event(m, entry)
    print(f"reaction: {reaction:.2f} s")
    assert reaction < 3

    m.run("systemctl stop systemd-journald.socket systemd-journald-dev-log.socket"
          " systemd-journald-audit.socket systemd-journald.service")  # fmt: skip
    assert m.run("systemctl is-active systemd-journald", check=False).out.strip() == "inactive"
    write(m, device, 80, 15)
    wait_for("grown without journald", lambda: size_of(m, "docker", "thinpool") >= 144 * MIB)
    wait_for("the act in the history", lambda: len(history(m, "extend-data")) == 2)

    m.run("systemctl start systemd-journald.socket systemd-journald.service")
    m.run("systemctl stop dbus.socket dbus.service")
    write(m, device, 95, 20)
    wait_for("grown without a bus", lambda: size_of(m, "docker", "thinpool") >= 176 * MIB)

    acts = wait_for("three acts", lambda: len(h := history(m, "extend-data")) == 3 and h)
    assert [act["numbers"]["target"] // MIB for act in acts] == [120, 144, 176]
    assert {act["trigger"] for act in acts} == {"dm-event"}
    assert_reads_back(m, device, 0, 115)


def test_the_timer_alone_meets_a_writer_within_one_period(machines: Factory) -> None:
    """The dm source is off. The same machine without dmguard does not grow its pool."""
    settings = 'sources = ["timer"]\nresync = "4s"'
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=config(guard=settings))
    device = make_filling_pool(m)

    write(m, device, 0, 80)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") == grown(100 * MIB, EXTENT))
    (entry,) = wait_for("the entry", lambda: entries(m, "extend-data"))

    assert entry["DMGUARD_TRIGGER"] == "timer"
    assert seconds_after_event(m, entry) < 4 + 3

    # The control: without dmguard the same crossing is told by the kernel, and nobody acts.
    m.run("systemctl stop dmguard")
    before = len(m.journal("-b", "-k", f"--grep={LOW_WATER_LINE}"))
    write(m, device, 80, 15)
    wait_for(
        "the kernel's message",
        lambda: len(m.journal("-b", "-k", f"--grep={LOW_WATER_LINE}")) > before,
    )
    assert size_of(m, "docker", "thinpool") == 120 * MIB
    assert_reads_back(m, device, 0, 95)


@pytest.mark.parametrize("flavour", ["bookworm", "trixie"])
def test_pools_are_found_whatever_they_are_called(machines: Factory, flavour: str) -> None:
    """Hyphens in both names, and a pool with LVM thin volumes, which is vg-pool-tpool. Beside them
    two groups that lost the text of their metadata, all of it and half.
    """
    disks = [2 << 30, 32 * MIB, 32 * MIB, 32 * MIB]
    m = machines(flavour, disks=disks, append=NO_DMEVENTD, config=config(guard='resync = "1h"'))
    make_vg(m, "lost", m.disks[1:2])
    make_vg(m, "half", m.disks[2:])
    for disk in (m.disks[1], m.disks[3]):
        m.run(f"dd if=/dev/zero of={disk.device} bs=512 seek=9 count=200 conv=notrunc,fsync")
    report = m.run("lvm fullreport --reportformat json").out
    assert "Retrying" in report, "LVM talks in the middle of its report"
    make_vg(m, "my-vg", m.disks[:1])
    make_pool(m, "my-vg", "a-pool", "100m")
    device = raw_thin(m, "my-vg", "a-pool", "t0", 600 * MIB, 0)
    m.run("lvcreate -y --type thin-pool -L 100m --poolmetadatasize 4m -c 64k -Zn -n lvm my-vg")
    m.run("lvcreate -y -V 300m --thinpool lvm -n thin my-vg")
    assert m.run("dmsetup info my--vg-lvm-tpool", check=False).status == 0
    for pool in ("a-pool", "lvm"):
        wait_for_mark(m, "my-vg", pool)

    write(m, device, 0, 80)
    write(m, "/dev/my-vg/thin", 0, 80)

    for pool in ("a-pool", "lvm"):
        wait_for(f"{pool} grown", lambda pool=pool: size_of(m, "my-vg", pool) == 120 * MIB)  # type: ignore[misc]
    assert pool_status(m, "my-vg", "lvm")["mode"] == "rw"
    told = wait_for("both told", lambda: len(e := entries(m, "extend-data")) > 1 and e)
    assert sorted(entry["DMGUARD_POOL"] for entry in told) == ["my-vg/a-pool", "my-vg/lvm"]
    assert [vg["name"] for vg in json.loads(m.run("dmguard status --json").out)["vgs"]] == [
        "half",
        "my-vg",
    ]
    told = json.loads(m.run("dmguard disks --json").out)["disks"]
    (lost,) = (disk for disk in told if disk["disk"] == m.disks[1].device)
    assert "disk-orphan-pv" in {reason["code"] for reason in lost["reasons"]}


@on_each_kernel
def test_a_udev_that_does_not_answer_holds_no_growth_up(machines: Factory) -> None:
    """Twice, for the first could end late; an lvextend by hand does not come back."""
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=config())
    device = make_filling_pool(m)
    m.run("udevadm settle && pkill -STOP -x systemd-udevd")

    write(m, device, 0, 80)
    wait_for("the entry", lambda: len(history(m, "extend-data")) == 1)
    write(m, device, 80, 15)
    acts = wait_for("two acts", lambda: len(h := history(m, "extend-data")) == 2 and h)
    assert [act["result"] for act in acts] == ["done", "done"]
    assert size_of(m, "docker", "thinpool") == 144 * MIB

    by_hand = m.start("lvextend --config activation/monitoring=0 -L 160m docker/thinpool")
    wait_for("the pool grown", lambda: size_of(m, "docker", "thinpool") == 160 * MIB)
    waiting = "dmsetup udevcookies | tail -n +2"
    m.wait_until(f"{waiting} | grep -q .")
    assert m.run("pgrep -x lvextend", check=False).status == 0
    m.run("pkill -CONT -x systemd-udevd")
    assert by_hand.wait(60).status == 0
    assert not m.run(waiting).out.strip()
    assert_reads_back(m, device, 0, 95)
