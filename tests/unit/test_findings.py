"""What is wrong on a host, by its code and with its evidence."""

from dataclasses import replace

import pytest

from dmguard.core.codes import CODES, Severity
from dmguard.core.findings import Finding, find_all
from dmguard.core.ledger import Ledger
from dmguard.core.model import METADATA_MAX, Disk, Mode, Pool, State
from dmguard.core.settings import ClaimMode, Settings
from dmguard.core.units import Amount
from tests.unit.builders import (
    EXTENT,
    MIB,
    PLAIN,
    in_kernel,
    in_vg,
    make_pool,
    make_pv,
    make_settings,
    make_state,
    make_vg,
)
from tests.unit.disks import CLAIMS, DISK, RULE, consumer, host, make_disk, vg_of

DRY = make_vg(free=0)


def find(*pools: Pool, settings: Settings | None = None) -> dict[str, str]:
    """Codes and messages."""
    found = find_all(make_state(*pools), settings or make_settings())
    return {finding.code: finding.message for finding in found}


def test_a_healthy_host_has_no_findings() -> None:
    assert find(make_pool(), make_pool(90, 90, vg=make_vg(name="other"))) == {}


def test_a_dry_vg_is_found_when_a_pool_must_grow_and_not_before() -> None:
    assert find(make_pool(75, 70, vg=DRY)) == {}
    found = find(make_pool(80, vg=DRY))
    assert list(found) == ["vg-dry"]
    assert "80.00 % of its data is in use" in found["vg-dry"]
    assert "vgextend vg " in found["vg-dry"]


def test_a_vg_that_has_its_reserve_alone_is_dry_for_data_and_not_for_metadata() -> None:
    settings = make_settings(replace(PLAIN, vg_reserve=Amount(size=1000 * MIB)))
    vg = make_vg(free=1003)
    assert list(find(make_pool(80, vg=vg), settings=settings)) == ["vg-dry"]
    assert find(make_pool(50, 80, vg=vg), settings=settings) == {}
    assert find(make_pool(80, vg=make_vg(free=1004)), settings=settings) == {}


@pytest.mark.parametrize(
    ("own", "known", "told"),
    [
        (0, 5, False),  # a pool of Docker's or containerd's: LVM keeps no number
        (5, 5, False),
        (5, 4, False),  # LVM's message may still come
        (5, 3, True),
        (5, 6, True),
        (1, 0, False),
        (2, 0, True),
        (5, None, False),
    ],
)
def test_a_pool_that_lvm_will_not_activate_again_is_told(
    own: int, known: int | None, *, told: bool
) -> None:
    pool = in_kernel(make_pool(), transaction_id=known)
    pool = replace(pool, lv=replace(pool.lv, transaction_id=own))
    found = find(pool)
    assert list(found) == ["transaction-id-mismatch"] * told
    assert all(f"is {known}, and by LVM's metadata it is {own}" in said for said in found.values())


def test_a_transaction_id_of_a_pool_that_is_not_guarded_is_not_told() -> None:
    pool = in_kernel(make_pool(), transaction_id=9)
    pool = replace(pool, lv=replace(pool.lv, transaction_id=5))
    assert find(pool, settings=replace(make_settings(), pools=("other/*",))) == {}


@pytest.mark.parametrize(
    ("percent", "needs_check", "code"),
    [
        (100, False, "out-of-metadata"),
        (99, False, "pool-read-only"),
        (100, True, "pool-needs-check"),
    ],
)
def test_a_pool_out_of_metadata_is_told_apart_from_others_that_are_read_only(
    percent: int, *, needs_check: bool, code: str
) -> None:
    pool = make_pool(50, percent, vg=make_vg(free=12))
    pool = in_kernel(pool, mode=Mode.RO, needs_check=needs_check)
    found = find(pool)
    assert list(found) == [code]
    if code == "out-of-metadata":
        assert found[code].endswith("all 100.00 MiB are in use; vg has 12.00 MiB free")


