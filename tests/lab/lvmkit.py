"""Thin pools on a lab machine: made, filled and read with few words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from tests.lab.channel import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.machine import Disk, Machine
    from tests.lab.stand import Stand

SECTOR = 512
META_BLOCK = 4096


class PoolStatus(TypedDict):
    """A pool as the kernel tells it; blocks of a pool's data are its chunks."""

    mode: str
    data_used: int
    data_total: int
    meta_used: int
    meta_total: int
    low_water: int
    needs_check: bool
    size_bytes: int
    chunk_bytes: int


def dm_name(vg: str, lv: str) -> str:
    """Return the device-mapper name of a logical volume."""
    return f"{vg.replace('-', '--')}-{lv.replace('-', '--')}"


def make_vg(m: Stand, vg: str, disks: Sequence[Disk], extent: str = "4m") -> None:
    """Make a volume group of whole disks."""
    m.run(f"vgcreate -y -s {extent} {vg} {' '.join(disk.device for disk in disks)}")


def make_pool(
    m: Stand,
    vg: str,
    pool: str,
    size: str,
    *,
    metadata: str = "4m",
    chunk: str = "64k",
    monitor: bool = False,
) -> None:
    """Make an active thin pool; without zeroing, so that its filling is all the writer's."""
    length = f"-l {size}" if "%" in size else f"-L {size}"
    m.run(
        f"lvcreate -y -q --type thin-pool {length} --poolmetadatasize {metadata} -c {chunk} -Zn"
        f" --config activation/monitoring={int(monitor)} -n {pool} {vg}"
    )


def raw_thin(m: Stand, vg: str, pool: str, name: str, size: int, dev_id: int) -> str:
    """Make a thin device behind LVM's back, as Docker does; return its path."""
    device = f"/dev/mapper/{dm_name(vg, pool)}"
    m.run(f"dmsetup message {device} 0 'create_thin {dev_id}'")
    return bring_thin_up(m, vg, pool, name, size, dev_id)


def bring_thin_up(m: Stand, vg: str, pool: str, name: str, size: int, dev_id: int) -> str:
    """Bring up a thin device that was made already; return its path.

    The kernel refuses that while the pool is suspended, as it is when its guard has its table
    loaded anew.
    """
    table = f"0 {size // SECTOR} thin /dev/mapper/{dm_name(vg, pool)} {dev_id}"
    m.wait_until(f"dmsetup create {name} --table '{table}'", 10)
    m.run("udevadm settle")
    return f"/dev/mapper/{name}"


def pool_status(m: Stand, vg: str, pool: str) -> PoolStatus:
    """Read a pool from the kernel, wherever LVM has put its thin-pool target."""
    for name in (f"{dm_name(vg, pool)}-tpool", dm_name(vg, pool)):
        status = m.run(f"dmsetup status --noflush {name}", check=False).out.split()
        if status[2:3] == ["thin-pool"]:
            table = m.run(f"dmsetup table {name}").out.split()
            return parse_status(status, table)
    raise LabError(f"no active thin pool {vg}/{pool}:\n{m.run('dmsetup status').out}")


def parse_status(status: list[str], table: list[str]) -> PoolStatus:
    """Read the kernel's status and table lines (Documentation/.../thin-provisioning)."""
    size, chunk, low_water = int(table[1]), int(table[5]), int(table[6])
    empty: PoolStatus = {
        "mode": "fail",
        "data_used": 0,
        "data_total": size // chunk,
        "meta_used": 0,
        "meta_total": 0,
        "low_water": low_water,
        "needs_check": True,
        "size_bytes": size * SECTOR,
        "chunk_bytes": chunk * SECTOR,
    }
    if status[3] in ("Fail", "Error"):
        return empty
    meta, data = status[4].split("/"), status[5].split("/")
    modes = [word for word in status[7:] if word in ("rw", "ro", "out_of_data_space")]
    return empty | {
        "mode": modes[0],
        "data_used": int(data[0]),
        "data_total": int(data[1]),
        "meta_used": int(meta[0]),
        "meta_total": int(meta[1]),
        "needs_check": "needs_check" in status,
    }


