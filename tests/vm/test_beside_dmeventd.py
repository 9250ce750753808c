"""Living beside LVM's own dmeventd, and doing better where it gives up."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.lab.lvmkit import lv_size, make_pool, make_vg, pool_status, raw_thin, vg_free
from tests.vm.kit import (
    MIB,
    assert_reads_back,
    config,
    entries,
    grown,
    history,
    size_of,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

EXTENT = MIB
CROSSINGS = 20


def attach_profile(m: Machine, pool: str, threshold: int) -> None:
    """An LVM profile with both autoextend settings, and dmeventd monitoring the pool."""
    m.put(
        "/etc/lvm/profile/guarded.profile",
        f"activation {{\n thin_pool_autoextend_threshold={threshold}\n"
        " thin_pool_autoextend_percent=20\n}\n",
    )
    m.run(f"lvchange -q --metadataprofile guarded {pool} && lvchange -q --monitor y {pool}")
    assert m.run(f"lvs --noheadings -o seg_monitor {pool}").out.strip() == "monitored"


def hold(m: Machine, name: str) -> None:
    m.run(f"pkill -STOP -x {name}")


def let_go(m: Machine) -> None:
    m.run("pkill -CONT -x dmeventd; pkill -CONT -x dmguard")


def test_two_guards_take_exactly_one_step_at_each_of_20_crossings(machines: Factory) -> None:
    """In turn dmeventd is held, dmguard is held, and both race; no crossing grows twice."""
    m = machines(disks=[3 << 30], config=config(guard='resync = "1h"'))
    make_vg(m, "docker", m.disks, extent="1m")
    make_pool(m, "docker", "thinpool", "40m", metadata="8m", monitor=True)
    attach_profile(m, "docker/thinpool", 75)
    device = raw_thin(m, "docker", "thinpool", "t0", 2 << 30, 0)
    wait_for_mark(m, "docker", "thinpool")

    size, written = 40 * MIB, 0
    sizes = [size]
    for crossing in range(CROSSINGS):
        assert size_of(m, "docker", "thinpool") == size
        held = (("dmeventd",), ("dmguard",), ())[crossing % 3]
        for name in held:
            hold(m, name)
        upto = size * 76 // 100 // MIB + 1
        write(m, device, written, upto - written)
        written = upto
        size = grown(size, EXTENT)
        wait_for("one step", lambda size=size: size_of(m, "docker", "thinpool") >= size)  # type: ignore[misc]
        let_go(m)
        sizes.append(size_of(m, "docker", "thinpool"))
    # Both have looked at the last crossing: dmguard at a reload, dmeventd at its next tick.
    m.run("systemctl reload dmguard")
    wait_for("reloaded", lambda: entries(m, "reload"))
    print("sizes in MiB:", [step // MIB for step in sizes])

    assert all(grown(a, EXTENT) == b for a, b in itertools.pairwise(sizes)), sizes
    first = [e for e in history(m, "extend-data") if e["reason"] == "above-threshold"]
    ours = len(first)
    print(f"dmguard first: {ours}, dmeventd first: {CROSSINGS - ours}")
    assert {entry["result"] for entry in first} == {"done"}
    assert ours >= 5
    assert CROSSINGS - ours >= 5
    assert size_of(m, "docker", "thinpool") == size
    assert_reads_back(m, device, 0, 20)


def test_the_remainder_that_dmeventd_leaves_is_used_and_dryness_said_once(
    machines: Factory,
) -> None:
    """80 extents are a step, 67 are free: dmeventd takes none of them, dmguard all."""
    m = machines(disks=[1 << 30], config=config(guard='resync = "2s"'))
    m.run("systemctl stop dmguard")
    make_vg(m, "docker", m.disks, extent="1m")
    make_pool(m, "docker", "thinpool", "400m", monitor=True)
    m.run(f"lvcreate -q -y -Wn -Zn -l {vg_free(m, 'docker') // MIB - 67} -n filler docker")
    assert vg_free(m, "docker") == 67 * MIB
    attach_profile(m, "docker/thinpool", 70)
    device = raw_thin(m, "docker", "thinpool", "t0", 2 << 30, 0)

    write(m, device, 0, 285)
    refusal = "Insufficient free space: 80 extents needed, but only 67 available"
    wait_for("dmeventd's refusal", lambda: refusal in m.run("journalctl -b _COMM=dmeventd").out)
    assert size_of(m, "docker", "thinpool") == 400 * MIB

    m.run("systemctl start dmguard")
    wait_for("the remainder used", lambda: size_of(m, "docker", "thinpool") == 467 * MIB)
    assert lv_size(m, "docker", "thinpool") == 467 * MIB
    assert vg_free(m, "docker") == 0
    assert not [e for e in entries(m) if e["DMGUARD_REASON"] == "vg-dry"]

    for first in (285, 315, 335):  # three crossings or events, one word
        write(m, device, first, 20)
    dry = wait_for(
        "the VG called dry",
        lambda: [e for e in entries(m) if e["DMGUARD_REASON"] == "vg-dry"],
    )
    looked = float(m.run("cut -d' ' -f1 /proc/uptime").out)
    wait_for("more looks", lambda: float(m.run("cut -d' ' -f1 /proc/uptime").out) > looked + 6)
    dry = [e for e in entries(m) if e["DMGUARD_REASON"] == "vg-dry"]
    assert len(dry) == 1
    assert dry[0]["DMGUARD_RESULT"] == "refused"
    assert "vgextend docker" in dry[0]["MESSAGE"]

    # The control: the cure cures, and is told once as well.
    disk = m.add_disk(256 * MIB)
    m.run(f"vgextend -q docker {disk.device}")
    wait_for("grown again", lambda: size_of(m, "docker", "thinpool") > 467 * MIB)
    wait_for(
        "the end told",
        lambda: [e for e in entries(m) if e["DMGUARD_RESULT"] == "done" and
                 e["DMGUARD_REASON"] == "vg-dry"],
    )  # fmt: skip
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"
