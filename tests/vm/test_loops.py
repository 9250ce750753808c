"""Docker on its own loop devices: shown, grown while containers write, and never left suspended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dmguard.core.actions import GrowLoop
from dmguard.core.model import Resource
from dmguard.loop.intent import boundaries
from tests.vm.bootkit import cut_and_boot, is_active
from tests.vm.boundaries import stops
from tests.vm.kit import LIB, MIB, config, history, wait_for
from tests.vm.loopkit import STEPS, LoopDocker, stopped_at
from tests.vm.manual import procedures
from tests.vm.mortal import kill, let_go

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory


@procedures("P17", "P18", "P19", "P20", "P21", "P22", "P23", "P24")
def test_a_pool_on_loop_devices_is_grown_under_a_writer(machines: Factory) -> None:
    """The manual's two ways, Docker's device_tool and seven commands by hand, as one command."""
    m = machines()
    docker = LoopDocker(m)
    before = docker.seen()
    names_the_files_that_docker_names(m, docker)
    prints_truncate_losetup_reload_and_resume(m, docker)
    refused(docker, "100MiB", "loop-shrink")
    refused(docker, "500GiB", "loop-no-space")
    refused(docker, "--metadata 500GiB", "metadata-ceiling")
    assert docker.seen() == before
    grows_as_device_tool_does(m, docker)
    grows_metadata_as_nothing_else_does(m, docker)
    stays_so_when_docker_starts_again(m, docker)


def names_the_files_that_docker_names(m: Machine, docker: LoopDocker) -> None:
    """docker info | grep 'loop file', and the sizes of losetup and dmsetup status."""
    shown = docker.status()
    info = m.run("docker info").out
    assert f"Data loop file: {shown['data']['file']}" in info
    assert f"Metadata loop file: {shown['metadata']['file']}" in info
    assert (shown["docker"], shown["mode"], shown["suspended"]) == (True, "rw", False)
    assert shown["data"]["size"] == shown["data"]["device_size"] == 200 * MIB
    assert shown["metadata"]["size"] == 16 * MIB


def prints_truncate_losetup_reload_and_resume(m: Machine, docker: LoopDocker) -> None:
    """With the live table's devices, block size and options, and the length in sectors."""
    out = m.run("dmguard loop resize -n --json +100MiB").out
    (action,) = json.loads(out)["planned"]
    table = m.run(f"dmsetup table {docker.pool}").out.strip().replace(" 409600 ", " 614400 ")
    assert action["commands"] == [
        f"truncate --size {300 * MIB} {docker.data}",
        f"losetup --set-capacity {docker.loop(docker.data)}",
        f"dmsetup load {docker.pool} --table '{table}'",
        f"dmsetup resume --noflush --nolockfs {docker.pool}",
    ]


def grows_as_device_tool_does(m: Machine, docker: LoopDocker) -> None:
    """Though the pool is full, and its writers wait."""
    before = docker.seen()
    filling = m.start(f"dd if=/dev/urandom of={docker.inside}/big bs=1M count=195 conv=fsync")
    wait_for("a full pool", lambda: docker.status()["mode"] == "out_of_data_space", timeout=60)
    assert docker.resize("+100MiB").status == 0
    result = filling.wait(60)
    assert result.status == 0, result.err
    assert docker.status()["mode"] == "rw"
    docker.assert_alive()
    after = docker.seen()
    assert after.table == before.table.replace(" 409600 ", " 614400 ")
    assert (after.data_file, after.data_device) == (300 * MIB, 300 * MIB)
    assert "Data Space Total: 314.6MB" in m.run("docker info").out


