"""`dmguard recover` with no agent running: each thing that is wrong, shown, cured, or explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.edge.schema import check
from tests.lab import scsi
from tests.lab.lvmkit import docker_direct_lvm, make_pool, make_vg, pool_status, raw_thin
from tests.vm.bootkit import assert_docker_works
from tests.vm.kit import (
    MIB,
    assert_reads_back,
    config,
    entries,
    size_of,
    start_writing,
    wait_for,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

# What has the skip flag is brought up only if it is named, or a program is configured for it.
NAMED = 'pools = ["*/*", "vg/skipped"]'
RULE = '[[claim]]\nvg = "dry"\nmatch = { path = "platform-uml-blkdev.4" }\nsettle = "1s"\n'
DOWN = ("vg/inactive", "vg/skipped", "vg/parts", "docker/thinpool")


def break_everything(m: Machine) -> None:
    """Three pools down in three ways, one full, one in a dry VG, and Docker failed for want of
    its own.
    """
    for pool in ("inactive", "skipped", "parts"):
        make_pool(m, "vg", pool, "40m")
        m.run(f"lvchange -q -an vg/{pool}")
    m.run("lvchange -q -ky vg/skipped")
    # LVM takes one component at a time.
    m.run("lvchange -q -y -ay vg/parts_tmeta && lvchange -q -y -ay vg/parts_tdata")
    # Socket and unit would bring the pool up again.
    m.run("systemctl stop docker.socket docker && lvchange -q -an docker/thinpool")
    m.run("systemctl mask --runtime dmguard-activate && systemctl start docker", check=False)
    m.wait_until("systemctl is-failed docker", 120)
    m.run("systemctl unmask --runtime dmguard-activate")
    assert m.run("journalctl -b -u docker | grep -c 'Non existing device docker-thinpool'").out


def snapshot(m: Machine) -> str:
    """All that a cure would change."""
    return m.run(
        "dmsetup table; vgs -o vg_name,vg_seqno,pv_count; lvs -a; pvs; systemctl is-active docker"
        "; ls -l /var/lib/dmguard",
        check=False,
    ).out


def assert_shows_and_changes_nothing(m: Machine) -> None:
    before = snapshot(m)
    shown = m.run("dmguard recover -n").out
    print(shown)
    assert snapshot(m) == before
    told = check("recover", m.run("dmguard recover -n --json").out)
    assert snapshot(m) == before
    assert {(f["code"], f["subject"]) for f in told["findings"]} >= {
        *(("pool-inactive", name) for name in DOWN),
        ("out-of-data", "vg/full"),
        ("vg-dry", "dry/pool"),
    }
    commands = [line.strip() for line in shown.splitlines()]
    for words in (
        ("lvchange --activate ay", "vg/inactive"),
        ("lvchange --activate y --ignoreactivationskip", "vg/skipped"),
        ("lvchange --activate n", "vg/parts_tdata"),
        ("lvchange --activate ay", "vg/parts"),
        ("lvchange --activate y", "docker/thinpool"),
        ("lvextend", "vg/full"),
        ("vgextend", "dry /dev/ubde"),
    ):
        assert [c for c in commands if words[0] in c and c.endswith(words[1])], words


def test_each_cause_is_shown_cured_and_gone(machines: Factory) -> None:
    m = machines(disks=[1 << 30, 1 << 30, 256 * MIB], config=config(guard=NAMED, more=RULE))
    docker_direct_lvm(m, m.disks[0])
    m.run("systemctl stop dmguard")
    # A full pool holds its writers for as long as it takes, and not for a minute only.
    m.run("echo 0 > /sys/module/dm_thin_pool/parameters/no_space_timeout")
    make_vg(m, "vg", m.disks[1:2])
    make_vg(m, "dry", m.disks[2:3])
    break_everything(m)
    make_pool(m, "vg", "full", "100m")
    make_pool(m, "dry", "pool", "244m")
    full = raw_thin(m, "vg", "full", "full", 400 * MIB, 0)
    dry = raw_thin(m, "dry", "pool", "dry", 600 * MIB, 0)
    write(m, dry, 0, 200)
    writer = start_writing(m, full, 0, 110)
    wait_for("full", lambda: pool_status(m, "vg", "full")["mode"] == "out_of_data_space")
    m.add_disk(512 * MIB)

    assert_shows_and_changes_nothing(m)

    cured = m.run("dmguard recover", timeout=180, check=False)
    print(cured.out)
    assert (cured.status, cured.err) == (0, "")
    for name in DOWN:
        assert pool_status(m, *name.split("/", 1))["mode"] == "rw"
    assert writer.wait(60).status == 0
    assert_reads_back(m, full, 0, 110)
    assert size_of(m, "vg", "full") > 110 * MIB * 100 // 75
    assert m.run("pvs --noheadings -o vg_name /dev/ubde").out.strip() == "dry"
    assert size_of(m, "dry", "pool") > 200 * MIB * 100 // 75
    assert_reads_back(m, dry, 0, 200)
    assert_docker_works(m)
    acts = [e for e in entries(m) if e["DMGUARD_TRIGGER"] == "command"]
    assert {e["DMGUARD_RESULT"] for e in acts} == {"done"}
    assert {e["DMGUARD_ACTION"] for e in acts} >= {
        "activate",
        "extend-data",
        "claim-disk",
        "start-unit",
    }

    healthy = snapshot(m)
    again = m.run("dmguard recover")
    assert again.out == "nothing is wrong\n"
    assert snapshot(m) == healthy

    leave_a_pool_that_needs_a_check(m)


def leave_a_pool_that_needs_a_check(m: Machine) -> None:
    """Its data disk was pulled out under a writer, and is back: only a checked activation cures
    that.
    """
    other = m.add_disk(128 * MIB)
    (node,) = scsi.add(m, 1, 64)
    m.run(
        f"vgcreate -q -y torn {other.device} {node} && lvcreate -q -y -L 4m -n meta torn"
        f" {other.device} && lvcreate -q -y -L 40m -n pool torn {node}"
        " && lvconvert -q -y --zero n -c 64k --thinpool torn/pool --poolmetadata torn/meta"
    )
    device = raw_thin(m, "torn", "pool", "torn", 100 * MIB, 0)
    write(m, device, 0, 5)
    scsi.pull(m, node)
    assert start_writing(m, device, 5, 5).wait(60).status != 0
    wait_for("needs_check", lambda: pool_status(m, "torn", "pool")["needs_check"])
    scsi.back(m)

    left = m.run("dmguard recover", check=False)
    print(left.out)
    assert left.status == 4
    explained = left.out.partition("Left alone:")[2]
    assert "torn/pool: " in explained
    assert "[pool-needs-check]" in explained
    assert '"--clear-needs-check-flag"' in explained
    assert "lvconvert --repair VG/POOL" in explained
    status = pool_status(m, "torn", "pool")
    assert (status["mode"], status["needs_check"]) == ("ro", True)
    # The others are well, and that is what is said of them alone.
    assert m.run("dmguard recover docker/thinpool").status == 0
