"""The acts of dmguard, each caused at will, for tests in which it dies in the middle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Protocol

from tests.lab.lvmkit import bring_thin_up, lv_size, make_pool, make_vg, pool_status, raw_thin
from tests.vm.kit import (
    LIB,
    MIB,
    assert_reads_back,
    grown,
    history,
    make_full_metadata,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    written,
)

if TYPE_CHECKING:
    from tests.lab.channel import Running
    from tests.lab.machine import Machine
    from tests.vm.boundaries import Stop

INTENT = f"{LIB}/intent.json"
ACTIVATE_INTENT = f"{LIB}/activate.json"
EXTENT = 4 * MIB
CLAIMS = """[[claim]]
vg = "vg"
match = { path = "platform-uml-blkdev.*", max_size = "64MiB" }
settle = "0"
"""
_TRACE = "/tmp/trace"


def main_pid(m: Machine) -> str:
    """The agent's."""
    return m.run("systemctl show -P MainPID dmguard").out.strip()


def run_until(m: Machine, command: str, stop: Stop) -> tuple[Running, str]:
    """Run a command until it stands still there; return it with its pid.

    It waits before it begins, so that it is traced from its first call on.
    """
    m.run("rm -f /tmp/pid /tmp/go; mkfifo /tmp/go")
    running = m.start(f"echo $$ > /tmp/pid; read go < /tmp/go; exec {command}")
    m.wait_until("test -s /tmp/pid")
    pid = m.run("cat /tmp/pid").out.strip()
    attach(m, pid, stop)
    m.run("echo > /tmp/go")
    m.wait_until(f"{_stands_still(pid)} || ! test -e /proc/{pid}", 90)
    assert m.run(_stands_still(pid), check=False).status == 0, running.wait()
    return running, pid


def attach(
    m: Machine, pid: str, stop: Stop, fault: str = "signal=SIGSTOP", threads: str = ""
) -> None:
    """Have strace put a fault into that call of a process, once.

    A signal takes effect when the call is done. Traced are all threads, with those to come and what
    the process starts, which has nothing to do with the path; or no more than the threads named.
    """
    detach(m)
    m.run(f"rm -f {_TRACE} /tmp/strace")
    whom = " ".join(f"-p {thread}" for thread in threads.split()) or f"-f -p {pid}"
    m.start(
        f"strace {whom} -P {stop.path.replace('PID', pid)} -e trace={stop.call}"
        f" -e inject={stop.call}:{fault}:when={stop.nth} -o {_TRACE} 2> /tmp/strace"
    )
    m.wait_until("grep -q attached /tmp/strace")


def _stands_still(pid: str) -> str:
    """By strace's own signal, which the kernel marks (ptrace_report_syscall in linux/ptrace.h).

    strace also tells of any other SIGSTOP, and of a process that it found stopped.
    """
    return f"grep -q '^State:.*[tT] ' /proc/{pid}/status && grep -q SI_KERNEL {_TRACE}"


def wait_until_stopped(m: Machine, pid: str) -> None:
    m.wait_until(_stands_still(pid))


def injected(m: Machine) -> str:
    """The calls into which strace put an error."""
    return m.run(f"grep INJECTED {_TRACE}").out


def let_go(m: Machine, pid: str) -> None:
    """It goes on, and is no longer traced."""
    detach(m)
    m.run(f"kill -CONT {pid}")


def detach(m: Machine) -> None:
    m.wait_until("! pkill -x strace")


def kill(m: Machine, pid: str) -> None:
    m.run(f"kill -9 {pid}; pkill -9 -x strace", check=False)


class Mortal(Protocol):
    """One kind of act on one machine, and in how many steps it is done."""

    steps: ClassVar[int]

    def __init__(self, m: Machine) -> None: ...

    def cause(self) -> None:
        """Make the act necessary, and the agent look."""

    def revive(self) -> None:
        """After a boot: bring up what the act is about."""

    def assert_converged(self) -> None:
        """The act is done once, told once, and nothing is left behind."""

    def assert_intact(self) -> None:
        """What was written is there."""


def settled(m: Machine, action: str, pool: str, intent: str = INTENT) -> int:
    """How many acts on a pool history calls done, once no intent is left."""
    m.wait_until(f"test ! -e {intent}")
    acts = [e for e in history(m, action) if e["result"] == "done" and e["pool"] == pool]
    assert len({act["id"] for act in acts}) == len(acts)
    return len(acts)


class Data:
    """extend-data: a writer crosses the threshold, each time of a larger pool."""

    steps: ClassVar = 1

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.size, self.written, self.acts = 100 * MIB, 0, 0
        make_vg(m, "docker", m.disks)
        make_pool(m, "docker", "thinpool", "100m")
        self.device = raw_thin(m, "docker", "thinpool", "t0", 1500 * MIB, 0)
        wait_for_mark(m, "docker", "thinpool")
        wait_for("the mark told", lambda: settled(m, "refresh", "docker/thinpool"))

    def cause(self) -> None:
        before = self.written
        writer = self.begin()
        assert written(writer) == self.written - before

    def begin(self) -> Running:
        """Have it written; where LVM is held while the pool is suspended that does not end."""
        upto = self.size * 76 // 100 // MIB + 1
        writer = start_writing(self.m, self.device, self.written, upto - self.written)
        self.written = upto
        self.size = grown(self.size, EXTENT)
        self.acts += 1
        return writer

    def revive(self) -> None:
        self.m.run("lvchange -q -ay docker/thinpool")
        bring_thin_up(self.m, "docker", "thinpool", "t0", 1500 * MIB, 0)

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

    steps: ClassVar = 1

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


