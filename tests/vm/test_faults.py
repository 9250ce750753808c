"""Faults from outside while a pool is to be grown: LVM killed, a lock held, no room, the clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.vm.kit import (
    LIB,
    LIBRARY,
    NO_DMEVENTD,
    config,
    done,
    entries,
    grown,
    hangs,
    history,
    size_of,
    wait_for,
    written,
)
from tests.vm.lvmcut import LvmCut
from tests.vm.mortal import EXTENT, Data, main_pid, settled
from tests.vm.test_half_made import TRACED

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

DAY_S = 86400


def make_machine(machines: Factory) -> Data:
    """A guarded pool, and a writer that crosses its threshold at will: once, as a control."""
    settings = config(guard='resync = "1h"')
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=settings)
    its = Data(m)
    its.cause()
    its.assert_converged()
    return its


def is_grown(its: Data) -> bool:
    return size_of(its.m, "docker", "thinpool") >= its.size


def busy(m: Machine) -> list[str]:
    """How it was told that another had the group."""
    return [e["MESSAGE"] for e in entries(m, "extend-data") if e["DMGUARD_REASON"] == "vg-busy"]


def make_cut(its: Data) -> LvmCut:
    """The program lvextend is traced, and how many calls it takes is known."""
    m = its.m
    m.put("/etc/systemd/system/dmguard.service.d/trace.conf", TRACED)
    # Where one is in memory before the crossing, as beside a slow writer, that grows the pool.
    m.run(f"mv {LIBRARY} {LIBRARY}.away")
    m.run("systemctl daemon-reload && systemctl restart dmguard")
    cut = LvmCut(m, "lvextend")
    cut.arm()
    its.cause()
    its.assert_converged()
    cut.count()
    return cut


@pytest.mark.parametrize("left", [1, 2])
def test_an_lvextend_that_another_kills_is_done_anew(machines: Factory, left: int) -> None:
    """Its new metadata are written and not yet known. With one write left the pool is suspended,
    and the table with the new extents waits beside the live one.
    """
    its = make_machine(machines)
    m = its.m
    cut = make_cut(its)
    pid = main_pid(m)
    before, most = its.size, grown(its.size, EXTENT)
    cut.arm(left)
    its.cause()
    wait_for("killed", lambda: "SIGKILL" in m.run("cat /run/calls", check=False).out)
    wait_for("told", lambda: settled(m, "extend-data", "docker/thinpool") >= its.acts)
    # What failed is tried again at half.
    its.size = size_of(m, "docker", "thinpool")
    assert before < its.size <= most
    its.assert_converged()
    its.assert_intact()
    assert main_pid(m) == pid


PVS = "exec pvs"
"""It looks at everything."""


def test_a_pool_that_an_lvextend_left_suspended_goes_on_though_lvm_itself_waits_for_it(
    machines: Factory,
) -> None:
    """Where no hints tell it which disks need not be read LVM reads the thin devices of others, as
    Docker's: they answer when their pool goes on, and that is what LVM is to see to.
    """
    its = make_machine(machines)
    m = its.m
    m.put("/etc/lvm/lvmlocal.conf", 'devices { hints = "none" }\n')
    cut = make_cut(its)

    cut.arm(1)
    its.cause()
    wait_for("killed", lambda: "SIGKILL" in m.run("cat /run/calls", check=False).out)
    wait_for("told", lambda: settled(m, "extend-data", "docker/thinpool") >= its.acts)
    its.size = size_of(m, "docker", "thinpool")
    its.assert_converged()
    assert not hangs(m, PVS, 3)

    cut.arm(0, "SIGSTOP")  # behind the last write
    writer = its.begin()
    cut.wait_until_stopped()
    cut.kill_with(main_pid(m))
    assert hangs(m, PVS, 3)
    wait_for("grown", lambda: is_grown(its), timeout=90)
    written(writer)
    its.assert_converged()
    its.assert_intact()


def test_growth_comes_when_a_lock_that_was_held_for_long_is_let_go(machines: Factory) -> None:
    its = make_machine(machines)
    m = its.m
    holder = m.start("exec flock /run/lock/lvm/V_docker sleep 1000")
    m.wait_until("pgrep -x sleep")
    its.cause()
    wait_for("told that it is locked", lambda: busy(m))
    # The time that it lasts is the fault.
    m.run("sleep 30")
    assert len(busy(m)) == 1
    assert not is_grown(its)
    assert m.run("pgrep -x sleep", check=False).status == 0
    holder.kill()
    wait_for("grown", lambda: is_grown(its), timeout=10)
    its.assert_converged()
    assert len(busy(m)) == 1
    its.assert_intact()


def wait_for_acts(m: Machine, count: int) -> None:
    """Until the journal has so many growths."""
    wait_for("told", lambda: len(done(m, "extend-data")) >= count)


# Commands that end with a failure, and leave it so.
FOLDERS = {
    "full": f"cat /dev/zero > {LIB}/filler",
    "read-only": f"mount -o remount,ro {LIB}; false",
}


def test_growth_does_not_need_its_own_folder(machines: Factory) -> None:
    """What cannot be noted there is told to the journal."""
    its = make_machine(machines)
    m = its.m
    for number, (fault, words) in enumerate(FOLDERS.items(), 1):
        m.run(f"mount -t tmpfs -o size=64k,mode=700 none {LIB} && ! {{ {words}; }}")
        assert m.run(f"echo one > {LIB}/one", check=False).status != 0
        its.cause()
        wait_for("grown", lambda: is_grown(its))
        wait_for_acts(m, number + 1)
        assert len(done(m, "extend-data")) == number + 1, fault
        assert history(m) == []
        m.run(f"umount {LIB}")
        # The history has what was told before.
        its.acts -= 1
        its.assert_converged()
    its.cause()
    its.assert_converged()
    its.assert_intact()


def test_the_clock_may_jump_by_days(machines: Factory) -> None:
    its = make_machine(machines)
    m = its.m
    for jump_s in (DAY_S, -2 * DAY_S):
        m.run(f"date -s @$(( $(date +%s) + {jump_s} ))")
        its.cause()
        its.assert_converged()
        (pool,) = json.loads(m.run("dmguard status --json").out)["pools"]
        rate = pool["fill_rate"]
        print(f"a jump of {jump_s} s: {rate} B/s")
        # The writer wrote 20 % of a pool within the last minute.
        assert rate is None or 0 <= rate < its.size
    its.assert_intact()
