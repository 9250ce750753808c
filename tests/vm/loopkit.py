"""Words of the tests about pools on loop devices: their parts, and whether their writers go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.lvmkit import docker_loop_lvm
from tests.vm.boundaries import stops
from tests.vm.kit import MIB, wait_for
from tests.vm.mortal import run_until

if TYPE_CHECKING:
    from tests.lab.channel import Result, Running
    from tests.lab.machine import Machine

STEPS = 4

# Each file of the container has its own content; what it counts was synced.
_WRITER = (
    "i=0; while true; do i=$((i+1)); echo $i $i $i > /data-$((i % 50)); sync; echo $i > /count;"
    " sleep 0.1; done"
)


@dataclass(frozen=True)
class Seen:
    """What is to be the same after a refusal or a failure: sizes in bytes, the live table."""

    table: str
    data_file: int
    metadata_file: int
    data_device: int
    metadata_device: int


class LoopDocker:
    """Docker on its own loop devices, and a container that writes all the time."""

    def __init__(self, m: Machine, root: str = "/var/lib/docker") -> None:
        self.m = m
        self.pool = docker_loop_lvm(m, root)
        folder = f"{root}/devicemapper/devicemapper"
        self.data, self.metadata = f"{folder}/data", f"{folder}/metadata"
        m.run(f"docker run -d --name writer --network none busybox sh -c '{_WRITER}'", timeout=60)
        self.inside = self.enter()

    def enter(self) -> str:
        """The root of the container's file system."""
        pid = self.m.run("docker inspect -f '{{.State.Pid}}' writer", timeout=60).out.strip()
        return f"/proc/{pid}/root"

    def seen(self) -> Seen:
        m = self.m
        sizes = m.run(f"stat -c %s {self.data} {self.metadata}").out.split()
        nodes = [self.loop(self.data), self.loop(self.metadata)]
        shown = m.run(f"blockdev --getsize64 {' '.join(nodes)}").out.split()
        table = m.run(f"dmsetup table {self.pool}").out.strip()
        return Seen(table, *(int(size) for size in (*sizes, *shown)))

    def loop(self, file: str) -> str:
        return self.m.run(f"losetup -n -O NAME -j {file}").out.strip()

    def size(self) -> int:
        """The kernel's size of the pool."""
        return int(self.m.run(f"dmsetup table {self.pool}").out.split()[1]) * 512

    def metadata_size(self) -> int:
        used = self.m.run(f"dmsetup status --noflush {self.pool}").out.split()[4]
        return int(used.partition("/")[2]) * 4096

    def assert_alive(self) -> None:
        """The pool is not suspended, and the container goes on."""
        assert self.state().startswith("Active:"), self.state()
        before = self.count()
        wait_for("the container to write on", lambda: self.count() > before, timeout=30)

    def state(self) -> str:
        """Is it suspended, and is another table loaded beside the live one?"""
        words = f"dmsetup info -c --noheadings -o suspended,tables_loaded {self.pool}"
        return self.m.run(words).out.strip()

    def count(self) -> int:
        # Through /proc: a process in the container takes seconds to start.
        return int(self.m.run(f"cat {self.inside}/count", check=False).out or 0)

    def resize(self, words: str) -> Result:
        return self.m.run(f"dmguard loop resize {words}", timeout=120, check=False)

    def status(self) -> dict[str, Any]:
        values = json.loads(self.m.run("dmguard loop status --json").out)
        (pool,) = values["pools"]
        assert isinstance(pool, dict)
        return pool


def mib(count: int) -> int:
    return count * MIB


def stopped_at(m: Machine, name: str, words: str) -> tuple[Running, str]:
    """Run a resize that stops at this boundary; return it with its pid."""
    return run_until(m, f"dmguard loop resize {words}", stops(STEPS)[name])