def test_a_group_with_a_name_that_lvm_does_not_write_is_told_once_with_or_without_a_pool() -> None:
    vg = replace(make_vg(), misnamed=True)
    for pools in ((), (make_pool(80, vg=vg), make_pool(80, vg=vg, name="two"))):
        findings = find_all(replace(make_state(*pools), vgs=(vg,)), make_settings())
        assert [(its.code, its.subject) for its in findings] == [("vg-misnamed", "vg")]


def test_a_pool_that_is_starved_of_both_is_one_finding() -> None:
    findings = find_all(make_state(make_pool(80, 80, vg=DRY)), make_settings())
    assert [finding.code for finding in findings] == ["vg-dry"]


def test_two_pools_of_a_dry_vg_are_two_findings() -> None:
    state = make_state(make_pool(80, vg=DRY), make_pool(80, vg=DRY, name="two"))
    assert [f.subject for f in find_all(state, make_settings())] == ["vg/pool", "vg/two"]


def test_a_pool_at_its_ceiling_is_found_when_it_must_grow_and_not_before() -> None:
    settings = make_settings(replace(PLAIN, max_size=10_003 * MIB))
    assert find(make_pool(75), settings=settings) == {}
    assert list(find(make_pool(76), settings=settings)) == ["pool-ceiling"]
    roomy = make_settings(replace(PLAIN, max_size=10_004 * MIB))
    assert find(make_pool(76), settings=roomy) == {}


def test_a_pool_at_its_ceiling_is_not_told_to_want_a_disk() -> None:
    ceiling = make_settings(replace(PLAIN, max_size=10_003 * MIB))
    assert set(find(make_pool(80, vg=DRY), settings=ceiling)) == {"pool-ceiling"}
    roomy = make_settings(replace(PLAIN, max_size=10_004 * MIB))
    assert set(find(make_pool(80, vg=DRY), settings=roomy)) == {"vg-dry"}
    # What its metadata wants is another matter.
    assert set(find(make_pool(80, 80, vg=DRY), settings=ceiling)) == {"pool-ceiling", "vg-dry"}
    most = METADATA_MAX // EXTENT * EXTENT // MIB
    at_limit = make_pool(metadata=71, metadata_size=most, vg=DRY)
    assert set(find(at_limit)) == {"metadata-ceiling"}


def test_metadata_at_the_kernels_limit_is_found_when_it_must_grow() -> None:
    most = METADATA_MAX // EXTENT * EXTENT // MIB
    assert list(find(make_pool(metadata=71, metadata_size=most))) == ["metadata-ceiling"]
    assert find(make_pool(metadata=70, metadata_size=most)) == {}


def test_a_full_pool_is_critical_and_says_whether_its_writers_wait() -> None:
    full = in_kernel(make_pool(100), mode=Mode.OUT_OF_DATA)
    assert "writers wait" in find(full)["out-of-data"]
    failing = in_kernel(full, errors_when_full=True)
    assert "writes fail" in find(failing)["out-of-data-errors"]
    for code in ("out-of-data", "out-of-data-errors"):
        assert CODES[code].severity is Severity.CRITICAL


def test_a_full_pool_of_a_dry_vg_is_both() -> None:
    full = in_kernel(make_pool(100, vg=DRY), mode=Mode.OUT_OF_DATA)
    assert set(find(full)) == {"out-of-data", "vg-dry"}


def test_a_pool_that_must_not_be_changed_says_what_the_kernel_says() -> None:
    pool = in_kernel(make_pool(), mode=Mode.RO, needs_check=True)
    assert find(pool)["pool-needs-check"].endswith("the kernel says ro, needs_check")


def test_a_missing_pv_is_named() -> None:
    pool = make_pool()
    pool = in_vg(pool, pvs=(*pool.vg.pvs, make_pv(0, name="gone", missing=True)))
    assert "pv-gone" in find(pool)["vg-missing-pv"]


