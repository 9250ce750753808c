"""`dmguard doctor` on a host of Docker's: what is wrong is named, nothing else is, and cured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.edge.schema import check
from tests.lab.lvmkit import docker_direct_lvm, make_pool, make_vg, pool_status
from tests.vm.bootkit import assert_docker_works
from tests.vm.kit import wait_for
from tests.vm.manual import procedures

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

POOL = "docker/thinpool"
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
DAEMON_JSON = "/etc/docker/daemon.json"
LVM_CONF = "/etc/lvm/lvm.conf"
SETUP = "/etc/sysconfig/docker-storage-setup"
KUBELET = "/var/lib/kubelet/config.yaml"


def doctor(m: Machine, *options: str) -> tuple[int, dict[str, Any]]:
    result = m.run(f"dmguard doctor --json {' '.join(options)}", timeout=180, check=False)
    return result.status, check("doctor", result.out)


def codes(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["subject"]) for finding in findings]


def snapshot(m: Machine) -> str:
    """All that a cure would change."""
    return m.run(
        "dmsetup table; vgs -o vg_name,vg_seqno; lvs -a -o+lv_profile; ls -l /etc/lvm/profile"
        " /etc/docker /var/lib/dmguard; systemctl is-active docker dm-event.service",
        check=False,
    ).out


def test_docker_as_its_manual_leaves_it(machines: Factory) -> None:
    """Without the steps of the profile, which are easily left out, and with the whole disk in use,
    as the manual has it.
    """
    m = machines(disks=[2 << 30, 1 << 30])
    docker_direct_lvm(m, m.disks[0], data="95%VG")
    before = snapshot(m)
    status, seen = doctor(m)
    assert status == 4
    assert codes(seen["left"]) == [("profile-missing", POOL)]
    assert [c["ordered"] for c in seen["consumers"]] == [True]

    shown = m.run("dmguard doctor --fix -n", check=False)
    print(shown.out)
    assert shown.status == 4
    assert f"write {PROFILE}:" in shown.out
    assert "lvchange --metadataprofile docker-thinpool" in shown.out
    assert snapshot(m) == before

    status, seen = doctor(m, "--fix")
    assert (status, [done["result"] for done in seen["done"]]) == (0, ["done"])
    # The manual leaves less than one step of LVM's: that is told, and does not count.
    assert codes(seen["left"]) == [("step-unfit", POOL)]
    assert m.run("lvs --noheadings -o lv_profile docker/thinpool").out.strip() == "docker-thinpool"
    total = pool_status(m, "docker", "thinpool")["data_total"]

    def is_marked() -> bool:
        return abs(pool_status(m, "docker", "thinpool")["low_water"] - total // 4) <= 1

    wait_for("the profile's threshold in the live table", is_marked)
    # Of what dmguard itself sets up nothing is wrong.
    m.run(f"dmguard setup {m.disks[1].device} --vg own --pool pool --consumer none", timeout=120)
    status, seen = doctor(m, "--fix")
    assert (status, seen["done"]) == (0, [])
    # LVM lists its groups in no certain order.
    assert sorted(codes(seen["left"])) == [("step-unfit", POOL), ("step-unfit", "own/pool")]
    assert_docker_works(m)


@dataclass(frozen=True)
class Wrong:
    """How something is made wrong, what is then found, and how it is undone if that is no cure."""

    make: str
    code: str
    subject: str = POOL
    undo: str = "true"
    counts: bool = True

    @property
    def finding(self) -> tuple[str, str]:
        return (self.code, self.subject)


def option(words: str, code: str) -> Wrong:
    """A change of daemon.json's options by sed."""
    return in_file(DAEMON_JSON, f"sed -i '{words}' {DAEMON_JSON}", code, DAEMON_JSON)


def conf(text: str, code: str, subject: str = "lvm", *, counts: bool = True) -> Wrong:
    """A setting at the end of lvm.conf."""
    return in_file(LVM_CONF, f"echo '{text}' >>{LVM_CONF}", code, subject, counts=counts)


def in_file(path: str, change: str, code: str, subject: str, *, counts: bool = True) -> Wrong:
    return Wrong(
        f"cp -a {path} /tmp/{code}; {change}", code, subject, f"mv /tmp/{code} {path}", counts
    )


MIN_FREE = 's/"storage-opts": \\[/&"dm.min_free_space=%s", /'
SMALL = "lvcreate -q -y --type thin-pool -L 2600m --poolmetadatasize 2m -c 64k -Zn -n small vg"

CURED = (
    (
        Wrong(f"rm {PROFILE}", "profile-lost"),
        Wrong("lvchange -q --monitor n docker/thinpool", "pool-not-monitored"),
        Wrong("lvchange -q --setactivationskip y docker/thinpool", "activation-skipped"),
        Wrong("lvremove -q -y docker/lvol0_pmspare", "spare-short"),
        Wrong(SMALL, "metadata-small", "vg/small", "lvremove -q -y vg/small"),
        option(MIN_FREE % "10", "min-free-invalid"),
    ),
    (
        Wrong(f"sed -i s/percent=20/percent=0/ {PROFILE}", "autoextend-half-set"),
        option("s#/dev/mapper/docker-thinpool#/dev/docker/thinpool#", "pool-named-by-path"),
    ),
)
"""What --fix cures, in turns; the undoing is of what else was made for it."""