def told(m: Machine, action: str, disk: str) -> int:
    """How many acts on a disk history calls done, once no intent is left."""
    m.wait_until(f"test ! -e {INTENT}", 60)
    found = [e for e in history(m, action) if e["result"] == "done" and e["disk"] == disk]
    acts = [e for e in found if e["code"] != "finding-cleared"]
    assert len({act["id"] for act in acts}) == len(acts)
    return len(acts)


def orphans(m: Machine) -> str:
    """Disks with a PV's label that are in no VG, also while LVM is at work."""
    return m.run("pvs --nolocking --noheadings -o pv_name -S vg_name=").out.strip()


class Claim:
    """claim-disk: blank disks are plugged in, one after the other."""

    steps: ClassVar = 2

    def __init__(self, m: Machine) -> None:
        self.m = m
        make_vg(m, "vg", m.disks)

    def cause(self, *, wait: bool = True) -> None:
        self.m.add_disk(64 * MIB, wait=wait)

    def revive(self) -> None:
        pass

    def assert_converged(self) -> None:
        m, disk = self.m, self.m.disks[-1].device
        wait_for("told", lambda: told(m, "claim-disk", disk), timeout=60)
        assert told(m, "claim-disk", disk) == 1
        there = [disk.device for disk in m.disks if disk.plugged]
        assert self.members() == set(there)
        assert self.members("&& pv_tags=dmguard") == set(there[1:])
        assert orphans(m) == ""

    def members(self, only: str = "") -> set[str]:
        select = f"vg_name=vg {only}".strip()
        return set(self.m.run(f"pvs --noheadings -o pv_name -S '{select}'").out.split())

    def assert_intact(self) -> None:
        self.m.run("vgck vg && lvcreate -q -y -an -Zn -Wn -l 100%FREE -n all vg")


class ResizePv:
    """resize-pv: a disk is larger each time that it comes back."""

    steps: ClassVar = 1

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.disk = m.disks[0]
        self.size, self.acts = self.disk.path.stat().st_size, 0
        make_vg(m, "vg", m.disks)
        # Only what has a guarded pool is guarded; it stays down, so that nothing holds the disk.
        make_pool(m, "vg", "pool", "20m")
        m.run("lvchange -q -an vg/pool && lvchange -q --setautoactivation n vg/pool")
        self.wait_for_ledger()

    def wait_for_ledger(self) -> None:
        """Until the size that the disk has is known: growth is what is seen to differ."""
        self.m.wait_until(f"grep -q {self.size} /var/lib/dmguard/disks.json", 60)

    def cause(self, *, wait: bool = True) -> None:
        self.m.unplug(self.disk)
        self.size += 64 * MIB
        os.truncate(self.disk.path, self.size)
        self.acts += 1
        self.m.replug(self.disk, wait=wait)

    def revive(self) -> None:
        pass

    def assert_converged(self) -> None:
        m, disk = self.m, self.disk.device
        wait_for("told", lambda: told(m, "resize-pv", disk) >= self.acts, timeout=60)
        assert told(m, "resize-pv", disk) == self.acts
        out = m.run(f"pvs --noheadings --nosuffix --units b -o pv_size,dev_size {disk}").out
        size, device = map(int, out.split())
        assert device == self.size
        # All of it but the first MiB, in whole extents.
        assert size == (device - MIB) // EXTENT * EXTENT
        self.wait_for_ledger()

    def assert_intact(self) -> None:
        self.m.run("lvchange -q -ay vg/pool")
        assert pool_status(self.m, "vg", "pool")["mode"] == "rw"


class Activate:
    """activate: by hand, of a pool that nothing else brings up."""

    steps: ClassVar = 1

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.acts = 0
        make_vg(m, "vg", m.disks)
        make_pool(m, "vg", "pool", "20m")
        m.run("lvchange -q --setautoactivation n vg/pool && lvchange -q -an vg/pool")

    def cause(self) -> None:
        """It is down: what brings it up is a command, not the agent."""
        self.m.run("lvchange -q -an vg/pool")

    def revive(self) -> None:
        self.m.run("dmguard activate vg/pool")

    def acts_done(self) -> int:
        return settled(self.m, "activate", "vg/pool", ACTIVATE_INTENT)

    def assert_converged(self) -> None:
        assert pool_status(self.m, "vg", "pool")["mode"] == "rw"
        acts = self.acts_done()
        assert acts > self.acts
        self.acts = acts

    def assert_intact(self) -> None:
        self.m.run("lvchange -q -an vg/pool && lvchange -q -ay vg/pool")  # runs thin_check


class ActivateTorn(Activate):
    """The same of a pool whose metadata volume is active: that is put down first."""

    steps: ClassVar = 2

    def cause(self) -> None:
        super().cause()
        self.m.run("lvchange -q -y -ay vg/pool_tmeta")
