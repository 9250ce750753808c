"""`dmguard doctor` on a host of Docker's: what is wrong is named, nothing else is, and cured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.edge.schema import check
from tests.lab.lvmkit import docker_direct_lvm, pool_status
from tests.vm.bootkit import assert_docker_works
from tests.vm.kit import wait_for
from tests.vm.manual import procedures
from tests.vm.wrongs.around import AROUND
from tests.vm.wrongs.bares import BARES
from tests.vm.wrongs.clean import SIZES, clean
from tests.vm.wrongs.disks import DISKS
from tests.vm.wrongs.pools import POOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory
    from tests.vm.wrongs.wrong import Wrong

POOL = "docker/thinpool"
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"


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
    assert seen["left"] == []
    assert m.run("lvs --noheadings -o lv_profile docker/thinpool").out.strip() == "docker-thinpool"
    total = pool_status(m, "docker", "thinpool")["data_total"]

    def is_marked() -> bool:
        return abs(pool_status(m, "docker", "thinpool")["low_water"] - total // 4) <= 1

    wait_for("the profile's threshold in the live table", is_marked)
    # Of what dmguard itself sets up nothing is wrong.
    m.run(f"dmguard setup {m.disks[1].device} --vg own --pool pool --consumer none", timeout=120)
    status, seen = doctor(m, "--fix")
    assert (status, seen["done"]) == (0, [])
    assert seen["left"] == []
    assert m.run("dmguard doctor").out.strip().endswith("nothing is wrong")
    assert_docker_works(m)


def assert_silent(m: Machine, why: str) -> None:
    status, seen = doctor(m)
    assert (status, codes(seen["left"])) == (0, []), why


def assert_cured(m: Machine, wrong: Wrong) -> None:
    """Found alone, cured by --fix, and gone."""
    status, seen = doctor(m, "--fix")
    assert codes(seen["findings"]) == [(wrong.code, wrong.subject)]
    assert seen["findings"][0]["fixable"]
    assert wrong.code in {done["reason"] for done in seen["done"]}
    assert {done["result"] for done in seen["done"]} == {"done"}
    assert (status, codes(seen["left"])) == (0, []), wrong.code


def assert_told(m: Machine, wrong: Wrong) -> None:
    """Found alone, and gone once its own cure was followed."""
    status, seen = doctor(m)
    assert codes(seen["left"]) == [(wrong.code, wrong.subject)]
    (finding,) = seen["left"]
    assert (finding["counts"], finding["fixable"]) == (wrong.counts, False), wrong.code
    assert status == (4 if wrong.counts else 0)
    m.run(wrong.cure or "")
    # Where nothing else was made, the next look tells as much.
    if wrong.after:
        assert_silent(m, f"{wrong.code} is cured")


def assert_each_alone(m: Machine, wrongs: Iterable[Wrong]) -> None:
    """On a host on which nothing is wrong before, between them, and after."""
    assert_silent(m, "it is clean")
    for wrong in wrongs:
        m.run(wrong.make, timeout=120)
        if wrong.is_fixed:
            assert_cured(m, wrong)
        else:
            assert_told(m, wrong)
        if wrong.after:
            m.run(wrong.after, check=False)
    assert_silent(m, "it is clean again")


@procedures("P3", "P16")
def test_each_thing_around_the_pools_is_found_alone_cured_and_gone(machines: Factory) -> None:
    m = machines(disks=SIZES)
    clean(m)
    assert_each_alone(m, AROUND)
    assert_docker_works(m)


def test_each_thing_that_is_wrong_with_a_pool_is_found_alone_cured_and_gone(
    machines: Factory,
) -> None:
    m = machines(disks=SIZES)
    clean(m)
    assert_each_alone(m, (*BARES, *POOLS))
    assert_docker_works(m)


def test_each_reason_against_a_disk_is_told_alone_and_goes_with_it(machines: Factory) -> None:
    m = machines(disks=SIZES)
    clean(m)
    assert_each_alone(m, DISKS)
