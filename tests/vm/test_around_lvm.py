"""What lies around LVM is away, full or in use by others: the pools grow all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vm.filling import Filling, reasons
from tests.vm.kit import NO_DMEVENTD, config, done, wait_for
from tests.vm.mortal import main_pid

if TYPE_CHECKING:
    from tests.vm.conftest import Factory

# How it is made, and undone.
READ_ONLY = "mount --bind {0} {0} && mount -o remount,bind,ro {0}", "umount {0}"
FULL = "mount -t tmpfs -o size=64k none {0}; cat /dev/zero > {0}/fill", "umount {0}"
FILLED = "cat /dev/zero > {0}/fill", "rm {0}/fill"
PLACES = (
    ("/etc", READ_ONLY),
    ("/etc/lvm/archive", FULL),
    ("/etc/lvm/backup", FULL),
    ("/var", READ_ONLY),
    ("/run", FILLED),
)
# Started again and again: whoever else asks for memory meanwhile has to wait for its end.
HUNGRY = """
open("/proc/self/oom_score_adj", "w").write("1000")
taken = []
while True:
    taken.append(b"1" * (1 << 24))
"""
KILLED = "Out of memory: Killed process"


def see_places(pool: Filling) -> None:
    m = pool.m
    for place, (make, undo) in PLACES:
        m.run(make.format(place), check=False)
        assert m.run(f"echo 1234567890 > {place}/one", check=False).status != 0, place
        pool.assert_met()
        m.run(undo.format(place))
        wait_for("told", lambda: len(done(m, "extend-data")) == pool.crossings)
    assert reasons(m) == []
    archived = m.run("journalctl -b -u dmguard -o cat --grep 'copy in its archive'").out
    assert len(archived.splitlines()) == 2


def see_hunger(pool: Filling) -> None:
    m, pid = pool.m, main_pid(pool.m)
    m.put("/tmp/hungry.py", HUNGRY)
    loop = "while :; do python3 /tmp/hungry.py; done"
    m.run(f"systemd-run -q --unit hungry -p OOMPolicy=continue sh -c '{loop}'")
    wait_for("killed", lambda: KILLED in m.run("dmesg").out)
    for _ in range(2):
        pool.assert_met(20)
    m.run("systemctl stop hungry")
    assert main_pid(m) == pid
    assert m.run(f"cat /proc/{pid}/oom_score_adj").out.strip() == "-1000"


def see_second_agent(pool: Filling) -> None:
    m, pid = pool.m, main_pid(pool.m)
    second = m.run("timeout 20 dmguard run", check=False)
    assert second.status == 75
    assert "held by another dmguard" in second.err
    assert main_pid(m) == pid
    pool.assert_met()


def test_a_pool_grows_whatever_is_away_around_it(machines: Factory) -> None:
    settings = config(guard='resync = "1h"')
    m = machines(disks=[2 << 30, 1 << 30], append=NO_DMEVENTD, config=settings)
    one = Filling(m, "one", m.disks[:1])
    one.assert_met()
    see_places(one)
    see_second_agent(one)
    see_hunger(one)
    one.assert_intact()
