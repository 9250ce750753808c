"""Pools are up before those who use them, boot after boot, whatever LVM does by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import containerd_devmapper, docker_direct_lvm
from tests.vm.bootkit import (
    ACTIVATE,
    WITHOUT,
    assert_docker_works,
    boot_without,
    cut_and_boot,
    entered,
    errors,
    is_active,
    plug_at,
    switch_autoactivation_off,
    turns,
)
from tests.vm.kit import entries, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory


def make_docker_host(machines: Factory, **words: str) -> Machine:
    """Docker on a thin pool as its manual has it, started at boot."""
    m = machines(disks=[2 << 30], **words)  # type: ignore[arg-type]
    docker_direct_lvm(m, m.disks[0])
    m.run("systemctl enable docker")
    return m


def test_docker_finds_its_pool_in_five_plain_boots(machines: Factory) -> None:
    """The same machine without dmguard starts Docker before its pool is there."""
    m = make_docker_host(machines)
    for _ in range(5):
        cut_and_boot(m)
        wait_for("docker active", lambda: is_active(m, "docker"), timeout=120)
        (first,) = turns(m, "docker.service")
        (activation,) = turns(m, ACTIVATE)
        assert not activation.failed
        assert activation.ended <= first.begun
        print(f"activation {activation}, docker {first}")
        assert_docker_works(m)
        assert errors(m) == []

    failed = False
    for _ in range(3):
        cut_and_boot(m, WITHOUT)
        wait_for("docker's first start", lambda: turns(m, "docker.service"), timeout=120)
        failed = failed or bool(errors(m))
        if failed:
            break
    assert failed
    assert turns(m, ACTIVATE) == []


EARLY_COMPONENT = """
[Unit]
DefaultDependencies=no
After=systemd-udevd.service dev-ubdb.device
BindsTo=dev-ubdb.device
Before=dmguard-activate.service

[Service]
Type=oneshot
ExecStart=/usr/sbin/lvchange -y -ay docker/thinpool_tmeta

