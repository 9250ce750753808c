"""Pools are up before those who use them, boot after boot, whatever LVM does by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import make_pool, make_vg, slow_udev_down
from tests.vm.bootkit import (
    ACTIVATE,
    WITHOUT,
    Consumer,
    Containerd,
    Docker,
    Turn,
    assert_docker_works,
    boot_without,
    cut_and_boot,
    entered,
    errors,
    is_active,
    plug_at,
    plugin,
    switch_autoactivation_off,
    turns,
)
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import MIB, done, wait_for
from tests.vm.test_confinement import UNITS, exposure

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

CONSUMERS = pytest.mark.parametrize("kind", [Docker, Containerd])
POOL_IS_DOWN = "! dmsetup info docker-thinpool"


@on_each_kernel
@pytest.mark.parametrize(("kind", "boots"), [(Docker, 5), (Containerd, 2)])
def test_a_consumer_finds_its_pool_in_plain_boots(
    machines: Factory, kind: type[Consumer], boots: int
) -> None:
    """And once with a disk that udev is slow to look at: without dmguard it is started too soon."""
    consumer = kind(machines)
    m = consumer.m
    for _ in range(boots):
        cut_and_boot(m)
        assert_works_behind_its_activation(consumer)

    slow_udev_down(m)
    cut_and_boot(m, WITHOUT, wait=False)
    wait_for("complaint", consumer.is_broken, timeout=180)
    assert turns(m, ACTIVATE) == []
    cut_and_boot(m)
    assert_works_behind_its_activation(consumer)


def assert_works_behind_its_activation(consumer: Consumer) -> None:
    consumer.assert_works()
    (first,) = turns(consumer.m, consumer.unit)
    activation = turns(consumer.m, ACTIVATE)[0]
    print(f"activation {activation}, {consumer.unit} {first}")
    assert not activation.failed
    assert activation.ended <= first.begun


EARLY_COMPONENT = """
[Unit]
DefaultDependencies=no
After=systemd-udevd.service dev-ubdb.device
BindsTo=dev-ubdb.device
Before=dmguard-activate.service docker.service containerd.service
# The unit that LVM's rule makes.
Before=lvm-activate-docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/lvchange -y -ay docker/thinpool_tmeta

