"""Words of the tests about storms: crossings that are timed, and what a service takes meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.lvmkit import pool_status
from tests.vm.kit import history, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.machine import Machine

LARGEST_KIB = 64 << 10
PROMPT_S = 5.0
CGROUP = "/sys/fs/cgroup/system.slice/dmguard.service/cgroup.procs"

_ROOT = Path(__file__).parents[2]
_HOME = "/root/storms"
_BENCH = ("bench/__init__.py", *(f"bench/inside/{n}.py" for n in ("__init__", "pool", "storm")))

# Gives chunks to thin devices, past the cache and without much writing: FIRST COUNT CHUNK NAME...
# Says when it began with each.
_FILL = r"""
import json, mmap, os, sys, time
first, count, chunk, *names = sys.argv[1:]
block = mmap.mmap(-1, 4096)
files = {name: os.open(f"/dev/mapper/{name}", os.O_WRONLY | os.O_DIRECT) for name in names}
began = {}
for name, file in files.items():
    began[name] = time.time()
    for number in range(int(first), int(first) + int(count)):
        os.pwrite(file, block, number * int(chunk))
print(json.dumps(began))
"""

# One thin device in each of these pools, t-POOL: SECTORS POOL...
_THINS = r"""
import subprocess, sys
from tests.bench.inside.pool import Pool
sectors, *names = sys.argv[1:]
for name in names:
    Pool(name).message("create_thin 0")
tables = (f"t-{name},,,rw,0 {sectors} thin /dev/mapper/{name} 0" for name in names)
subprocess.run(["dmsetup", "create", "--concise", ";".join(tables)], check=True)
"""


def install(m: Machine, *more: str) -> None:
    """The programs that run in the machine. What wakes at its own hours is put to sleep."""
    for name in (*_BENCH, *more):
        m.put(f"{_HOME}/tests/{name}", (_ROOT / "tests" / name).read_text())
    m.put(f"{_HOME}/fill.py", _FILL)
    m.put(f"{_HOME}/thins.py", _THINS)
    m.run("systemctl stop '*.timer' cron.service", check=False)


def program(words: str) -> str:
    """The command that runs one of them."""
    return f"cd {_HOME} && python3 {words}"


def make_thins(m: Machine, pools: Sequence[str], sectors: int) -> None:
    m.run(program(f"thins.py {sectors} {' '.join(pools)}"), timeout=120)
    m.run("udevadm settle", timeout=120)


def fill(
    m: Machine, pools: Sequence[str], first: int, count: int, chunk: int = 64 << 10
) -> dict[str, float]:
    """Give so many chunks to the thin device of each; when it began with each."""
    thins = " ".join(f"t-{pool}" for pool in pools)
    began = json.loads(m.run(program(f"fill.py {first} {count} {chunk} {thins}"), timeout=120).out)
    return {name.removeprefix("t-"): at for name, at in began.items()}


class Filling:
    """One pool of LVM's with one thin device, filled over its mark again and again."""

    def __init__(self, m: Machine, vg: str, pool: str) -> None:
        self._m, self._vg, self._pool = m, vg, pool
        self._name, self._used = f"{vg}-{pool}", 0
        self._growths = 0

    def come_near(self) -> None:
        """To a few chunks below the mark."""
        status = pool_status(self._m, self._vg, self._pool)
        self._growths = len(self._grown())
        self._write(status["data_total"] * 75 // 100 - status["data_used"] - 8)

    def cross(self) -> float:
        """Over the mark; when that began."""
        return self._write(24)

    def reaction(self, since: float) -> float:
        """How long it took from then until it was grown, and that was said."""
        grown = wait_for("the pool grown", lambda: self._grown()[self._growths :], timeout=60)
        took: float = grown[0]["at"] - since
        return took

    def _write(self, count: int) -> float:
        began = fill(self._m, [self._name], self._used, count)
        self._used += count
        return began[self._name]

    def _grown(self) -> list[dict[str, float]]:
        acts = history(self._m, "extend-data")
        own = f"{self._vg}/{self._pool}"
        return [act for act in acts if act["pool"] == own and act["result"] == "done"]


def peaks(m: Machine) -> dict[str, int]:
    """The most that each process of the service has had in memory so far, in KiB."""
    lines = m.run(
        f"for p in $(cat {CGROUP}); do echo $(cat /proc/$p/comm"
        " && grep ^VmHWM /proc/$p/status); done",
        check=False,
    ).out.splitlines()
    return {words[0]: int(words[2]) for words in map(str.split, lines) if len(words) > 2}


def assert_small(m: Machine) -> None:
    """The agent, and the LVM that it keeps ready."""
    found = peaks(m)
    print(found)
    assert found["dmguard"] < LARGEST_KIB
    assert max(found.values()) < LARGEST_KIB


def assert_nothing_failed(m: Machine) -> None:
    assert m.run("systemctl --failed --plain --no-legend").out == ""