EXPLAINED = (
    option(MIN_FREE % "30%", "min-free-above"),
    option('s/"storage-opts": \\[/&"dm.directlvm_device_force=true", /', "docker-force"),
    option('s/"storage-opts": \\[/&"overlay2.size=1G", /', "options-refused"),
    Wrong(
        f"mkdir -p /etc/sysconfig; echo AUTO_EXTEND_POOL=true >{SETUP}",
        "auto-extend-ignored",
        SETUP,
        f"rm {SETUP}",
    ),
    Wrong(
        "systemctl disable dmguard-activate.service",
        "unit-not-ordered",
        "docker.service",
        "systemctl enable dmguard-activate.service",
    ),
    Wrong(
        f"mkdir -p /var/lib/kubelet; echo 'imageGCHighThresholdPercent: 75' >{KUBELET}",
        "kubelet-first",
        undo=f"rm {KUBELET}",
    ),
    Wrong(
        "truncate -s 64M /tmp/pv.img; vgextend -q -y vg $(losetup -f --show /tmp/pv.img)",
        "pv-on-loop",
        "/dev/loop0",
        "vgreduce -q vg /dev/loop0; pvremove -q -y /dev/loop0; losetup -d /dev/loop0",
    ),
    Wrong(
        "lvcreate -q -y -V 1g -T vg/pool -n wide",
        "overprovisioned",
        "vg/pool",
        "lvremove -q -y vg/wide",
        counts=False,
    ),
    Wrong(
        "lvchange -q --discards nopassdown vg/pool",
        "discards-kept",
        "vg/pool",
        "lvchange -q --discards passdown vg/pool",
        counts=False,
    ),
    Wrong(
        'printf \'[pool."docker/thinpool"]\\nmax_size = "100GiB"\\n\' >/etc/dmguard/conf.d/x.toml',
        "ceiling-not-kept",
        undo="rm /etc/dmguard/conf.d/x.toml",
    ),
    conf('activation/volume_list = ["vg"]', "volume-list-excludes", POOL),
    conf('global/thin_check_executable = "/no/thin_check"', "thin-check-missing"),
    conf(
        'devices/filter = ["a|^/dev/ubd[bc]$|", "a|^/dev/ubdb$|", "a|/loop|", "r|.*|"]',
        "filter-by-name",
    ),
    conf('dmeventd/thin_command = "/bin/true"', "other-extender", counts=False),
)
"""What is told with its cure, and left to a person."""

UNGUARDED = (
    Wrong("lvchange -q --detachprofile docker/thinpool", "autoextend-off"),
    Wrong(
        "lvchange -q --refresh --config activation/thin_pool_autoextend_threshold=100"
        " docker/thinpool",
        "mark-not-live",
    ),
)
"""What is wrong, and cured, while no agent runs."""


def assert_cured(m: Machine, *wrongs: Wrong) -> None:
    """Found, and nothing else; cured by --fix, and gone."""
    for wrong in wrongs:
        m.run(wrong.make)
    status, seen = doctor(m, "--fix")
    assert sorted(codes(seen["findings"])) == sorted(wrong.finding for wrong in wrongs)
    assert all(finding["fixable"] for finding in seen["findings"])
    assert {done["reason"] for done in seen["done"]} >= {wrong.code for wrong in wrongs}
    assert {done["result"] for done in seen["done"]} == {"done"}
    assert (status, seen["left"]) == (0, [])
    m.run("; ".join(wrong.undo for wrong in wrongs))


def assert_explained(m: Machine) -> None:
    """Found, and nothing else, and left alone; the last that was made is undone first."""
    for wrong in EXPLAINED:
        m.run(wrong.make)
    status, seen = doctor(m)
    assert sorted(codes(seen["left"])) == sorted(wrong.finding for wrong in EXPLAINED)
    told = {finding["code"]: finding["counts"] for finding in seen["left"]}
    assert told == {wrong.code: wrong.counts for wrong in EXPLAINED}
    assert (status, {finding["fixable"] for finding in seen["left"]}) == (4, {False})
    for wrong in reversed(EXPLAINED):
        m.run(wrong.undo)


@procedures("P3", "P16")
def test_each_thing_that_is_wrong_is_found_and_cured_or_explained(machines: Factory) -> None:
    m = machines(disks=[2 << 30, 3 << 30])
    docker_direct_lvm(m, m.disks[0])
    make_vg(m, "vg", m.disks[1:2], extent="1m")
    make_pool(m, "vg", "pool", "100m", monitor=True)
    assert doctor(m, "--fix")[0] == 0
    assert codes(doctor(m)[1]["left"]) == []

    for wrongs in CURED:
        assert_cured(m, *wrongs)
    assert_explained(m)
    m.run("systemctl stop dmguard")
    assert codes(doctor(m, "--fix")[1]["findings"]) == [("autoextend-off", "vg/pool")]
    for wrong in UNGUARDED:
        assert_cured(m, wrong)
    assert m.run("dmguard doctor").out.strip().endswith("nothing is wrong")
    m.run("systemctl start dmguard")
    assert_docker_works(m)
