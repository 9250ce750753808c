"""The agent is small, and needs no disk to go on: the root file system may be on the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import MIB, config, done, size_of, wait_for, wait_for_mark

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

CGROUP = "/sys/fs/cgroup/system.slice/dmguard.service"

# Python, its modules and dmguard's on a file system of their own, read-only so that nothing of it
# has to be written: a device that can be suspended. What LVM runs is not on it. LVM itself would
# wait for a suspended device that it looks at.
AWAY = """set -e
printf 'devices { ignore_suspended_devices = 1 }\\n' >/etc/lvm/lvmlocal.conf
dmsetup create away --table "0 $(blockdev --getsz DISK) linear DISK 0"
mkfs.ext4 -q /dev/mapper/away
mkdir /away && mount /dev/mapper/away /away
program=$(readlink -f /usr/bin/python3)
cp -a "$program" /away/program
for folder in /usr/lib/python3*; do cp -a "$folder" "/away/${folder##*/}"; done
umount /away && mount -o ro /dev/mapper/away /away
mount --bind /away/program "$program"
for folder in /usr/lib/python3*; do mount --bind "/away/${folder##*/}" "$folder"; done
echo 3 >/proc/sys/vm/drop_caches
systemctl restart dmguard
"""

# Every page that is not locked is taken from the agent, mapped or not, and has to be read anew.
GONE = f"""dmsetup suspend --noflush --nolockfs away
echo 1G >{CGROUP}/memory.reclaim
echo 3 >/proc/sys/vm/drop_caches
"""


def pid_of(m: Machine, unit: str) -> int:
    return int(m.run(f"systemctl show -P MainPID {unit}").out)


def status(m: Machine, pid: int) -> dict[str, int]:
    """What proc(5)'s status says of its memory, in KiB."""
    lines = m.run(f"grep ^Vm /proc/{pid}/status").out.splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def faults(m: Machine, pid: int) -> int:
    """How often it had to wait for a page from a disk (proc(5), stat, majflt)."""
    return int(m.run(f"cat /proc/{pid}/stat").out.rpartition(")")[2].split()[9])


def make_filling_pool(m: Machine) -> str:
    make_vg(m, "docker", m.disks[:1])
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    return device


def fill(m: Machine, device: str, first: int, count: int) -> None:
    m.run(f"dd if=/dev/zero of={device} bs=1M seek={first} count={count} oflag=direct")


def grow(m: Machine, device: str, first: int, count: int) -> None:
    """Write so that the pool has to grow, and see that it does."""
    size = size_of(m, "docker", "thinpool")
    fill(m, device, first, count)
    wait_for("the pool grown", lambda: size_of(m, "docker", "thinpool") > size)


@pytest.mark.parametrize("flavour", ["bookworm", "trixie"])
def test_the_agent_is_not_much_larger_than_dmeventd(machines: Factory, flavour: str) -> None:
    m = machines(flavour, disks=[1 << 30], config=config())
    device = make_filling_pool(m)
    m.run("systemctl start dm-event.socket && lvchange -q --monitor y docker/thinpool")

    guards = {name: status(m, pid_of(m, name)) for name in ("dmguard", "dm-event")}
    grow(m, device, 0, 80)
    wait_for("its entry", lambda: done(m, "extend-data"))
    grew = status(m, pid_of(m, "dmguard"))

    sizes = {name: one["VmRSS"] for name, one in guards.items()}
    print({"KiB": sizes, "after a growth": grew["VmRSS"], "locked": guards["dmguard"]["VmLck"]})
    assert guards["dmguard"]["VmLck"] >= guards["dmguard"]["VmRSS"]
    assert sizes["dmguard"] <= 1.5 * sizes["dm-event"]
    assert grew["VmRSS"] <= 1.5 * sizes["dm-event"]


@on_each_kernel
@pytest.mark.parametrize("flavour", ["bookworm", "trixie"])
def test_a_pool_grows_while_the_agents_own_disk_is_silent(machines: Factory, flavour: str) -> None:
    """It has grown none since its start: what it needs for that it has never used."""
    m = machines(flavour, disks=[1 << 30, 256 * MIB], config=config())
    m.run(AWAY.replace("DISK", m.disks[1].device), timeout=120)
    device = make_filling_pool(m)
    pid = pid_of(m, "dmguard")

    m.run(GONE, check=False)  # not all that was asked for can be reclaimed
    before = faults(m, pid)
    try:
        grow(m, device, 0, 80)
        wait_for("its entry", lambda: done(m, "extend-data"))
        waited = faults(m, pid) - before
    finally:
        m.run("dmsetup resume away")

    assert pid_of(m, "dmguard") == pid
    assert waited == 0
