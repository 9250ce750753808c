"""From bare disks to a guarded host with one command: Docker on Debian 12, containerd on 13."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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
match = { path = "platform-uml-blkdev.*", min_size = "300MiB" }
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
    m = machines(disks=[512 * MIB, 512 * MIB], config=RULE)
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
        " 'i=0; while [ $i -lt 800 ]; do dd if=/dev/urandom of=/data/$i bs=1M count=1 conv=fsync"
        " 2>/dev/null && i=$((i+1)) || sleep 1; done; touch /data/all; sleep 100000'",
        timeout=60,
    )
    wait_for("a quarter full", lambda: used(m) > 0.25, timeout=90)
    cut_and_boot(m)
    assert_docker_works(m)
    assert errors(m) == []
    # The group has next to nothing left, so that what the pool needs can only be a new disk's.
    wait_for("above the threshold", lambda: used(m) > 0.8, timeout=180)
    m.add_disk(512 * MIB)
    wait_for("claimed", lambda: done(m, "claim-disk"), timeout=30)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size + 100 * MIB, timeout=60)
    wait_for(
        "all written",
        lambda: m.run("docker exec writer test -e /data/all", check=False).status == 0,
        timeout=240,
        interval=2,
    )
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"


def test_two_bare_disks_become_a_containerd_host_that_lives(machines: Factory) -> None:
    m = machines("trixie", disks=[512 * MIB, 512 * MIB], config=RULE)
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
    writer = m.start("dd if=/dev/urandom of=/mnt/all bs=1M count=860 conv=fsync")
    wait_for("above the threshold", lambda: used(m) > 0.8, timeout=120)
    m.add_disk(512 * MIB)
    wait_for("claimed", lambda: done(m, "claim-disk"), timeout=30)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size + 100 * MIB, timeout=60)
    assert writer.wait(120).status == 0
