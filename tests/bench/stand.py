"""What it is measured on: one pool, made anew for each guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.guards import POOL, VG, stop_all
from tests.lab.lvmkit import make_pool, make_vg, raw_thin

if TYPE_CHECKING:
    from tests.lab.machine import Disk
    from tests.lab.stand import Stand

# By the shell: on this very host a bench's home is its scratch directory.
PROGRAMS = "~/bench"
_SEEN = "~/watch"
MIB = 1 << 20
REST_S = 40
"""How long a pool lies near its mark first: longer than dmguard's timer, which sees that."""


def install(m: Stand) -> None:
    """The programs that run beside the guards. What wakes at its own hours is put to sleep."""
    here = Path(__file__).parent
    for file in (here.parent / "__init__.py", here / "__init__.py", *here.glob("inside/*.py")):
        path = f"{PROGRAMS}/{file.relative_to(here.parent.parent)}"
        m.run(f"mkdir -p {path.rpartition('/')[0]} && cat > {path}", stdin=file.read_text())
    m.run("systemctl stop '*.timer' cron.service", check=False)
    stop_all(m)


def inside(program: str, *words: object) -> str:
    """The command that runs one of them."""
    return f"cd {PROGRAMS} && python3 -m tests.bench.inside.{program} {' '.join(map(str, words))}"


def make_stage(
    m: Stand,
    disks: list[Disk],
    size: int,
    thin: int,
    *,
    metadata: str = "8m",
    chunk: str = "512k",
) -> str:
    """A new pool with one thin device, both in bytes; the device's path. Chunks are Docker's."""
    make_vg(m, VG, disks)
    make_pool(m, VG, POOL, f"{size}b", metadata=metadata, chunk=chunk)
    return raw_thin(m, VG, POOL, "thin", thin, 0)


class Watch:
    """What happens to the pool from now on, written down beside it."""

    def __init__(self, m: Stand) -> None:
        self._m = m
        m.run(f"rm -f {_SEEN}")
        self._watcher = m.start(f"({inside('watch', pool_device())}) > {_SEEN} 2> {_SEEN}.err")
        m.wait_until(f"test -s {_SEEN}")

    def read(self) -> list[dict[str, Any]]:
        """Each change so far; the last is how it is."""
        return [json.loads(line) for line in self._m.run(f"cat {_SEEN}").out.splitlines()]

    def stop(self) -> None:
        """Watch no longer; what was seen can still be read."""
        self._watcher.kill()
        self._watcher.wait()


def fail_writers_after(m: Stand, seconds: int) -> None:
    """How long a pool without space holds its writers up; the kernel's own is a minute."""
    file = "/sys/module/dm_thin_pool/parameters/no_space_timeout"
    m.run(f"modprobe dm_thin_pool && echo {seconds} > {file}")


def clear_stage(m: Stand) -> None:
    """As it was before."""
    stop_all(m)
    m.run(f"dmsetup remove --retry thin; vgremove -q -ff -y {VG}", check=False, timeout=120)
    assert VG not in m.run("vgs --noheadings -o vg_name").out


def pool_device() -> str:
    """The name of the live pool in the device-mapper: no volume of LVM's lies in it."""
    return f"{VG}-{POOL}"