def vg_free(m: Stand, vg: str) -> int:
    """Return the free bytes of a volume group."""
    return int(m.run(f"vgs --noheadings --nosuffix --units b -o vg_free {vg}").out)


def lv_size(m: Stand, vg: str, lv: str) -> int:
    """Return the size of a volume in bytes, as LVM has it on the disk."""
    out = m.run(f"lvs -a --noheadings --nosuffix --units b -o lv_size {vg}/{lv}").out
    return int(out)


def docker_direct_lvm(
    m: Machine, disk: Disk, data: str = "60%VG", metadata: str = "1%VG", basesize: str = "1G"
) -> None:
    """Set Docker up on a thin pool as its manual does (direct-lvm), and import an image."""
    # The manual's lvcreate pair and lvconvert, with its chunk size.
    make_vg(m, "docker", [disk])
    m.run(
        f"lvcreate -q --wipesignatures y -n thinpool docker -l {data}"
        f" && lvcreate -q --wipesignatures y -n thinpoolmeta docker -l {metadata}"
        " && lvconvert -q -y --zero n -c 512K --thinpool docker/thinpool"
        " --poolmetadata docker/thinpoolmeta"
    )
    options = [
        "dm.thinpooldev=/dev/mapper/docker-thinpool",
        "dm.use_deferred_removal=true",
        "dm.use_deferred_deletion=true",
        f"dm.basesize={basesize}",
    ]
    # The machine has no network, so Docker need not filter any.
    config: dict[str, object] = {"iptables": False, "bridge": "none"}
    config |= {"storage-driver": "devicemapper", "storage-opts": options}
    m.put("/etc/docker/daemon.json", json.dumps(config))
    # Docker's base device does not come up while the pool's guard has its table loaded anew.
    again = "systemctl reset-failed docker && systemctl start docker"
    m.run(f"systemctl start docker || {{ {again}; }}", timeout=180)
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)


def docker_loop_lvm(m: Machine, root: str, data: str = "200M", metadata: str = "16M") -> str:
    """Set Docker up as it is when it is given no pool (loop-lvm), and import an image.

    Return the device-mapper name of the pool that it made.
    """
    options = [
        f"dm.loopdatasize={data}",
        f"dm.loopmetadatasize={metadata}",
        "dm.basesize=400M",
        "dm.fs=ext4",
    ]
    config: dict[str, object] = {"iptables": False, "bridge": "none", "data-root": root}
    config |= {"storage-driver": "devicemapper", "storage-opts": options}
    m.put("/etc/docker/daemon.json", json.dumps(config))
    m.run("systemctl start docker", timeout=120)
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)
    (pool,) = m.run("dmsetup ls --target thin-pool").out.splitlines()
    return pool.split()[0]


def containerd_devmapper(m: Machine, disk: Disk, size: str = "400m") -> None:
    """Set containerd's devmapper snapshotter up on a thin pool, as its guide does, and start it."""
    make_vg(m, "docker", [disk])
    make_pool(m, "docker", "thinpool", size)
    m.put(
        "/etc/containerd/config.toml",
        'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\n'
        '  root_path = "/var/lib/containerd/devmapper"\n'
        '  pool_name = "docker-thinpool"\n  base_image_size = "64MB"\n',
    )
    m.run("systemctl start containerd", timeout=120)


def slow_udev_down(m: Machine) -> None:
    """From the next boot on udev takes half a minute for the first disk, and LVM waits for udev.

    LVM's own activation then comes after the start of whoever needs the pool, for sure.
    """
    rule = 'KERNEL=="ubdb", ACTION=="add", PROGRAM="/bin/sleep 30"\n'
    m.put("/etc/udev/rules.d/50-slow-disk.rules", rule)
