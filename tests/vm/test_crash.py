"""The agent and the machine die at every point of an act; the next start puts it right."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dmguard.core.actions import Extend
from dmguard.core.model import Resource
from dmguard.loop.execute import boundaries
from tests.lab.lvmkit import make_pool, make_vg, pool_status, raw_thin
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    assert_reads_back,
    config,
    grown,
    history,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

EXTENT = 4 * MIB
LIB = "/var/lib/dmguard"
SEED = 20261124
ACT = Extend("docker", "thinpool", "", Resource.DATA, 0, 0, None, 0, 75, "above-threshold")


@dataclass(frozen=True)
class Stop:
    """The system call behind which the agent is stopped, seen from the outside by strace."""

    call: str
    path: str
    nth: int


# The intent is renamed into place before the first step and after each, the history is synced,
# the intent is removed. A SIGSTOP that strace injects takes effect when the call is done.
STOPS = {
    "intended": Stop("rename", f"{LIB}/.intent.json.PID", 1),
    "step-1": Stop("openat", f"{LIB}/.intent.json.PID", 2),
    "ran-1": Stop("rename", f"{LIB}/.intent.json.PID", 2),
    "recorded": Stop("fdatasync", f"{LIB}/history.jsonl", 1),
    "cleared": Stop("unlink", f"{LIB}/intent.json", 1),
}


def main_pid(m: Machine) -> str:
    return m.run("systemctl show -P MainPID dmguard").out.strip()


def stop_at(m: Machine, stop: Stop) -> str:
    """Attach strace to the agent so that it stops there once; returns the agent's pid."""
    pid = main_pid(m)
    path = stop.path.replace("PID", pid)
    # Its threads by number, not -f: that would trace LVM as well, and slow it down.
    threads = m.run(f"ls /proc/{pid}/task").out.split()
    m.start(
        f"strace {' '.join(f'-p {thread}' for thread in threads)} -P {path} -e trace={stop.call}"
        f" -e inject={stop.call}:signal=SIGSTOP:when={stop.nth} -o /tmp/trace 2> /tmp/strace"
    )
    m.wait_until("grep -q attached /tmp/strace")
    return pid


def wait_until_stopped(m: Machine, pid: str) -> None:
    m.wait_until(f"grep -q '^State:.*[tT] ' /proc/{pid}/status && grep -q SIGSTOP /tmp/trace", 30)


def kill_agent(m: Machine, pid: str) -> None:
    m.run(f"kill -9 {pid}; pkill -9 strace; rm -f /tmp/trace /tmp/strace", check=False)
    wait_for("a new agent", lambda: main_pid(m) not in ("0", pid))


def cut_and_boot(m: Machine) -> str:
    """Power cut, boot on the same disks; the pool is activated and the device made again."""
    m.power_cut()
    m.boot()
    m.wait_until("test -e /dev/mapper/docker-thinpool || lvchange -ay docker/thinpool")
    table = f"0 {1200 * MIB // 512} thin /dev/mapper/docker-thinpool 0"
    m.run(f"dmsetup create t0 --table '{table}' && udevadm settle")
    return "/dev/mapper/t0"


def assert_converged(m: Machine, size: int, acts: int) -> None:
    """Grown once, told once, nothing left behind."""
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") >= size)
    m.wait_until(f"test ! -e {LIB}/intent.json")
    wait_for("the act told", lambda: len(done_acts(m)) >= acts)
    assert size_of(m, "docker", "thinpool") == size
    assert len(done_acts(m)) == acts
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"


def done_acts(m: Machine) -> list[int]:
    """The targets of the growths that history calls done, each once."""
    acts = [e for e in history(m, "extend-data") if e["result"] == "done"]
    assert len({act["id"] for act in acts}) == len(acts)
    return [act["numbers"]["target"] for act in acts]


def make_machine(machines: Factory) -> tuple[Machine, str]:
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=config(guard='resync = "1h"'))
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 1200 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    wait_for("the mark told", lambda: len(history(m, "refresh")) == 1)
    m.wait_until(f"test ! -e {LIB}/intent.json")
    return m, device


def cross(m: Machine, device: str, written: int, size: int) -> int:
    """Write on until the pool is above its threshold; returns the MiBs written in all."""
    upto = size * 76 // 100 // MIB + 1
    write(m, device, written, upto - written)
    return upto


def test_the_stops_are_all_boundaries_of_an_act() -> None:
    assert tuple(STOPS) == boundaries(ACT)


def test_the_agent_killed_at_each_boundary_converges(machines: Factory) -> None:
    """kill -9 at every boundary that the executor names; the service manager starts it anew."""
    m, device = make_machine(machines)
    size, written = 100 * MIB, 0
    for number, boundary in enumerate(boundaries(ACT), start=1):
        pid = stop_at(m, STOPS[boundary])
        written = cross(m, device, written, size)
        wait_until_stopped(m, pid)
        size = grown(size, EXTENT)
        kill_agent(m, pid)
        assert_converged(m, size, number)
        print(f"killed at {boundary}: {size // MIB} MiB")
    assert_reads_back(m, device, 0, written)


@pytest.mark.parametrize("boundary", boundaries(ACT))
def test_a_power_cut_at_each_boundary_converges(machines: Factory, boundary: str) -> None:
    m, device = make_machine(machines)
    pid = stop_at(m, STOPS[boundary])
    written = cross(m, device, 0, 100 * MIB)
    wait_until_stopped(m, pid)

    device = cut_and_boot(m)

    assert_converged(m, grown(100 * MIB, EXTENT), 1)
    assert_reads_back(m, device, 0, written)
    m.run("dmsetup remove t0 && lvchange -an docker/thinpool")
    m.run("lvchange -ay docker/thinpool")  # runs thin_check
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"


def test_ten_random_moments_of_death_converge(machines: Factory) -> None:
    """Five kills and five power cuts, each so long after the crossing; the seed is printed."""
    rng = random.Random(SEED)
    m, device = make_machine(machines)
    size, written = 100 * MIB, 0
    for number in range(1, 11):
        delay = rng.uniform(0.0, 2.5)
        print(f"seed {SEED}: moment {number}, {delay:.2f} s after the crossing")
        written = cross(m, device, written, size)
        size = grown(size, EXTENT)
        pid = main_pid(m)
        m.run(f"sleep {delay:.2f}")
        if number % 2:
            kill_agent(m, pid)
        else:
            device = cut_and_boot(m)
        assert_converged(m, size, number)
    assert_reads_back(m, device, 0, written)


def test_stopping_the_service_lets_a_running_lvextend_finish(machines: Factory) -> None:
    """SIGTERM while LVM works: the pool is grown and the act told before the unit is inactive."""
    m, device = make_machine(machines)
    catcher = m.start("until pkill -STOP -x lvm; do :; done; pgrep -x lvm")
    writer = start_writing(m, device, 0, 78)
    lvm = catcher.wait(30).out.split()[0]
    assert writer.wait(60).status == 0

    m.run("systemctl stop --no-block dmguard")
    m.wait_until("systemctl show -P ActiveState dmguard | grep -q deactivating")
    assert m.run(f"cat /proc/{lvm}/comm").out.strip() == "lvm"
    assert size_of(m, "docker", "thinpool") == 100 * MIB
    m.run(f"kill -CONT {lvm}")
    m.wait_until("systemctl show -P ActiveState dmguard | grep -q '^inactive'")

    assert size_of(m, "docker", "thinpool") == 120 * MIB
    assert done_acts(m) == [120 * MIB]
    assert m.run(f"test -e /proc/{lvm}", check=False).status != 0
