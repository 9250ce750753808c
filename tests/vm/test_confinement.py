"""The units are shut in, and everything that the guard does is done from within."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.lab import loops, scsi
from tests.lab.lvmkit import docker_direct_lvm, make_vg, pool_status, raw_thin
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    config,
    done,
    make_full_metadata,
    size_of,
    wait_for,
    wait_for_mark,
    write,
)
from tests.vm.mortal import INTENT

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

UNITS = ("dmguard.service", "dmguard-activate.service")
ACTIVATE = "dmguard-activate.service"
CLAIMS = '[[claim]]\nvg = "vg"\nmatch = { path = "platform-uml-blkdev.3" }\nsettle = "0"\n'


def exposure(m: Machine, unit: str) -> float:
    """What systemd-analyze makes of a unit: 10 is exposed, 0 is shut in."""
    said = m.run(f"systemd-analyze security --no-pager {unit}", check=False).out
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def acted(m: Machine, action: str, unit: str = "dmguard.service") -> dict[str, Any]:
    """The entry of an act that was done by that unit, not by a shell."""
    entry: dict[str, Any] = wait_for(f"{action} done", lambda: done(m, action), timeout=60)[-1]
    assert entry["_SYSTEMD_UNIT"] == unit
    return entry


def see_units_and_activation(m: Machine) -> None:
    # start-unit, of a Docker that failed before its pool was there; then activate, before a start.
    docker_direct_lvm(m, m.disks[0])
    m.run("systemctl stop docker docker.socket && lvchange -q -an docker/thinpool")
    m.run("vgchange -q --setautoactivation n docker && systemctl mask --runtime " + ACTIVATE)
    assert m.run("systemctl start docker", check=False, timeout=120).status != 0
    m.wait_until("systemctl is-failed docker", 120)
    m.run("lvchange -q -ay docker/thinpool")
    acted(m, "start-unit")
    m.wait_until("systemctl is-active docker", 120)
    m.run("systemctl stop docker docker.socket && lvchange -q -an docker/thinpool")
    m.run(f"systemctl unmask --runtime {ACTIVATE} && systemctl start docker", timeout=120)
    at = int(acted(m, "activate", ACTIVATE)["__MONOTONIC_TIMESTAMP"])
    # With its mark: to load the table anew would suspend the pool under a Docker that starts.
    wait_for_mark(m, "docker", "thinpool")
    m.wait_until(f"test ! -e {INTENT}")
    assert [e for e in done(m, "refresh") if int(e["__MONOTONIC_TIMESTAMP"]) > at] == []


def see_pools(m: Machine) -> None:
    # extend-metadata, extend-data, refresh.
    make_vg(m, "vg", m.disks[1:], extent="1m")
    make_full_metadata(m, "vg", "pool", data="20m", chunks=320)
    m.run("lvchange -q -ay vg/pool")
    acted(m, "extend-metadata")
    wait_for_mark(m, "vg", "pool")
    device = raw_thin(m, "vg", "pool", "t0", 200 * MIB, 400)
    size = size_of(m, "vg", "pool")
    write(m, device, 0, 16)
    acted(m, "extend-data")
    assert size_of(m, "vg", "pool") > size
    acted(m, "refresh")
    wait_for_mark(m, "vg", "pool")
    assert pool_status(m, "vg", "pool")["mode"] == "rw"


def see_disks(m: Machine) -> None:
    # claim-disk, restore-pv of a disk that was away while its VG changed, resize-pv.
    disk = m.add_disk(256 * MIB)
    assert acted(m, "claim-disk")["DMGUARD_DISK"] == disk.device
    assert m.run(f"pvs --noheadings -o vg_name {disk.device}").out.strip() == "vg"
    first, second = scsi.add(m, 2)
    # A PV that nothing lies on is taken back by LVM itself.
    m.run(f"vgextend -q vg {first} && lvcreate -q -y -Wn -Zn -l 4 -n kept vg {first}")
    scsi.pull(m, first)
    m.run(f"vgextend -q vg {second}")
    assert "missing" in m.run("pvs --noheadings -o pv_missing -S vg_name=vg").out
    scsi.back(m)
    acted(m, "restore-pv")
    grown = loops.add(m, "grown", 64 * MIB)
    m.run(f"vgextend -q vg {grown}")
    m.wait_until(f"grep -q {64 * MIB} /var/lib/dmguard/disks.json")
    loops.grow(m, grown, 128 * MIB)
    assert acted(m, "resize-pv")["DMGUARD_DISK"] == grown


def test_every_act_is_done_within_the_confinement(machines: Factory) -> None:
    """Docker's pool comes up by the one unit, and all else is the other's."""
    settings = config(guard='resync = "5s"', more=CLAIMS)
    m = machines(disks=[2 << 30, 1 << 30], append=NO_DMEVENTD, config=settings)
    for unit in UNITS:
        assert exposure(m, unit) <= 4.5

    see_units_and_activation(m)
    see_pools(m)
    see_disks(m)
    # Nor was anything else refused to them, as to lock the memory, which they would warn of.
    for unit in UNITS:
        warned = m.journal("-b", f"_SYSTEMD_UNIT={unit}", "-p", "warning")
        assert [line["MESSAGE"] for line in warned if "DMGUARD_ACTION" not in line] == []
