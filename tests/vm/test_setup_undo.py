"""A set-up whose last act fails, or must not be begun: Docker has all that it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vm.bootkit import assert_docker_works, is_active
from tests.vm.kit import LIB, MIB
from tests.vm.setupkit import DOCKER, set_up

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

ROOT = "/var/lib/docker"
ASIDE = f"{ROOT}.before-docker-thinpool"
LIVE = DOCKER.replace("{", '{"live-restore": true, ', 1)
# It starts on anything but a pool: as a Docker does that finds an option it does not know.
NO_POOL = """[Service]
ExecStartPre=sh -c '! grep -q thinpooldev /etc/docker/daemon.json'
Restart=no
"""


def test_a_docker_that_does_not_start_on_its_pool_gets_all_back(machines: Factory) -> None:
    m = machines(disks=[256 * MIB], dmguard=False)
    start_docker(m, DOCKER)
    m.run("docker run --name box --network none kept touch /here", timeout=120)
    before = content(m, ROOT)
    assert before
    m.put("/etc/systemd/system/docker.service.d/no-pool.conf", NO_POOL)
    m.run("systemctl daemon-reload")

    told = set_up(m, f"--move-data {m.disks[0].device}", status=1)

    assert "docker.service" in told
    assert m.run("cat /etc/docker/daemon.json").out == DOCKER
    assert is_active(m, "docker")
    assert m.run("docker images --format '{{.Repository}}'").out == "kept\n"
    assert m.run("docker ps -a --format '{{.Names}}'").out == "box\n"
    assert content(m, ROOT) == before
    m.run(f"test ! -e {ASIDE} && test ! -e {LIB}/intent.json")

    # The same words once it can start.
    m.run("rm -r /etc/systemd/system/docker.service.d && systemctl daemon-reload")
    set_up(m, f"--move-data {m.disks[0].device}")
    assert content(m, ASIDE) == before
    m.run("docker import /usr/share/lab/busybox.tar busybox", timeout=120)
    assert_docker_works(m)


def test_containers_that_outlive_docker_keep_their_data_where_it_is(machines: Factory) -> None:
    m = machines(disks=[256 * MIB], dmguard=False)
    start_docker(m, LIVE)
    m.run("docker run -d --name box --network none kept sleep 1000", timeout=120)
    words = f"--move-data {m.disks[0].device}"

    assert "data-not-movable" in set_up(m, words, status=4)

    assert m.run("vgs --noheadings").out == "", "nothing was begun"
    assert m.run("docker exec box echo lives").out == "lives\n"

    # Containers that stop with Docker stand in no way.
    m.put("/etc/docker/daemon.json", DOCKER)
    m.run("systemctl restart docker", timeout=120)
    set_up(m, words)
    m.run(f"test -d {ASIDE}/containers")


def start_docker(m: Machine, settings: str) -> None:
    m.put("/etc/docker/daemon.json", settings)
    m.run("systemctl start docker", timeout=120)
    m.run("docker import /usr/share/lab/busybox.tar kept", timeout=120)


def content(m: Machine, root: str) -> str:
    """What images and layers there are, and what is in them; not what each start writes anew."""
    find = "find image overlay2 -xdev -type f -exec sha256sum {} + | sort"
    return m.run(f"cd {root} && {find}").out
