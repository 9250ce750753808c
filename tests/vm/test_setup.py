"""From bare disks to a guarded host with one command: Docker on Debian 12, containerd on 13."""

from __future__ import annotations

import json
import re
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

POLICY = '[policy]\nmin_step = "0"\nheadroom = "0"\n'
CLAIM = "--claim 'path=platform-uml-blkdev.*' --claim min_size=200MiB"
RULE = f"""{POLICY}[[claim]]
vg = "docker"
match = {{ path = "platform-uml-blkdev.*", min_size = "200MiB" }}
settle = "1s"
"""


def used(m: Machine) -> float:
    status = pool_status(m, "docker", "thinpool")
    return status["data_used"] / status["data_total"]


@procedures(
    "P2", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P12", "P13", "P14", "P25", "P26", "P27",
    "P30", "P31",
)  # fmt: skip
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

    assert_seen(m)
    assert_doctor_is_silent(m)

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


def assert_doctor_is_silent(m: Machine) -> None:
    """Nothing on a host that was set up would make the pool stop."""
    result = m.run("dmguard doctor", check=False, timeout=60)
    assert result.status == 0, result.out


def assert_seen(m: Machine) -> None:
    """What the manual reads with lsblk, lvs and mount is in the status."""
    seen = json.loads(m.run("dmguard status --json").out)
    assert [(vg["name"], vg["pvs"]) for vg in seen["vgs"]] == [("docker", 2)]
    (pool,) = seen["pools"]
    used = m.run("lvs --noheadings -o data_percent docker/thinpool").out
    assert abs(100 * pool["data_used"] / pool["size"] - float(used)) < 5
    assert pool["profile"] == "docker-thinpool"
    assert seen["consumers"] == [
        {"name": "docker", "dm_name": "docker-thinpool", "pool": "docker/thinpool"}
    ]


def test_two_bare_disks_become_a_containerd_host_that_lives(machines: Factory) -> None:
    m = machines("trixie", disks=[256 * MIB, 256 * MIB], config=POLICY)
    words = f"{' '.join(disk.device for disk in m.disks)} {CLAIM}"
    m.run("systemctl enable containerd.service")
    set_up(m, words)
    assert_set_up(m, words, m.disks)
    assert plugin(m) == "ok"
    assert_doctor_is_silent(m)
    text = m.run("cat /etc/containerd/config.toml").out
    assert 'pool_name = "docker-thinpool"' in text
    assert text.startswith(m.run("cat /etc/containerd/config.toml.before-dmguard").out)

    cut_and_boot(m)
    wait_for("containerd active", lambda: is_active(m, "containerd"), timeout=60)
    assert plugin(m) == "ok"
    size = size_of(m, "docker", "thinpool")
    m.run("ctr snapshot --snapshotter devmapper prepare box", timeout=60)
    mount = m.run("ctr snapshot --snapshotter devmapper mounts /mnt box").out
    m.run(mount.strip().removesuffix("-o"))
    writer = m.start("dd if=/dev/urandom of=/mnt/all bs=1M count=440 conv=fsync")
    wait_for("above the threshold", lambda: used(m) > 0.8, timeout=120)
    m.add_disk(256 * MIB)
    wait_for("claimed", lambda: done(m, "claim-disk"), timeout=30)
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size + 50 * MIB, timeout=60)
    assert writer.wait(120).status == 0


def images(m: Machine) -> set[str]:
    return set(m.run("docker images --format '{{.Repository}}'", timeout=60).out.split())


@procedures("P11", "P28", "P29")
def test_what_docker_has_is_moved_aside_only_when_that_is_said(machines: Factory) -> None:
    m = machines(disks=[256 * MIB], dmguard=False)
    blank, root = m.disks[0].device, "/var/lib/docker"
    m.put("/etc/docker/daemon.json", DOCKER)
    m.run("systemctl start docker", timeout=120)
    m.run("docker import /usr/share/lab/busybox.tar kept", timeout=120)

    assert "consumer-has-data" in set_up(m, blank, status=4)
    assert images(m) == {"kept"}
    assert m.run("vgs --noheadings").out == "", "nothing was begun"
    assert m.run("cat /etc/docker/daemon.json").out == DOCKER

    find = "find . -xdev -type f -path '*/image/*' -exec sha256sum {} + | sort"
    content = m.run(f"cd {root} && {find}").out
    set_up(m, f"--move-data {blank}")
    assert images(m) == set()
    assert content
    assert m.run(f"cd {root}.before-docker-thinpool && {find}").out == content
    assert "all is set up already" in set_up(m, f"--move-data {blank}")
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)
    assert_docker_works(m)
    assert_told_by_docker(m)
    assert_not_stopped_while_silent(m, f"--move-data {blank}")


