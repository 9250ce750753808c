"""The three acts of the agent, each caused at will, for tests in which it dies in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tests.lab.lvmkit import lv_size, make_pool, make_vg, pool_status, raw_thin
from tests.vm.kit import (
    MIB,
    assert_reads_back,
    grown,
    history,
    make_full_metadata,
    size_of,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine

INTENT = "/var/lib/dmguard/intent.json"
EXTENT = 4 * MIB


class Mortal(Protocol):
    """One kind of act on one machine."""

    def __init__(self, m: Machine) -> None: ...

    def cause(self) -> None:
        """Make the act necessary, and the agent look."""

    def revive(self) -> None:
        """After a boot: bring up what the act is about."""

    def assert_converged(self) -> None:
        """The act is done once, told once, and nothing is left behind."""

    def assert_intact(self) -> None:
        """What was written is there."""


def settled(m: Machine, action: str, pool: str) -> int:
    """How many acts on a pool history calls done, once no intent is left."""
    m.wait_until(f"test ! -e {INTENT}")
    acts = [e for e in history(m, action) if e["result"] == "done" and e["pool"] == pool]
    assert len({act["id"] for act in acts}) == len(acts)
    return len(acts)


class Data:
    """extend-data: a writer crosses the threshold, each time of a larger pool."""

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.size, self.written, self.acts = 100 * MIB, 0, 0
        make_vg(m, "docker", m.disks)
        make_pool(m, "docker", "thinpool", "100m")
        self.device = raw_thin(m, "docker", "thinpool", "t0", 1500 * MIB, 0)
        wait_for_mark(m, "docker", "thinpool")
        wait_for("the mark told", lambda: settled(m, "refresh", "docker/thinpool"))

    def cause(self) -> None:
        upto = self.size * 76 // 100 // MIB + 1
        write(self.m, self.device, self.written, upto - self.written)
        self.written = upto
        self.size = grown(self.size, EXTENT)
        self.acts += 1

    def revive(self) -> None:
        self.m.run("lvchange -q -ay docker/thinpool")
        table = f"0 {1500 * MIB // 512} thin /dev/mapper/docker-thinpool 0"
        self.m.run(f"dmsetup create t0 --table '{table}' && udevadm settle")

    def assert_converged(self) -> None:
        m = self.m
        wait_for("grown", lambda: size_of(m, "docker", "thinpool") >= self.size)
        wait_for("told", lambda: settled(m, "extend-data", "docker/thinpool") >= self.acts)
        assert size_of(m, "docker", "thinpool") == self.size
        assert settled(m, "extend-data", "docker/thinpool") == self.acts
        wait_for_mark(m, "docker", "thinpool")

    def assert_intact(self) -> None:
        assert_reads_back(self.m, self.device, 0, self.written)
        self.m.run("dmsetup remove t0 && lvchange -q -an docker/thinpool")
        self.m.run("lvchange -q -ay docker/thinpool")  # runs thin_check
        assert pool_status(self.m, "docker", "thinpool")["mode"] == "rw"


class Metadata:
    """extend-metadata: pools with full metadata are activated, one after the other."""

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.number = 0
        make_vg(m, "vg", m.disks, extent="512k")
        for number in range(1, 6):
            make_full_metadata(m, "vg", f"pool{number}", data="20m", chunks=320)

    @property
    def pool(self) -> str:
        return f"pool{self.number}"

    def cause(self) -> None:
        self.number += 1
        self.m.run(f"lvchange -q -ay vg/{self.pool}")

    def revive(self) -> None:
        self.m.run(f"lvchange -q -ay vg/{self.pool}")

    def assert_converged(self) -> None:
        m, pool = self.m, self.pool
        wait_for("told", lambda: settled(m, "extend-metadata", f"vg/{pool}"))
        assert settled(m, "extend-metadata", f"vg/{pool}") == 1
        # 81 % of 2 MiB is below 70 % again with 2.5 MiB: one growth, and no second one.
        assert lv_size(m, "vg", f"{pool}_tmeta") == 5 * MIB // 2
        status = pool_status(m, "vg", pool)
        assert status["meta_total"] * 4096 == 5 * MIB // 2
        assert status["mode"] == "rw"

    def assert_intact(self) -> None:
        self.m.run(f"lvchange -q -an vg/{self.pool} && lvchange -q -ay vg/{self.pool}")
        assert pool_status(self.m, "vg", self.pool)["mode"] == "rw"


class Refresh(Data):
    """refresh: a plain LVM command takes the low water mark away; the timer sees it."""

    def cause(self) -> None:
        self.m.run("lvchange -q --refresh docker/thinpool")

    def assert_converged(self) -> None:
        m = self.m
        wait_for_mark(m, "docker", "thinpool")
        wait_for("told", lambda: settled(m, "refresh", "docker/thinpool") > self.acts + 1)
        self.acts = settled(m, "refresh", "docker/thinpool") - 1
        assert size_of(m, "docker", "thinpool") == 100 * MIB
