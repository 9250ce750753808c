"""The two acts: the same disk, pool, containers and writers; only the guard differs."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.lab.lvmkit import docker_direct_lvm, vg_free

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.machine import Machine

MIB = 1 << 20
EXTENT = 4 * MIB
THRESHOLD = 70
STEP = 20
# Extents of 4 MiB. At each crossing dmeventd wants 20 % more: 100, 120, 144, 173, and then 35
# more of the 30 that are left. All of it together is less than what the writers have to write. The
# second 2 of metadata are LVM's spare, for a repair.
POOL, METADATA, SPARE, ROOM = 100, 2, 2, 20 + 24 + 29 + 30
STUCK = (POOL + ROOM - 30) * EXTENT
NEW_DISK = 1 << 30
DISK = (POOL + METADATA + SPARE + ROOM + 1) * EXTENT

WRITERS = 2
EACH = 440
PIECE = 5
PAUSE = "0.4"
HANG = 25.0

# Every piece is synced before the next; a failed write ends the container with 1.
WRITER = f"""i=0
while [ $i -lt {EACH // PIECE} ]; do
    dd if=/dev/urandom of=/data/file bs={PIECE}M count=1 seek=$i conv=notrunc,fsync 2>/tmp/err ||
        {{ cat /tmp/err; exit 1; }}
    i=$((i + 1)); echo written $i; sleep {PAUSE}
done"""

SAMPLER = """name=$1
while :; do
    count=$(cat /var/lib/docker/containers/*/*-json.log 2>/dev/null | grep -c written)
    echo "$EPOCHREALTIME $count $(dmsetup status --noflush "$name")"
    sleep 0.4
done >/root/samples"""

PROFILE = f"""activation {{
    thin_pool_autoextend_threshold={THRESHOLD}
    thin_pool_autoextend_percent={STEP}
}}
"""
SETTINGS = f"""[policy]
data_threshold = {THRESHOLD}
step = "{STEP}%"
# Sized for a disk of less than a GiB; the defaults are for larger ones.
min_step = "32MiB"
headroom = "2s"

[[claim]]
vg = "docker"
match = {{ path = "platform-*", max_size = "2GiB" }}
settle = "1s"
"""


@dataclass(frozen=True)
class Sample:
    """The pool as the kernel told it, from outside the guard; sizes in bytes, time in seconds."""

    at: float
    written: int
    used: int
    size: int
    mode: str


@dataclass(frozen=True)
class Event:
    """Something that happened; short is what fits into the picture."""

    at: float
    text: str
    short: str


@dataclass
class Act:
    """What one act left to be shown."""

    title: str
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    room: int = 0
    disks: list[tuple[float, int]] = field(default_factory=list)
    started: float = 0.0
    broken: list[str] = field(default_factory=list)

    def expect(self, claim: str, *, holds: bool) -> None:
        """Note a claim of the demo that did not come true."""
        if not holds:
            self.broken.append(f"{self.title}: {claim}")


def stage(m: Machine, title: str, say: Callable[[str], None]) -> Act:
    """Boot, and set Docker up on a thin pool as its manual says."""
    start = time.monotonic()
    disk = m.add_disk(DISK)
    m.boot()
    say(f"{title}: Debian 12 is up after {time.monotonic() - start:.0f} s")
    docker_direct_lvm(m, disk, data=str(POOL), metadata=str(METADATA), basesize="700M")
    act = Act(title, room=vg_free(m, "docker"))
    say(f"{title}: Docker runs on docker/thinpool after {time.monotonic() - start:.0f} s")
    act.expect(f"the VG has {act.room // MIB} MiB of room", holds=act.room == ROOM * EXTENT)
    return act


def raise_curtain(m: Machine, act: Act) -> list[str]:
    """Start the sampler and the writers; return the containers."""
    name = m.run("dmsetup ls --target thin-pool").out.split()[0]
    m.put("/root/sampler", SAMPLER)
    m.run("systemctl enable docker")
    m.run(f"nohup bash /root/sampler {name} >/dev/null 2>&1 &")
    m.wait_until("test $(wc -l </root/samples) -ge 2")
    one = f"docker run -d --network none busybox sh -c {shlex.quote(WRITER)}"
    act.started = read_sample(m.run("tail -n 1 /root/samples").out).at
    started = [m.start(one) for _ in range(WRITERS)]
    return [running.wait(90).out.strip() for running in started]


def read_sample(line: str) -> Sample:
    """Read a line of the sampler."""
    at, count, _, sectors, _, *status = line.split()
    used, total = (int(part) for part in status[2].split("/"))
    size = int(sectors) * 512
    mode = next(word for word in status if word in ("rw", "ro", "out_of_data_space"))
    return Sample(float(at), int(count) * PIECE * MIB, used * size // total, size, mode)


def watch(m: Machine, done: Callable[[Sample], bool], timeout: float) -> bool:
    """Wait for the sampler to see something."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if done(read_sample(m.run("tail -n 1 /root/samples").out)):
            return True
        time.sleep(1)
    return False


def collect(m: Machine, act: Act) -> None:
    """Read all samples, and note what they show: each growth, and the end of the space."""
    act.events.append(Event(act.started, "the containers start to write", "writers start"))
    lines = m.get("/root/samples").decode().splitlines()
    act.samples = [read_sample(line) for line in lines]
    size, mode = act.samples[0].size, act.samples[0].mode
    for sample in act.samples:
        if sample.size != size:
            words = f"from {size // MIB} to {sample.size // MIB} MiB"
            act.events.append(
                Event(sample.at, f"the pool has grown {words}", f"{sample.size // MIB} MiB")
            )
        if sample.mode != mode:
            words = "out of data space: writers hang" if sample.mode != "rw" else "writable again"
            act.events.append(Event(sample.at, f"the kernel: {words}", words.partition(":")[0]))
        size, mode = sample.size, sample.mode


def vg_free_at(act: Act, sample: Sample) -> int:
    """Return the room of the volume group; all that the pool gained came from there."""
    return room_at(act, sample.at) - (sample.size - act.samples[0].size)


def room_at(act: Act, at: float) -> int:
    """Return what the volume group had in all for the pool at a moment."""
    return act.room + sum(size for when, size in act.disks if when <= at)