def assert_not_stopped_while_silent(m: Machine, words: str) -> None:
    """A Docker that does not answer is not taken for one that uses no pool."""
    pid = m.run("pgrep -x dockerd").out
    m.run("pkill -STOP -x dockerd")
    assert "consumer-silent" in set_up(m, words, 4)
    m.run("pkill -CONT -x dockerd")
    assert "all is set up already" in set_up(m, words)
    assert m.run("pgrep -x dockerd").out == pid


def assert_told_by_docker(m: Machine) -> None:
    """Its metadata grows by hand, and Docker's own figures follow."""
    before = pool_status(m, "docker", "thinpool")["meta_total"]
    m.run("dmguard extend docker/thinpool --metadata +4MiB")
    after = pool_status(m, "docker", "thinpool")["meta_total"]
    assert after > before
    told = dict(json.loads(m.run("docker info --format '{{json .DriverStatus}}'").out))
    assert told["Pool Name"] == "docker-thinpool"
    space = float(told["Metadata Space Total"].removesuffix("MB"))
    assert abs(space - after * 4096 / 1e6) < 0.1


def test_a_set_up_that_was_taken_back_is_made_anew_by_the_commands_that_are_told(
    machines: Factory,
) -> None:
    """Docker makes its base device in the new pool, and then fails for want of its bridge."""
    m = machines(disks=[256 * MIB], dmguard=False)
    blank, root = m.disks[0].device, "/var/lib/docker"
    broken = DOCKER.replace('"bridge":"none"', '"bridge":"nosuch0"')
    assert broken != DOCKER
    m.put("/etc/docker/daemon.json", broken)
    assert "was taken back" in set_up(m, blank, status=1)
    assert m.run("cat /etc/docker/daemon.json").out == broken
    assert not is_active(m, "docker")
    assert pool_status(m, "docker", "thinpool")["data_used"] > 0

    m.put("/etc/docker/daemon.json", DOCKER)
    m.run(f"touch {root}/kept")
    told = set_up(m, blank, status=4)
    assert "pool-in-use" in told
    way = re.search(
        r"if nothing in it is needed: (lvremove \S+), then the same with (--[a-z-]+)", told
    )
    assert way, told
    m.run(f"echo y | {way[1]}")
    set_up(m, f"{way[2]} {blank}")
    assert_set_up(m, blank, m.disks)
    m.run(f"test -e {root}.before-docker-thinpool/kept")
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)
    assert_docker_works(m)


def test_what_is_on_a_disk_is_given_up_by_its_serial_number_alone(machines: Factory) -> None:
    m = machines(disks=[256 * MIB], dmguard=False)
    blank = m.disks[0].device
    (old,) = scsi.add(m, 1, 128)
    m.run(f"mke2fs -q -t ext4 {old} && udevadm settle")
    known = json.loads(m.run("dmguard disks --json").out)["disks"]
    (serial,) = (disk["serial"] for disk in known if disk["disk"] == old)
    words = f"--consumer none {blank} {old}"
    assert "disk-signature" in set_up(m, words, status=4)
    assert "force-matches-nothing" in set_up(m, f"{words} --force {old}", status=3)
    assert m.run(f"blkid -p -o value -s TYPE {old}").out == "ext4\n"
    assert m.run("pvs --noheadings").out == "", "nothing was begun"

    # One that is mounted is in use, whatever is said.
    m.run(f"mount {old} /mnt")
    assert "disk-in-use" in set_up(m, f"{words} --force {serial}", status=4)
    m.run("umount /mnt")
    set_up(m, f"{words} --force {serial}")
    assert set(m.run("pvs --noheadings -o pv_name -S vg_name=docker").out.split()) == {blank, old}
    assert "all is set up already" in set_up(m, f"{words} --force {serial}")
    assert done(m, "wipe-disk")[0]["DMGUARD_DISK"] == old