def test_an_unguarded_pool_has_no_findings() -> None:
    other = Settings(pools=("other/*",))
    full = in_kernel(make_pool(100, vg=DRY), mode=Mode.OUT_OF_DATA)
    assert find(full, in_kernel(make_pool(name="two"), mode=Mode.FAIL), settings=other) == {}


def test_a_pool_that_lvm_does_not_list_is_found() -> None:
    kernel = make_pool().kernel
    assert kernel is not None
    (finding,) = find_all(make_state(unknown=(kernel,)), make_settings())
    assert (finding.code, finding.subject) == ("pool-unknown", "vg-pool")


def test_two_findings_of_one_code_and_subject_are_the_same_whatever_their_numbers() -> None:
    assert Finding("vg-dry", "vg/pool", "80 %").key == Finding("vg-dry", "vg/pool", "81 %").key
    assert Finding("vg-dry", "vg/pool", "").key != Finding("vg-dry", "vg/two", "").key
    assert Finding("vg-dry", "vg/pool", "").key != Finding("pool-ceiling", "vg/pool", "").key


HOME = make_disk("a")


def disk_findings(state: State, settings: Settings = CLAIMS) -> list[tuple[str, str]]:
    return [(f.code, f.subject) for f in find_all(state, settings) if f.code.startswith("disk")]


def test_a_disk_that_a_rule_is_for_and_that_is_refused_is_found_with_its_first_reason() -> None:
    disk = make_disk(zoned=True, removable=True)
    (finding,) = find_all(host(HOME, disk), CLAIMS)
    assert (finding.code, finding.subject) == ("disk-removable", "/dev/sdb")
    assert finding.message.startswith("/dev/sdb, serial:serial-b: not claimed for vg: ")


SILENT: list[tuple[str, Disk, Ledger]] = [
    ("no rule", make_disk(path="usb-1", removable=True), Ledger()),
    ("ignored", DISK, Ledger(ignored=frozenset({DISK.identity}))),
    ("not ready", make_disk(ready=False), Ledger()),
    ("not looked at", make_disk(probe=None), Ledger()),
    ("claimable", DISK, Ledger()),
]


@pytest.mark.parametrize(
    ("disk", "ledger"), [row[1:] for row in SILENT], ids=[r[0] for r in SILENT]
)
def test_of_other_disks_nothing_is_said(disk: Disk, ledger: Ledger) -> None:
    assert find_all(host(HOME, disk, ledger=ledger), CLAIMS) == ()


def test_a_disk_that_waits_for_a_hand_or_was_taken_out_is_told() -> None:
    ask = Settings(claims=(replace(RULE, mode=ClaimMode.ASK),))
    assert disk_findings(host(HOME, DISK), ask) == [("disk-ask", "/dev/sdb")]
    out = Ledger(taken_out=frozenset({DISK.identity}))
    assert disk_findings(host(HOME, DISK, ledger=out)) == [("disk-taken-out", "/dev/sdb")]
    assert disk_findings(host(HOME, DISK, vg=vg_of(HOME, DISK))) == []


def test_a_consumer_that_is_down_for_want_of_its_pool_is_found() -> None:
    up = in_kernel(make_pool(), appeared=1000)
    state = replace(make_state(up), consumers=(consumer("failed", tried=900),))
    (finding,) = find_all(state, make_settings())
    assert (finding.code, finding.subject) == ("consumer-down", "vg/pool")
    assert finding.message.endswith("docker.service was started before it was there, and is failed")
    later = replace(state, consumers=(consumer("failed", tried=1100),))
    assert find_all(later, make_settings()) == ()
    assert find_all(state, Settings(pools=("other/*",))) == ()


def test_a_pool_that_is_meant_to_be_down_is_told_as_that() -> None:
    down = replace(make_pool(), kernel=None)
    manual = replace(down, lv=replace(down.lv, autoactivates=False))
    assert list(find(down)) == ["pool-inactive"]
    assert list(find(manual)) == ["activation-off"]
    assert list(find(manual, settings=Settings(pools=("vg/*",)))) == ["pool-inactive"]
