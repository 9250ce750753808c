"""From bare disks to a guarded host with one command: Docker on Debian 12, containerd on 13."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.lab import scsi
from tests.lab.lvmkit import pool_status
from tests.vm.bootkit import assert_docker_works, cut_and_boot, errors, is_active, plugin
from tests.vm.kit import MIB, done, size_of, wait_for
from tests.vm.manual import procedures
from tests.vm.setupkit import DOCKER, assert_set_up, set_up

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

RULE = """[policy]
min_step = "0"
headroom = "0"
[[claim]]
vg = "docker"
match = { path = "platform-uml-blkdev.*", min_size = "200MiB" }
settle = "1s"
"""


def used(m: Machine) -> float:
    status = pool_status(m, "docker", "thinpool")
    return status["data_used"] / status["data_total"]


@procedures(
    "P2", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P12", "P25", "P26", "P27", "P29", "P30"
)
def test_two_bare_disks_become_a_docker_host_that_lives(machines: Factory) -> None:
    """set up, a container that writes, a reboot, growth, a hotplug: no other command."""
    m = machines(disks=[256 * MIB, 256 * MIB], config=RULE)
    m.put("/etc/docker/daemon.json", DOCKER)
    m.run("chmod 640 /etc/docker/daemon.json; chown root:daemon /etc/docker/daemon.json")
    words = " ".join(disk.device for disk in m.disks)
    m.run("systemctl enable docker.service docker.socket")

    shown = m.run(f"dmguard setup -n {words}").out
    assert "vgcreate" in shown
    assert m.run("vgs --noheadings; pvs --noheadings; lvs --noheadings").out == ""
    set_up(m, words)
    assert_set_up(m, words, m.disks)
    config = json.loads(m.run("cat /etc/docker/daemon.json").out)
    before = json.loads(DOCKER)
    assert {key: config[key] for key in before} == before
    assert m.run("cat /etc/docker/daemon.json.before-dmguard").out == DOCKER
    assert m.run("stat -c '%a %U:%G' /etc/docker/daemon.json").out == "640 root:daemon\n"
    assert m.run("lvs --noheadings -o seg_monitor docker/thinpool").out.strip() == "monitored"
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)

    size = size_of(m, "docker", "thinpool")
    m.run(
        "docker run -d --name writer --network none --restart always busybox sh -c"
        " 'i=0; while [ $i -lt 420 ]; do dd if=/dev/urandom of=/data/$i bs=1M count=1 conv=fsync"
        " 2>/dev/null && i=$((i+1)) || sleep 1; done; touch /data/all; sleep 100000'",
        timeout=60,
    )
    wait_for("a quarter full", lambda: used(m) > 0.25, timeout=90)
    cut_and_boot(m)
    assert_docker_works(m)
    assert errors(m) == []
    # The group has next to nothing left, so that what the pool needs can only be a new disk's.
    wait_for("above the threshold", lambda: used(m) > 0.8, timeout=180)
    m.add_disk(256 * MIB)
    wait_for("claimed", lambda: done(m, "claim-disk"), timeout=30)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size + 50 * MIB, timeout=60)
    wait_for(
        "all written",
        lambda: m.run("docker exec writer test -e /data/all", check=False).status == 0,
        timeout=240,
        interval=2,
    )
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"


def test_two_bare_disks_become_a_containerd_host_that_lives(machines: Factory) -> None:
    m = machines("trixie", disks=[256 * MIB, 256 * MIB], config=RULE)
    words = " ".join(disk.device for disk in m.disks)
    m.run("systemctl enable containerd.service")
    set_up(m, words)
    assert_set_up(m, words, m.disks)
    assert plugin(m) == "ok"
    text = m.run("cat /etc/containerd/config.toml").out
    assert 'pool_name = "docker-thinpool"' in text
    assert text.startswith(m.run("cat /etc/containerd/config.toml.before-dmguard").out)

    cut_and_boot(m)
    wait_for("containerd active", lambda: is_active(m, "containerd"), timeout=60)
    assert plugin(m) == "ok"
    size = size_of(m, "docker", "thinpool")
    m.run("ctr snapshot --snapshotter devmapper prepare box", timeout=60)
    mount = m.run("ctr snapshot --snapshotter devmapper mounts /mnt box").out
    m.run(mount)
    writer = m.start("dd if=/dev/urandom of=/mnt/all bs=1M count=440 conv=fsync")
    wait_for("above the threshold", lambda: used(m) > 0.8, timeout=120)
    m.add_disk(256 * MIB)
    wait_for("claimed", lambda: done(m, "claim-disk"), timeout=30)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size + 50 * MIB, timeout=60)
    assert writer.wait(120).status == 0


def images(m: Machine) -> set[str]:
    return set(m.run("docker images --format '{{.Repository}}'", timeout=60).out.split())


@procedures("P3", "P11", "P16", "P28", "P29")
def test_what_a_host_has_is_kept_until_it_is_given_up_by_name(machines: Factory) -> None:
    """Docker's data, a used disk, and dm.min_free_space as the manual has it; then it works."""
    m = machines(disks=[256 * MIB])
    blank = m.disks[0].device
    m.put("/etc/docker/daemon.json", DOCKER)
    m.run("systemctl start docker", timeout=120)
    m.run("docker import /usr/share/lab/busybox.tar kept", timeout=120)
    root = "/var/lib/docker"
    inodes = m.run(f"find {root} -xdev | sort | sha256sum").out

    said = set_up(m, blank, status=4)
    assert "consumer-has-data" in said
    assert "--move-data" in said or "moves" in m.run("dmguard explain consumer-has-data").out
    assert images(m) == {"kept"}
    assert m.run("vgs --noheadings").out == "", "nothing was begun"
    assert m.run("cat /etc/docker/daemon.json").out == DOCKER

    # A disk with a file system, and with a serial number by which it can be given up.
    (used_disk,) = scsi.add(m, 1, 128)
    m.run(f"mke2fs -q -t ext4 {used_disk} && udevadm settle")
    serial = m.run(f"udevadm info -q property --property ID_SERIAL --value {used_disk}").out.strip()
    said = set_up(m, f"--move-data {blank} {used_disk}", status=4)
    assert "disk-signature" in said
    said = set_up(m, f"--move-data {blank} {used_disk} --force {used_disk}", status=3)
    assert "force-matches-nothing" in said
    assert m.run(f"blkid -p -o value -s TYPE {used_disk}").out == "ext4\n"

    words = f"--move-data {blank} {used_disk} --force {serial}"
    set_up(m, words)
    assert "all is set up already" in set_up(m, words)
    assert set(m.run("pvs --noheadings -o pv_name").out.split()) == {blank, used_disk}
    assert images(m) == set()
    aside = f"{root}.before-docker-thinpool"
    assert (
        m.run(f"cd {aside} && find . -xdev | sed 's,^.,{root},' | sort | sha256sum").out == inodes
    )
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)
    assert_docker_works(m)

    # The manual's own value, for which Docker would not start.
    m.run("sed -i 's/min_free_space=10%/min_free_space=10/' /etc/docker/daemon.json")
    doctor = m.run("dmguard doctor --json", check=False, timeout=60)
    assert "min-free-invalid" in doctor.out
    set_up(m, words)
    assert "min_free_space=10%" in m.run("cat /etc/docker/daemon.json").out

    metadata = pool_status(m, "docker", "thinpool")["meta_total"]
    m.run("dmguard extend docker/thinpool --metadata +4MiB")
    assert pool_status(m, "docker", "thinpool")["meta_total"] > metadata
    space = m.run("docker info --format '{{json .DriverStatus}}'").out
    told = dict(json.loads(space))
    assert told["Pool Name"] == "docker-thinpool"
    total = pool_status(m, "docker", "thinpool")["meta_total"] * 4096 / 1e6
    assert abs(float(told["Metadata Space Total"].removesuffix("MB")) - total) < 1
