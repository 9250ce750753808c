"""`dmguard recover` with no agent running: each thing that is wrong, shown, cured, or explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.codes import CODES
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


SPOIL = "dd if=/dev/urandom of={disk} bs=512 seek={at} count=8 oflag=direct status=none"
KEEP = "dd if={disk} of=/tmp/kept bs=512 skip={at} count=8 iflag=direct status=none"
MEND = "dd if=/tmp/kept of={disk} bs=512 seek={at} oflag=direct status=none"
BACKUP = "vgcfgbackup -q -f /tmp/{name}.conf damaged"
EDIT = "sed 's/transaction_id = 1$/transaction_id = 7/' /tmp/good.conf >/tmp/bad.conf"
RESTORE = "vgcfgrestore -q -y --force -f /tmp/{name}.conf damaged"


@pytest.mark.parametrize(
    ("code", "spoil", "mend"),
    [
        ("thin-check-failed", (KEEP, SPOIL), (MEND,)),
        (
            "transaction-id-mismatch",
            (BACKUP.format(name="good"), EDIT, RESTORE.format(name="bad")),
            (RESTORE.format(name="good"),),
        ),
        (
            "pool-table-refused",
            ("vgchange -q -ay damaged", BACKUP.format(name="bad"),
             "lvextend -q -L +20m damaged/pool", BACKUP.format(name="good"),
             "vgchange -q -an damaged", RESTORE.format(name="bad")),
            (RESTORE.format(name="good"),),
        ),
        (
            "thin-target-missing",
            ("modprobe -r dm_thin_pool && mv $(modinfo -n dm_thin_pool) /tmp/ && depmod",),
            ("mv /tmp/dm-thin-pool.ko* /lib/modules/$(uname -r)/kernel/drivers/md/ && depmod",),
        ),
    ],
)  # fmt: skip
def test_a_pool_that_lvm_refuses_to_activate_is_explained_and_left_as_it_is(
    machines: Factory, code: str, spoil: tuple[str, ...], mend: tuple[str, ...]
) -> None:
    m = machines(disks=[256 * MIB])
    disk = m.disks[0].device
    m.run("systemctl stop dmguard")
    m.run(
        f"vgcreate -q -y -s 1m damaged {disk}"
        " && lvcreate -q -y -T -L 40m -V 20m -n data damaged/pool"
    )
    _, sectors, _, _, at = m.run("dmsetup table damaged-pool_tmeta").out.split()
    m.run("vgchange -q -an damaged")
    assert recovered(m)[0] == 0, "it comes up while nothing is wrong"
    m.run("vgchange -q -an damaged")
    for command in spoil:
        m.run(command.format(disk=disk, at=at))
    before = contents(m, disk, int(at), int(sectors))

    status, told = recovered(m)
    assert status == 4
    (done,) = told["done"]
    assert (done["act"], done["result"], done["reason"]) == ("activate", "refused", code)
    assert [f["code"] for f in told["left"]] == ["pool-inactive"]
    # A check of large metadata takes minutes, and its answer is the same each time.
    up = m.run("dmguard activate damaged/pool --timeout 4", check=False)
    assert (up.status, up.out.count(f"[{code}]")) == (1, 1), up.out
    assert [e["DMGUARD_RESULT"] for e in entries(m) if e["DMGUARD_REASON"] == code] == [
        "refused"
    ] * 2
    assert "MESSAGE_ID" in entries(m)[-1]
    assert CODES[code].title in m.run(f"dmguard explain {code}").out
    assert contents(m, disk, int(at), int(sectors)) == before

    for command in mend:
        m.run(command.format(disk=disk, at=at))
    status, told = recovered(m)
    assert (status, [done["result"] for done in told["done"]]) == (0, ["done"])


def contents(m: Machine, disk: str, at: int, sectors: int) -> str:
    """Of all but the pool's metadata the sum, and of that what it says: the kernel writes to it
    when LVM loads the pool's table only to compare.
    """
    first, last = at * 512, (at + sectors) * 512
    return m.run(
        f"blockdev --flushbufs {disk}"
        f"; (head -c {first} {disk}; tail -c +{last + 1} {disk}) | sha256sum"
        f"; tail -c +{first + 1} {disk} | head -c {last - first} >/tmp/metadata"
        "; thin_dump /tmp/metadata",
        check=False,
    ).out


def recovered(m: Machine) -> tuple[int, dict[str, Any]]:
    answer = m.run("dmguard recover damaged/pool --json", check=False)
    print(answer.out)
    return answer.status, check("recover", answer.out)
