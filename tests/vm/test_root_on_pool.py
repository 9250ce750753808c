"""The root file system is on the guarded pool, and that is full: who writes to it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_pool, make_vg, pool_status
from tests.vm.kit import MIB, NO_DMEVENTD, config, done, hangs, size_of, wait_for, wait_for_mark
from tests.vm.mortal import main_pid

if TYPE_CHECKING:
    from tests.lab.channel import Running
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

# All that dmguard and LVM read and write but for /run, in place of what was there.
ON_THE_POOL = """set -e
lvcreate -q -y -V 4g -T one/pool -n root --config activation/monitoring=0
mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 /dev/one/root
mkdir /new && mount /dev/one/root /new
program=$(readlink -f /usr/bin/python3)
for path in /etc /var /usr/lib/python3* /usr/lib/x86_64-linux-gnu /usr/sbin/lvm $program; do
    cp -a --parents $path /new/
    mount --bind /new$path $path
done
sync
systemctl restart systemd-journald dmguard
"""
ROOM_MIB = 700


def is_full(m: Machine) -> bool:
    return pool_status(m, "one", "pool")["mode"] == "out_of_data_space"


def etc_hangs(m: Machine) -> bool:
    """Can no file be made in /etc?"""
    return hangs(m, "echo 1 > /etc/lvm/archive/probe && rm /etc/lvm/archive/probe", 1)


def fill(m: Machine) -> Running:
    """With the agent held, so that a pool that is full is what it finds."""
    pid = main_pid(m)
    m.run(f"kill -STOP {pid}")
    room = pool_status(m, "one", "pool")
    mibs = (room["data_total"] - room["data_used"]) * room["chunk_bytes"] // MIB + 50
    writer = m.start(f"dd if=/dev/zero of=/var/big bs=1M count={mibs} conv=fsync")
    wait_for("full", lambda: is_full(m), timeout=60)
    # The journal of the file system comes to what it cannot write.
    m.start("date > /etc/changed; date > /var/changed; sync")
    wait_for("/etc silent", lambda: etc_hangs(m), timeout=30)
    return writer


def test_a_full_pool_with_the_root_file_system_grows(machines: Factory) -> None:
    settings = config(guard='resync = "1h"')
    m = machines(disks=[4 << 30], append=NO_DMEVENTD, config=settings)
    make_vg(m, "one", m.disks)
    make_pool(m, "one", "pool", f"{ROOM_MIB}m", metadata="8m")
    m.run(ON_THE_POOL, timeout=120)
    wait_for_mark(m, "one", "pool")
    pid, size = main_pid(m), size_of(m, "one", "pool")
    writer = fill(m)
    m.run(f"kill -CONT {pid}")
    wait_for("grown", lambda: size_of(m, "one", "pool") > size)
    assert writer.wait(60).status == 0
    wait_for("told", lambda: done(m, "extend-data"))
    assert not etc_hangs(m)
    assert main_pid(m) == pid