def grows_metadata_as_nothing_else_does(m: Machine, docker: LoopDocker) -> None:
    assert docker.resize("400MiB --metadata 32MiB").status == 0
    docker.assert_alive()
    assert (docker.size(), docker.metadata_size()) == (400 * MIB, 32 * MIB)
    done = [entry for entry in history(m, "grow-loop") if entry["code"] == "loop-grown"]
    assert [(e["pool"], e["numbers"]["target"] // MIB) for e in done] == [
        (docker.pool, 300),
        (docker.pool, 32),
        (docker.pool, 400),
    ]
    assert docker.resize("400MiB").status == 0  # it is so large already


def stays_so_when_docker_starts_again(m: Machine, docker: LoopDocker) -> None:
    """Docker makes the pool anew at each start, as large as its files are."""
    m.run("systemctl restart docker && docker start writer", timeout=120)
    docker.inside = docker.enter()
    assert (docker.size(), docker.metadata_size()) == (400 * MIB, 32 * MIB)
    docker.assert_alive()


def refused(docker: LoopDocker, words: str, code: str) -> None:
    result = docker.resize(words)
    assert (result.status, code in result.err) == (4, True), result


def test_a_failure_or_a_death_on_the_way_leaves_the_pool_live(machines: Factory) -> None:
    m = machines(config=config(guard='resync = "1h"'))
    docker = LoopDocker(m)
    for number in (2, 3):
        failed_resume(m, docker, number)
    sample = GrowLoop("", Resource.DATA, 0, 0, "", (0, 0), 0, 0, "", 0, "", None, 0, reason="asked")
    names = boundaries(sample)
    assert list(names) == list(stops(STEPS))
    for name in names:
        killed_at(m, docker, name)
    cut_at(m, docker, "ran-2")


def failed_resume(m: Machine, docker: LoopDocker, ran: int) -> None:
    """Behind the command's back the file is cut again: the kernel really refuses to swap the
    tables, and leaves the pool suspended.
    """
    before = docker.seen()
    running, pid = stopped_at(m, f"ran-{ran}", "+40MiB")
    m.run(f"truncate -s {before.data_file} {docker.data}")
    m.run(f"losetup -c {docker.loop(docker.data)}")
    let_go(m, pid)
    result = running.wait(60)
    assert result.status == 1, result
    assert "too small for target" in m.run("dmesg | tail -5").out
    docker.assert_alive()
    assert docker.state() == "Active:Live"
    assert docker.seen() == before
    assert history(m, "grow-loop")[-1]["result"] == "failed"


def killed_at(m: Machine, docker: LoopDocker, name: str) -> None:
    """SIGKILL at one boundary: the pool is live, and the next run settles the act."""
    before, told = docker.size(), len(history(m, "grow-loop"))
    running, pid = stopped_at(m, name, "+4MiB")
    kill(m, pid)
    assert running.wait(60).status != 0, name
    docker.assert_alive()
    m.run("systemctl reload dmguard")
    m.wait_until(f"test ! -e {LIB}/intent.json")
    assert docker.state() == "Active:Live", name
    after = docker.seen()
    assert docker.size() == before + 4 * MIB, name
    assert after.data_file == after.data_device == docker.size(), name
    acts = history(m, "grow-loop")[told:]
    assert [act["result"] for act in acts] == ["done"], name


def cut_at(m: Machine, docker: LoopDocker, name: str) -> None:
    """The power fails: Docker makes its pool anew, as large as the file had become."""
    size = docker.size()
    m.run("systemctl enable docker.service")
    stopped_at(m, name, "+4MiB")
    cut_and_boot(m)
    wait_for("docker active", lambda: is_active(m, "docker.service"), timeout=120)
    m.run("docker start writer", timeout=60)
    docker.inside = docker.enter()
    docker.assert_alive()
    assert docker.size() == docker.seen().data_file == size + 4 * MIB
    m.wait_until(f"test ! -e {LIB}/intent.json")


def test_a_small_file_system_and_a_ceiling_end_the_growth(machines: Factory) -> None:
    m = machines()
    m.run(
        "truncate -s 400M /srv.img && mkfs.ext4 -q -m 0 /srv.img && mkdir /srv/docker"
        " && mount -o loop /srv.img /srv/docker"
    )
    docker = LoopDocker(m, "/srv/docker")
    before = docker.seen()
    refused(docker, "+390MiB", "loop-no-space")
    assert docker.seen() == before
    docker.assert_alive()
    filled_behind_the_decision(m, docker)

    ceiling = '[pool."loop:docker"]\nmax_size = "288MiB"\n'
    m.put("/etc/dmguard/dmguard.toml", config(guard='resync = "2s"', more=ceiling))
    m.run("systemctl reload dmguard")
    fill(m, docker, 77)
    wait_for("grown by the step", lambda: docker.size() == 240 * MIB)
    fill(m, docker, 77)
    wait_for("grown to the ceiling", lambda: docker.size() == 288 * MIB)
    docker.assert_alive()
    fill(m, docker, 77)
    wait_for("the ceiling told", lambda: told(m, "pool-ceiling"))

    # The file system is filled by somebody else, up to less than the pool's last stretch.
    m.put("/etc/dmguard/dmguard.toml", config(guard='resync = "2s"'))
    m.run("systemctl reload dmguard")
    leave(m, 20 * MIB)
    wait_for("the file system told", lambda: told(m, "loop-no-space"))
    assert docker.size() == 288 * MIB
    docker.assert_alive()


def filled_behind_the_decision(m: Machine, docker: LoopDocker) -> None:
    """What was free when it was decided is another's when the file is to be made larger."""
    before = docker.seen()
    running, pid = stopped_at(m, "intended", "+16MiB")
    leave(m, 10 * MIB)
    let_go(m, pid)
    result = running.wait(60)
    assert (result.status, "bytes more, and" in result.out) == (4, True), result
    docker.assert_alive()
    assert docker.state() == "Active:Live"
    assert docker.seen() == before
    assert history(m, "grow-loop")[-1]["code"] == "loop-no-space"
    m.run("rm /srv/docker/other")


def leave(m: Machine, free: int) -> None:
    """Fill the file system until so much of it is free."""
    m.run(f"fallocate -l $(($(stat -f -c '%a*%S' /srv/docker) - {free})) /srv/docker/other")


def told(m: Machine, code: str) -> bool:
    return any(entry["reason"] == code for entry in history(m))


def fill(m: Machine, docker: LoopDocker, percent: int) -> None:
    """Write in the container until so much of the pool is in use."""
    shown = docker.status()["data"]
    missing = shown["size"] * percent // 100 - shown["used"]
    m.run(
        f"dd if=/dev/urandom of={docker.inside}/big-{shown['used']} bs=1M"
        f" count={-(-missing // MIB)} conv=fsync",
        timeout=120,
    )
