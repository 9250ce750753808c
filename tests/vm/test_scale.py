"""What happens to one of many pools is read of that one's group, and a storm of devices of none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_vg, raw_thin
from tests.vm.kit import MIB, size_of, start_writing, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

_SAID = "/run/dmguard/lvm-said"
# Every program of LVM's is a name of this one. The agent may write below /run/dmguard.
_LISTENER = f"""#!/bin/bash
echo "$*" >>{_SAID}
exec -a "${{0##*/}}" /usr/sbin/lvm.listened "$@"
"""
_POOLS = {"one": 12, "two": 8}
_QUIET_S = 8


def listen(m: Machine) -> None:
    """What LVM is asked from now on is written down."""
    m.run("mv /usr/sbin/lvm /usr/sbin/lvm.listened")
    m.put("/usr/sbin/lvm", _LISTENER, 0o755)


def said(m: Machine) -> list[str]:
    return m.run(f"cat {_SAID} 2>/dev/null || true").out.splitlines()


def wait_for_quiet(m: Machine) -> None:
    """No command for longer than the agent leaves anything undone."""

    def is_quiet() -> bool:
        before = len(said(m))
        m.run(f"sleep {_QUIET_S}")
        return len(said(m)) == before

    wait_for("LVM left alone", is_quiet, timeout=120)


def make_pools(m: Machine) -> str:
    """Twenty pools in two groups, with their marks, and a thin device in one of them."""
    config = "activation/monitoring=0 activation/thin_pool_autoextend_threshold=75"
    lines = []
    for (vg, count), disk in zip(_POOLS.items(), m.disks, strict=True):
        make_vg(m, vg, [disk])
        lines += [
            "lvcreate -y -q --type thin-pool -L 40m --poolmetadatasize 4m -c 64k -Zn"
            f" --config '{config}' -n pool{number} {vg}"
            for number in range(count)
        ]
    m.run("lvm", stdin="\n".join(lines) + "\n", timeout=240)
    return raw_thin(m, "one", "pool0", "t0", 100 * MIB, 0)


def test_a_growth_reads_its_own_group_once_and_a_storm_of_devices_none(machines: Factory) -> None:
    m = machines(disks=[2 << 30, 2 << 30])
    m.run("systemctl stop dmguard")
    device = make_pools(m)
    listen(m)
    m.run("systemctl start dmguard")
    wait_for_quiet(m)
    assert any(line.startswith("fullreport") for line in said(m))

    m.run(f": >{_SAID}")
    writer = start_writing(m, device, 0, 32)
    wait_for("the pool grown", lambda: size_of(m, "one", "pool0") > 40 * MIB)
    assert writer.wait(60).status == 0
    wait_for_quiet(m)
    lines = said(m)
    print("\n".join(lines))
    assert [line.split()[0] for line in lines].count("lvextend") == 1
    reports = [line for line in lines if line.startswith("fullreport")]
    assert 1 <= len(reports) <= 2
    assert all(line.endswith(" one") for line in reports)
    assert not any("two" in line for line in lines)

    m.run(f": >{_SAID}")
    storm = """for i in $(seq 1 200); do
        dmsetup message one-pool0 0 "create_thin $i" &&
        dmsetup create storm$i --table "0 2048 thin /dev/mapper/one-pool0 $i" &&
        dmsetup remove --retry storm$i && dmsetup message one-pool0 0 "delete $i" || exit 1
    done"""
    m.run(storm, timeout=240)
    m.run(f"sleep {_QUIET_S}")
    assert said(m) == []
