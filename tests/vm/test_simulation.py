"""The simulation that the models stand on does what LVM and the kernel do, command by command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.model import Disk, Probe
from tests.lab.lvmkit import make_pool, make_vg, parse_status, raw_thin
from tests.unit.simkernel import SimPool, SimPv, SimVg
from tests.unit.simulated import START, Simulated, up
from tests.vm.kit import MIB, NO_DMEVENTD, wait_for

if TYPE_CHECKING:
    from tests.lab import machine as lab
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

    Sized = tuple[lab.Disk, int]

CHUNK = 64 << 10
GIB = 1 << 30
QUIET = "activation/monitoring=0 global/notify_dbus=0"
STEPS = 44


@dataclass
class Twin:
    """One VG with one pool, here and there."""

    machine: Machine
    host: Simulated
    vg: SimVg
    pool: SimPool
    device: str
    disks: list[str]
    written: int = 0

    @property
    def name(self) -> str:
        return f"{self.vg.name}/{self.pool.name}"

    def lvm(self, *words: str, threshold: int | None = None) -> None:
        """The same command to both, and the same answer: does LVM do it?"""
        mark = f" activation/thin_pool_autoextend_threshold={threshold}" if threshold else ""
        argv = (words[0], "--config", QUIET + mark, *words[1:])
        done = self.host.run(*argv)
        quoted = " ".join(f"'{word}'" for word in argv)
        result = self.machine.run(f"lvm {quoted} < /dev/null", check=False, timeout=60)
        assert (result.status == 0) is done, (argv, result.out, result.err)
        self.go_on()

    def go_on(self) -> None:
        kernel = self.pool.kernel
        while kernel is not None and kernel.held:
            self.host.go_on()

    def fill(self, chunks: int) -> None:
        """Chunk by chunk, until they are written or wait for space."""
        self.host.write(self.vg, self.pool, chunks)
        self.go_on()
        place = f"of={self.device} bs={CHUNK} seek={self.written} count={chunks}"
        self.machine.start(f"dd if=/dev/zero {place} oflag=direct conv=notrunc,nocreat")
        self.written += chunks

    def here(self) -> dict[str, Any]:
        kernel = self.pool.kernel
        assert kernel is not None
        return {
            "free": self.host.free(self.vg),
            "data": self.pool.size,
            "metadata": self.pool.metadata_size,
            "spare": self.vg.spare,
            "size": kernel.size,
            "total": kernel.total // CHUNK,
            "used": kernel.used // CHUNK,
            "mode": str(kernel.mode),
            "low_water": kernel.low_water,
            "metadata_total": kernel.metadata // 4096,
        }

    def there(self) -> dict[str, Any]:
        dm, vg = f"{self.vg.name}-{self.pool.name}", self.vg.name
        report = "--reportformat json --units b --nosuffix"
        lines = self.machine.run(
            f"lvs {report} -a -o lv_name,lv_size,vg_free {vg}; echo;"
            f" dmsetup status --noflush {dm}; dmsetup table {dm}"
        ).out
        text, _, rest = lines.rpartition("\n\n")
        status, table = (line.split() for line in rest.splitlines())
        rows = json.loads(text)["report"][0]["lv"]
        sizes = {row["lv_name"].strip("[]"): int(row["lv_size"]) for row in rows}
        kernel = parse_status(status, table)
        return {
            "free": int(rows[0]["vg_free"]),
            "data": sizes[self.pool.name],
            "metadata": sizes[f"{self.pool.name}_tmeta"],
            "spare": sizes.get("lvol0_pmspare"),
            "size": kernel["size_bytes"],
            "total": kernel["data_total"],
            "used": kernel["data_used"],
            "mode": kernel["mode"],
            "low_water": kernel["low_water"],
            "metadata_total": kernel["meta_total"],
        }

    def compare(self, what: str) -> None:
        """Whoever writes may need a moment more."""
        seen: list[dict[str, Any]] = []

        def agree() -> bool:
            seen.append(self.there())
            return seen[-1] == self.here()

        try:
            wait_for("both alike", agree, timeout=10)
        except AssertionError:
            assert seen[-1] == self.here(), what
            raise


def make_twin(m: Machine, name: str, disks: list[Sized], extent: int, pool: int) -> Twin:
    """A VG on the first of these disks, with a pool; the others are left. All sizes in bytes."""
    host, mine = Simulated(), [disk for disk, _ in disks]
    for number, (disk, size) in enumerate(disks):
        made = Disk(disk.name, (98, number), size, serial=disk.name, probe=Probe())
        host.disks[disk.device] = made
    first = next(iter(host.disks.values()))
    room = (first.size - START) // extent * extent
    vg = SimVg(name, f"uuid-{name}", extent, [SimPv("pv", first.name, room, room)])
    host.vgs.append(vg)
    made_pool = SimPool("pool", "lv", pool, up(2 * MIB, extent), CHUNK, 0, 0)
    vg.spare = made_pool.metadata_size
    made_pool.lies_on = set(host.allocate(vg, pool + 2 * vg.spare))
    vg.pools.append(made_pool)
    host.activate(vg, made_pool)

    make_vg(m, name, mine[:1], f"{extent}b")
    make_pool(m, name, "pool", f"{pool}b", metadata=f"{made_pool.metadata_size}b")
    device = raw_thin(m, name, "pool", f"{name}-thin", 8 * GIB, 0)
    return Twin(m, host, vg, made_pool, device, [disk.device for disk in mine[1:]])


def play(twin: Twin, rng: Random) -> str:
    """One step of a history, the same here and there; in words."""
    vg, pool, extent = twin.vg, twin.pool, twin.vg.extent
    free, threshold = twin.host.free(vg), rng.choice([None, 60, 75])
    match rng.choice(["fill", "fill", "fill", "data", "data", "metadata", "refresh", "disk", "lv"]):
        case "fill":
            chunks = rng.randint(1, min(500, pool.size // CHUNK // 2))
            twin.fill(chunks)
            return f"{chunks} chunks"
        case "data":
            # As large as it is, and more than there is, are both refused.
            more = rng.choice(
                [0, extent, 5 * extent, free // 2 // 512 * 512, free + extent, 7 * extent]
            )
            size = f"{pool.size + more}b"
            twin.lvm("lvextend", "--size", size, twin.name, threshold=threshold)
            return f"data to {size}, marked at {threshold}"
        case "metadata":
            size = f"{pool.metadata_size + rng.choice([0, 512, extent, 2 * extent, free])}b"
            twin.lvm("lvextend", "--poolmetadatasize", size, twin.name, threshold=threshold)
            return f"metadata to {size}, marked at {threshold}"
        case "refresh":
            twin.lvm("lvchange", "--refresh", twin.name, threshold=threshold)
            return f"refreshed, marked at {threshold}"
        case "disk":
            if twin.disks:
                node = twin.disks.pop()
                twin.lvm("vgextend", vg.name, node)
                return f"with {node}"
        case _:
            pass
    if vg.volumes:
        name = next(iter(vg.volumes))
        twin.lvm("lvremove", "--yes", f"{vg.name}/{name}")
        return f"without {name}"
    size = f"{rng.choice([extent, free // 3 // extent * extent, free])}b"
    options = ("--yes", "--zero", "n", "--wipesignatures", "n")
    twin.lvm("lvcreate", *options, "--size", size, "--name", "volume", vg.name)
    return f"with a volume of {size}"


@pytest.mark.parametrize("seed", [1, 11])
def test_a_random_history_goes_alike(machines: Factory, seed: int) -> None:
    """Of a small pool that runs full, and of one whose growth drags its metadata along."""
    sizes = [200 * MIB, 64 * MIB, 3 * GIB, 2 * GIB]
    m = machines(disks=sizes, append=NO_DMEVENTD, dmguard=False)
    disks = list(zip(m.disks, sizes, strict=True))
    # Whoever waits for space waits until there is some.
    m.run("modprobe dm_thin_pool && echo 0 > /sys/module/dm_thin_pool/parameters/no_space_timeout")
    small = make_twin(m, "small", disks[:2], 4 * MIB, 24 * MIB)
    large = make_twin(m, "large", disks[2:], MIB, 1900 * MIB)
    rng, told, modes, dragged = Random(seed), [], [], 0
    for number in range(STEPS):
        twin = (small, large)[number % 2]
        metadata = twin.pool.metadata_size
        told.append(f"{twin.vg.name}: {play(twin, rng)}")
        print(told[-1])
        twin.compare("; ".join(told))
        modes.append(str(small.here()["mode"]))
        dragged += ": data to " in told[-1] and twin.pool.metadata_size > metadata
    # What makes these histories worth it.
    assert "out_of_data_space" in modes
    assert "rw" in modes[modes.index("out_of_data_space") :]
    assert dragged
