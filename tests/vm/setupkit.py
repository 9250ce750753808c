"""Words of the tests about set-ups: stop one at a moment of its way, and see what became of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.vm.disks import wipe

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine

LIB = "/var/lib/dmguard"
DOCKER = '{"iptables" : false,\n\t"bridge":"none",   "log-opts": {"max-size": "10m"}\n}'
"""An administrator's daemon.json. The machine has no network, so Docker need not filter any."""

# Wait in /tmp/go, so that strace can be attached before anything is done.
_RUN = """#!/bin/sh
echo $$ > /tmp/pid
while [ ! -e /tmp/go ]; do sleep 0.1; done
exec dmguard setup "$@"
"""


@dataclass(frozen=True)
class Moment:
    """Where a set-up is stopped: behind the `nth` call of `call` on `path`, which strace sees."""

    name: str
    call: str
    path: str
    nth: int


def boundary(
    phase: str, action: int, step: int = 0, before: int = 0, slot: str = "intent"
) -> Moment:
    """A boundary of the executor's: `before` steps were done by the actions before this one.

    Each action renames its intent into place, `slot`, once before its steps and once after each.
    """
    draft = f"{LIB}/.{slot}.json.PID"
    nth = before + action - 1 + 1 + step
    name = f"action {action}: {phase}" + (f" {step}" if step else "")
    if phase == "step":
        # It is done, and the intent that says so is not there yet.
        return Moment(name, "openat", draft, nth)
    if phase == "recorded":
        return Moment(name, "fdatasync", f"{LIB}/history.jsonl", action)
    if phase == "cleared":
        return Moment(name, "unlink", f"{LIB}/{slot}.json", action)
    return Moment(name, "rename", draft, nth)


def stop_set_up(m: Machine, words: str, moment: Moment) -> None:
    """Run it until it stands still there."""
    m.put("/tmp/run.sh", _RUN)
    m.run("rm -f /tmp/pid /tmp/go /tmp/trace /tmp/strace")
    m.start(f"sh /tmp/run.sh {words} > /tmp/out 2>&1")
    m.wait_until("test -s /tmp/pid")
    pid = m.run("cat /tmp/pid").out.strip()
    path = moment.path.replace("PID", pid)
    # -f for its threads. What they start is traced, too, but has nothing to do with the file.
    m.start(
        f"strace -f --seccomp-bpf -p {pid} -P {path} -e trace={moment.call}"
        f" -e inject={moment.call}:signal=SIGSTOP:when={moment.nth} -o /tmp/trace 2>/tmp/strace"
    )
    m.wait_until("grep -q attached /tmp/strace")
    m.run("touch /tmp/go")
    m.wait_until("grep -q SIGSTOP /tmp/trace || ! kill -0 $(cat /tmp/pid)", 90)
    assert "SIGSTOP" in m.run("cat /tmp/trace").out, m.run("cat /tmp/out").out


def set_up(m: Machine, words: str, status: int = 0) -> str:
    """Run it to its end; what it said."""
    result = m.run(f"dmguard setup {words}", timeout=180, check=False)
    assert result.status == status, result.out + result.err
    return result.out + result.err


_REPORT = """
pvs --noheadings -o pv_name,vg_name,pv_tags; echo
lvs -a --noheadings --nosuffix --units b -o lv_name,lv_profile,lv_size,vg_size,lv_attr docker
"""


def assert_set_up(m: Machine, words: str, disks: list[Disk]) -> None:
    """The same words find nothing to do, and all is made."""
    assert "all is set up already" in set_up(m, words)
    assert_made(m, disks)


def assert_made(m: Machine, disks: list[Disk]) -> None:
    """The group is of these disks, the pool is there with its profile, and nothing is left over."""
    pvs, lvs = m.run(_REPORT).out.split("\n\n")
    rows = [line.split() for line in pvs.splitlines()]
    assert sorted(rows) == sorted([disk.device, "docker", "dmguard"] for disk in disks)
    volumes = {row[0]: row[1:] for row in map(str.split, lvs.splitlines())}
    assert set(volumes) == {"[lvol0_pmspare]", "thinpool", "[thinpool_tdata]", "[thinpool_tmeta]"}
    profile, size, vg, attributes = volumes["thinpool"]
    assert profile == "docker-thinpool"
    assert attributes.startswith("twi-a")
    assert 0.9 * int(vg) < int(size) <= 0.95 * int(vg)
    m.run(f"test ! -e {LIB}/intent.json && test ! -e {LIB}/intent-apart.json")


def tear_down(m: Machine, disks: list[Disk]) -> None:
    """Bare disks again, as if there had never been a set-up."""
    m.run("vgremove -q -ff -y docker; rm -f /etc/lvm/profile/docker-thinpool.profile")
    wipe(m, [disk.device for disk in disks])


def tear_pool_down(m: Machine) -> None:
    """A bare group again, as if there had never been a pool."""
    m.run("lvremove -q -y docker/thinpool; rm -f /etc/lvm/profile/docker-thinpool.profile")


class Bystander:
    """A disk that nobody named: every byte of it stays."""

    def __init__(self, m: Machine, disk: Disk) -> None:
        self.m, self.disk = m, disk
        m.run(f"mke2fs -q -t ext4 {disk.device} && udevadm settle")
        self.before = self.digest()

    def digest(self) -> str:
        return hashlib.sha256(self.disk.path.read_bytes()).hexdigest()

    def assert_untouched(self) -> None:
        self.m.run("sync")
        assert self.digest() == self.before
