"""The lab itself: what the other tests here rely on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import loops, lvmkit
from tests.lab.channel import CommandFailed, MachineDied

if TYPE_CHECKING:
    from tests.vm.conftest import Factory

MIB = 1 << 20


def test_thin_pool_and_hotplug(machines: Factory) -> None:
    m = machines(disks=[512 * MIB], dmguard=False)
    lvmkit.make_vg(m, "data-1", m.disks)
    lvmkit.make_pool(m, "data-1", "pool", "100m")
    thin = lvmkit.raw_thin(m, "data-1", "pool", "one", 64 * MIB, 1)
    m.run(f"dd if=/dev/zero of={thin} bs=1M count=32 oflag=direct")
    status = lvmkit.pool_status(m, "data-1", "pool")
    assert status["mode"] == "rw"
    assert (status["data_used"], status["data_total"]) == (512, 1600)
    assert status["size_bytes"] == lvmkit.lv_size(m, "data-1", "pool") == 100 * MIB
    assert lvmkit.vg_free(m, "data-1") == (508 - 100 - 4 - 4) * MIB

    device = loops.add(m, "growing", 64 * MIB)
    m.run(f"vgextend -q data-1 {device}")
    free = lvmkit.vg_free(m, "data-1")
    loops.grow(m, device, 128 * MIB)
    assert int(m.run(f"blockdev --getsize64 {device}").out) == 128 * MIB
    m.run(f"pvresize -q {device}")
    assert lvmkit.vg_free(m, "data-1") == free + 64 * MIB

    hot = m.add_disk(256 * MIB)
    m.run(f"vgextend -y data-1 {hot.device}")
    m.unplug(hot)
    assert m.run(f"test -e {hot.device}", check=False).status == 1
    assert "missing" in m.run("pvs -o +attr").err.lower()
    m.replug(hot)
    m.run(f"pvs {hot.device}")


def test_channel(machines: Factory) -> None:
    m = machines(dmguard=False)
    blob = os.urandom(3 * MIB)
    m.put("/root/new/blob", blob, 0o600)
    assert m.get("/root/new/blob") == blob
    assert m.run("stat -c %a /root/new/blob").out == "600\n"
    slow = m.start("sleep 1000")
    assert m.run("cat", stdin="hello").out == "hello"
    assert slow.poll() is None
    slow.kill()
    assert slow.wait(10).status == -9
    with pytest.raises(CommandFailed, match="exit status 3"):
        m.run("exit 3")
    m.run("systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald")
    m.run("systemctl stop dbus.socket dbus.service", check=False)
    assert m.run("echo still here").out == "still here\n"
    lost = m.start("sleep 1000")
    m.start("echo c >/proc/sysrq-trigger")
    with pytest.raises(MachineDied):
        lost.wait(20)


def test_power_cut(machines: Factory) -> None:
    m = machines(disks=[64 * MIB], dmguard=False)
    m.run("mkfs.ext4 -q /dev/ubdb && mount /dev/ubdb /mnt && echo kept >/mnt/a && sync -f /mnt/a")
    m.run("echo kept >/root/a && journalctl --sync && sync")
    m.power_cut()
    m.boot()
    assert m.run("mount /dev/ubdb /mnt && cat /mnt/a /root/a").out == "kept\nkept\n"
    assert len(m.run("journalctl --list-boots --no-pager -q").out.splitlines()) >= 2
    folder = m.workdir
    m.close()
    assert not folder.exists()
    assert not [p for p in Path("/proc").glob("[0-9]*/cwd") if str(folder) in _target(p)]


def test_docker_on_a_thin_pool(machines: Factory) -> None:
    m = machines(disks=[3 << 30], dmguard=False)
    lvmkit.docker_direct_lvm(m, m.disks[0])
    assert m.run("docker run --rm busybox echo works", timeout=120).out == "works\n"
    assert "devicemapper" in m.run("docker info").out


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_containerd_of_debian_13_has_its_snapshotter_on_a_pool(machines: Factory) -> None:
    m = machines("trixie", disks=[1 << 30], dmguard=False)
    lvmkit.containerd_devmapper(m, m.disks[0])
    m.wait_until("ctr plugins ls | grep -E 'snapshotter.*devmapper.*ok'", 60)
    m.run("ctr snapshots --snapshotter devmapper prepare lab")
    assert m.run("dmsetup ls").out.count("docker-thinpool-snap-1") == 1