[Install]
WantedBy=dmguard-activate.service
"""


def test_docker_finds_a_pool_that_nothing_else_would_bring_up(machines: Factory) -> None:
    """Autoactivation off; then the skip flag, a component left active, a disk 20 s late."""
    m = make_docker_host(machines)
    switch_autoactivation_off(m)

    # The control: without dmguard Docker tries in vain, and the pool stays down.
    cut_and_boot(m, WITHOUT)
    m.wait_until("systemctl is-failed docker", 120)
    assert len(turns(m, "docker.service")) > 1
    assert errors(m)
    assert m.run("dmsetup info docker-thinpool", check=False).status != 0

    cut_and_boot(m)
    assert_docker_works(m)
    assert errors(m) == []

    m.run(
        "systemctl stop docker && lvchange -q -an docker/thinpool && lvchange -ky docker/thinpool"
    )
    assert m.run("lvchange -ay docker/thinpool && ! test -e /dev/mapper/docker-thinpool").err == ""
    cut_and_boot(m)
    assert_docker_works(m)
    assert errors(m) == []
    (told,) = entries(m, "activate")
    assert (told["DMGUARD_RESULT"], told["DMGUARD_TRIGGER"]) == ("done", "start")

    m.run("lvchange -kn docker/thinpool")
    boot_with_an_active_component(m)
    boot_with_a_late_disk(m)


def boot_with_an_active_component(m: Machine) -> None:
    m.put("/etc/systemd/system/early.service", EARLY_COMPONENT)
    m.run("systemctl enable early")
    cut_and_boot(m)
    assert_docker_works(m)
    assert errors(m) == []
    (early,) = turns(m, "early.service")
    (activation,) = turns(m, ACTIVATE)
    assert not early.failed
    assert early.ended <= activation.begun
    assert m.run("dmsetup info docker-thinpool_tmeta").status == 0
    m.run("systemctl disable early")


def boot_with_a_late_disk(m: Machine) -> None:
    disk = m.disks[0]
    begun = boot_without(m, disk)
    there = plug_at(m, disk, begun + 20)
    assert_docker_works(m)
    assert errors(m) == []
    (activation,) = turns(m, ACTIVATE)
    assert not activation.failed
    assert activation.seconds > 20
    print(f"disk there at {there:.1f} s, {activation}")
    assert activation.ended - there < 15


TIMEOUT_S, LATE_S = 60, 100
"""How long the activation waits by default, and when the disk comes, after it has begun."""


@pytest.mark.parametrize("autoactivation", [True, False])
def test_docker_is_held_up_once_and_started_when_its_disk_comes_after_all(
    machines: Factory, *, autoactivation: bool
) -> None:
    m = make_docker_host(machines)
    if not autoactivation:
        switch_autoactivation_off(m)
    disk = m.disks[0]

    begun = boot_without(m, disk)
    m.wait_until("systemctl is-failed docker", 120)
    there = plug_at(m, disk, begun + LATE_S)

    wait_for("docker active", lambda: is_active(m, "docker"), timeout=60)
    first, *later = turns(m, ACTIVATE)
    assert first.failed
    # Its own start takes a second or two here; LVM is asked once more at the end.
    assert TIMEOUT_S - 1 < first.seconds < TIMEOUT_S + 15
    dockers = turns(m, "docker.service")
    assert dockers[0].failed
    assert first.ended <= dockers[0].begun
    tried = [turn for turn in dockers if turn.begun < there]
    waited = [turn for turn in later if turn.begun < there]
    print(
        f"begun {begun:.1f}, disk there {there:.1f}, docker {dockers}, activation {first} {later}"
    )
    assert len(tried) > 1
    # Once more for the start that systemd's rate limit then refused.
    assert len(tried) - 1 <= len(waited) <= len(tried)
    assert [turn for turn in waited if turn.seconds > 10] == []

    assert dockers[-1].begun > there
    assert entered(m, "docker") - there < 15
    (start,) = entries(m, "start-unit")
    assert (start["DMGUARD_RESULT"], start["DMGUARD_POOL"]) == ("done", "docker/thinpool")
    brought_up = [e for e in entries(m, "activate") if e["DMGUARD_RESULT"] == "done"]
    # LVM itself is as quick as the agent, if it is let.
    assert autoactivation or len(brought_up) == 1
    assert_docker_works(m)


def plugin(m: Machine) -> str:
    """What containerd says of its devmapper plugin."""
    lines = m.run("ctr plugins ls").out.splitlines()
    (line,) = [line for line in lines if "devmapper" in line]
    return line.split()[-1]


def test_containerd_loads_its_plugin_and_is_restarted_when_it_could_not(
    machines: Factory,
) -> None:
    """containerd tries once: without dmguard its plugin stays in error, though its pool is up."""
    m = machines("trixie", disks=[1 << 30])
    disk = m.disks[0]
    containerd_devmapper(m, disk)
    m.run("systemctl enable containerd")

    cut_and_boot(m)
    assert plugin(m) == "ok"
    switch_autoactivation_off(m)
    cut_and_boot(m)
    assert plugin(m) == "ok"
    (first,) = turns(m, "containerd.service")
    (activation,) = turns(m, ACTIVATE)
    assert not activation.failed
    assert activation.ended <= first.begun
    assert entries(m, "start-unit") == []

    cut_and_boot(m, WITHOUT)
    assert plugin(m) == "error"
    m.run("lvchange -q -ay docker/thinpool && udevadm settle && dmsetup info docker-thinpool")
    assert plugin(m) == "error"

    begun = boot_without(m, disk)
    wait_for("containerd active", lambda: is_active(m, "containerd"), timeout=120)
    assert plugin(m) == "error"
    there = plug_at(m, disk, begun + LATE_S)
    wait_for("restarted", lambda: entered(m, "containerd") > there, timeout=60)
    assert entered(m, "containerd") - there < 15
    assert plugin(m) == "ok"
    (restart,) = entries(m, "start-unit")
    assert restart["DMGUARD_RESULT"] == "done"
    print(f"disk there {there:.1f}, containerd {turns(m, 'containerd.service')}")


def test_units_order_docker_behind_its_pool_and_let_it_live(machines: Factory) -> None:
    """No complaint of systemd; a start by the socket; Docker outlives the package."""
    m = make_docker_host(machines)
    units = f"dmguard.service {ACTIVATE}"
    verified = m.run(f"systemd-analyze verify --man=no {units}")
    assert (verified.out, verified.err) == ("", "")
    # The control: it does complain.
    m.put("/etc/systemd/system/wrong.service", "[Service]\nExecStart=/usr/bin/false\nNone=1\n")
    assert "Unknown key" in m.run("systemd-analyze verify --man=no wrong.service", check=False).err
    m.run("rm /etc/systemd/system/wrong.service")

    cut_and_boot(m)
    assert m.run("journalctl -b --grep='Starting.*docker' -q").out
    assert m.run("journalctl -b --grep='ordering cycle|deleted to break' -q", check=False).out == ""
    assert_docker_works(m)

    m.run("systemctl stop docker.service && lvchange -q -an docker/thinpool")
    before = len(turns(m, ACTIVATE))
    assert m.run("docker ps -q", timeout=120).out == ""
    activation, docker = turns(m, ACTIVATE)[before:], turns(m, "docker.service")[-1]
    assert [turn.failed for turn in activation] == [False]
    assert activation[0].ended <= docker.begun
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