[Install]
WantedBy=docker.service containerd.service
"""


@CONSUMERS
def test_a_consumer_finds_a_pool_that_would_not_be_up_in_time(
    machines: Factory, kind: type[Consumer]
) -> None:
    """Skip flag, active component, late disk, no autoactivation; each without dmguard first."""
    consumer = kind(machines)
    m = consumer.m

    m.run("lvchange -q -ky docker/thinpool")
    assert_broken_without_dmguard(consumer)
    assert_lvm_has_tried_in_vain(m)
    assert "put down first" not in activated_at_boot(consumer)

    m.run("lvchange -q -kn docker/thinpool")
    m.put("/etc/systemd/system/early.service", EARLY_COMPONENT)
    m.run("systemctl enable early")
    assert_broken_without_dmguard(consumer)
    assert_lvm_has_tried_in_vain(m)
    m.run("dmsetup info docker-thinpool_tmeta")
    assert "thinpool_tmeta put down first" in activated_at_boot(consumer)
    (early,) = turns(m, "early.service")
    assert not early.failed
    assert early.ended <= turns(m, ACTIVATE)[0].begun
    m.run("systemctl disable early")

    boot_with_a_late_disk(consumer)

    switch_autoactivation_off(m)
    assert_broken_without_dmguard(consumer)
    activated_at_boot(consumer)


def assert_broken_without_dmguard(consumer: Consumer) -> None:
    """It comes to nothing, and the pool is left down."""
    cut_and_boot(consumer.m, WITHOUT)
    wait_for("complaint", consumer.is_broken, timeout=120)
    consumer.m.run(POOL_IS_DOWN)


def assert_lvm_has_tried_in_vain(m: Machine) -> None:
    """Its own activation of this boot has come to its end, and the pool is down."""
    ended = "journalctl -b -q UNIT=lvm-activate-docker.service --grep='Deactivated|Failed'"
    m.wait_until(f"{ended} | grep -q .", 60)
    m.run(POOL_IS_DOWN)


def activated_at_boot(consumer: Consumer) -> str:
    """Boot, see it work; what was told of the activation before its start."""
    cut_and_boot(consumer.m)
    assert_works_behind_its_activation(consumer)
    (told,) = done(consumer.m, "activate")
    assert told["DMGUARD_TRIGGER"] == "start"
    print(told["MESSAGE"])
    return str(told["MESSAGE"])


def boot_with_a_late_disk(consumer: Consumer) -> None:
    m = consumer.m
    disk = m.disks[0]
    boot_without(m, disk, consumer.unit, WITHOUT)
    wait_for("complaint", consumer.is_broken, timeout=120)
    assert turns(m, consumer.unit)[0].seconds < 20

    begun = boot_without(m, disk)
    there = plug_at(m, disk, begun + 20)
    assert_works_behind_its_activation(consumer)
    activation = turns(m, ACTIVATE)[0]
    assert activation.seconds > 20
    print(f"disk there at {there:.1f} s, {activation}")
    assert activation.ended - there < 15


TIMEOUT_S, LATE_S = 60, 100
"""How long the activation waits by default, and when the disk comes, after it has begun."""


@pytest.mark.parametrize("autoactivation", [True, False])
def test_docker_is_held_up_once_and_started_when_its_disk_comes_after_all(
    machines: Factory, *, autoactivation: bool
) -> None:
    docker = Docker(machines)
    m = docker.m
    if autoactivation:
        assert_broken_for_good_without_dmguard(docker, 20)
        m.run("systemctl is-failed docker")
    else:
        switch_autoactivation_off(m)

    begun = boot_without(m, m.disks[0])
    m.wait_until("systemctl is-failed docker", 180)
    there = plug_at(m, m.disks[0], begun + LATE_S)
    wait_for("docker active", lambda: is_active(m, "docker"), timeout=60)
    waited = assert_held_up_once(docker, there)
    dockers = turns(m, "docker.service")
    assert dockers[0].failed
    tried = [turn for turn in dockers if turn.begun < there]
    print(f"begun {begun:.1f}, disk there {there:.1f}, docker {dockers}")
    assert len(tried) > 1
    # Once more for the start that systemd's rate limit then refused.
    assert len(tried) - 1 <= len(waited) <= len(tried)

    assert dockers[-1].begun > there
    assert entered(m, "docker") - there < 15
    (start,) = done(m, "start-unit")
    assert start["DMGUARD_POOL"] == "docker/thinpool"
    # LVM itself is as quick as the agent, if it is let.
    assert autoactivation or len(done(m, "activate")) == 1
    assert_docker_works(m)


def test_containerd_is_held_up_once_and_restarted_when_its_disk_comes_after_all(
    machines: Factory,
) -> None:
    """It tries once: without dmguard its plugin stays in error, though its pool is up."""
    containerd = Containerd(machines)
    m = containerd.m
    switch_autoactivation_off(m)
    assert_broken_for_good_without_dmguard(containerd, 30)

    begun = boot_without(m, m.disks[0])
    wait_for("complaint", containerd.is_broken, timeout=180)
    there = plug_at(m, m.disks[0], begun + LATE_S)
    wait_for("restarted", lambda: entered(m, "containerd") > there, timeout=60)
    print(f"begun {begun:.1f}, disk there {there:.1f}, {turns(m, 'containerd.service')}")
    assert entered(m, "containerd") - there < 15
    assert plugin(m) == "ok"
    assert_held_up_once(containerd, there)
    (restart,) = done(m, "start-unit")
    assert restart["DMGUARD_POOL"] == "docker/thinpool"


def assert_broken_for_good_without_dmguard(consumer: Consumer, seconds: float) -> None:
    """Its disk comes once it has given up, the pool comes up, and nobody starts it again."""
    m = consumer.m
    boot_without(m, m.disks[0], consumer.unit, WITHOUT)
    wait_for("complaint", consumer.is_broken, timeout=120)
    m.wait_until(f"systemctl show -P ActiveState {consumer.unit} | grep -qx 'active\\|failed'", 60)
    m.replug(m.disks[0])
    m.run("lvchange -q -ay docker/thinpool && udevadm settle && dmsetup info docker-thinpool")
    time.sleep(seconds)  # nothing is waited for: that nothing comes is what is shown
    assert consumer.is_broken()


def assert_held_up_once(consumer: Consumer, there: float) -> list[Turn]:
    """By the first activation, for all its time; the others before the disk, which do not wait."""
    first, *later = turns(consumer.m, ACTIVATE)
    assert first.failed
    # Its own start takes a second or two here; LVM is asked once more at the end.
    assert TIMEOUT_S - 1 < first.seconds < TIMEOUT_S + 20
    assert first.ended <= turns(consumer.m, consumer.unit)[0].begun
    waited = [turn for turn in later if turn.begun < there]
    print(f"activation {first}, {later}")
    assert [turn for turn in waited if turn.seconds > 10] == []
    return waited


MAKES_A_CYCLE = "[Unit]\nAfter=basic.target\nBefore=sockets.target\n"


@CONSUMERS
def test_units_are_sound_and_without_a_cycle(machines: Factory, kind: type[Consumer]) -> None:
    consumer = kind(machines)
    m = consumer.m
    verified = m.run(f"systemd-analyze verify --man=no {' '.join(UNITS)}")
    assert (verified.out, verified.err) == ("", "")
    # The control: it does complain.
    m.put("/etc/systemd/system/wrong.service", "[Service]\nExecStart=/usr/bin/false\nNone=1\n")
    assert "Unknown key" in m.run("systemd-analyze verify --man=no wrong.service", check=False).err
    m.run("rm /etc/systemd/system/wrong.service")
    for unit in UNITS:
        assert exposure(m, unit) <= 4.5

    cut_and_boot(m)
    consumer.assert_works()
    assert told_of_cycles(m) == ""
    # The control: there is one, and it is told in these words.
    m.put(f"/etc/systemd/system/{ACTIVATE}.d/cycle.conf", MAKES_A_CYCLE)
    cut_and_boot(m, wait=False)
    wait_for("cycle told", lambda: told_of_cycles(m), timeout=120)


def told_of_cycles(m: Machine) -> str:
    words = "ordering cycle|deleted to break"
    return m.run(f"journalctl -b -q --grep='{words}'", check=False).out


def test_docker_started_by_its_socket_finds_its_pool_and_outlives_dmguard(
    machines: Factory,
) -> None:
    m = Docker(machines).m
    cut_and_boot(m)
    assert_docker_works(m)

    m.run("systemctl stop docker.service && lvchange -q -an docker/thinpool")
    before = len(turns(m, ACTIVATE))
    assert m.run("docker ps -q", timeout=120).out == ""
    activation, docker = turns(m, ACTIVATE)[before], turns(m, "docker.service")[-1]
    assert not activation.failed
    assert activation.ended <= docker.begun
    assert_docker_works(m)
    assert errors(m) == []

    drop_in = f"[Unit]\nRequires={ACTIVATE}\n"
    m.put("/etc/systemd/system/docker.service.d/pool.conf", drop_in)
    m.run("systemctl daemon-reload && systemctl restart docker", timeout=120)
    assert ACTIVATE in m.run("systemctl show -P Requires docker").out
    pid = m.run("systemctl show -P MainPID docker").out
    m.run("dpkg -r dmguard", timeout=120)
    assert m.run("test ! -e /usr/bin/dmguard && systemctl is-active docker").out == "active\n"
    assert m.run("systemctl show -P MainPID docker").out == pid
    said = m.run("docker run --rm --network none busybox echo works", timeout=180).out
    assert said == "works\n"


# Debian has no iSulad: a stand-in, which fails without its pool as iSulad does.
ISULAD = """\
[Unit]
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/dmsetup info vg-pool ; /bin/echo $OPTIONS
"""
ISULAD_OPTIONS = """\
[Service]
Environment="OPTIONS=--storage-driver devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vg-pool"
"""


def test_isulad_whose_options_name_a_pool_finds_it_and_is_started_again(machines: Factory) -> None:
    """Its pool is in the drop-in of its unit alone."""
    # Of this boot's pools all that come are there.
    m = machines(disks=[256 * MIB], config='[activate]\ntimeout = "0"\n')
    make_vg(m, "vg", m.disks)
    make_pool(m, "vg", "pool", "64m")
    m.run("lvchange -q -an vg/pool")
    m.put("/etc/systemd/system/isulad.service", ISULAD)
    m.run("systemctl daemon-reload && ! systemctl start isulad", timeout=120)
    # Nobody was known to have the pool, and somebody had taken it down.
    assert turns(m, "isulad.service")[-1].failed

    m.put("/etc/systemd/system/isulad.service.d/pool.conf", ISULAD_OPTIONS)
    m.run("systemctl daemon-reload && systemctl start isulad", timeout=120)
    activation, isulad = turns(m, ACTIVATE)[-1], turns(m, "isulad.service")[-1]
    assert not activation.failed
    assert activation.ended <= isulad.begun

    m.run(f"systemctl stop isulad && lvchange -q -an vg/pool && systemctl mask {ACTIVATE}")
    m.run("! systemctl start isulad", timeout=120)
    m.run("lvchange -q -ay vg/pool")
    wait_for("isulad active", lambda: is_active(m, "isulad"), timeout=60)
    assert done(m, "start-unit")[-1]["DMGUARD_POOL"] == "vg/pool"
