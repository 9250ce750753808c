"""edge/lvm: a report in LVM's format becomes VGs, or an error that names what is wrong with it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.model import PoolLv, Profile, Pv
from dmguard.edge import lvm
from dmguard.edge.lvm import ReportError, parse_report
from dmguard.edge.run import SEARCH_PATH, CommandFailedError, Completed, Runner
from tests.edge.conftest import run, script
from tests.edge.lvmfake import (
    GIB,
    MIB,
    full_report,
    lv_row,
    pool_rows,
    pv_row,
    report,
    seg_row,
    vg_row,
)

if TYPE_CHECKING:
    from pathlib import Path


class FakeLvm:
    """A program `lvm` that notes its arguments and gives a prepared answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "argv"
        self.runner = Runner(path=f"{directory}/bin:{SEARCH_PATH}")

    def answers(self, text: str, *, status: int = 0, stderr: str = "") -> FakeLvm:
        (self.directory / "answer").write_text(text)
        log = f'for word; do printf "%s\\n" "$word"; done >> {self.log}'
        tell = f"cat {self.directory}/answer; printf '%s' {shlex.quote(stderr)} >&2"
        script(self.directory / "bin", "lvm", f"{log}; {tell}; exit {status}")
        return self

    @property
    def argv(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def fake(tmp_path: Path) -> FakeLvm:
    return FakeLvm(tmp_path)


def test_a_report_becomes_vgs_pvs_and_pools(fake: FakeLvm) -> None:
    fake.answers(full_report())
    with fake.runner:
        vgs = run(lvm.read_vgs(fake.runner))
    assert [vg.name for vg in vgs] == ["docker", "my-vg"]
    docker = vgs[0]
    assert docker.uuid == "AbCdEf" + "0123" * 5 + "UvWxYz"
    assert (docker.seqno, docker.size, docker.extent) == (42, 20 * GIB, 4 * MIB)
    assert (docker.exported, docker.writeable, docker.shared) == (False, True, False)
    assert docker.pvs == (
        Pv(
            "/dev/sdb",
            "pv-1",
            10 * GIB,
            6 * GIB,
            allocatable=True,
            missing=False,
            devno=(8, 16),
            device_size=10 * GIB + 4 * MIB,
            data_start=MIB,
            tags=("dmguard", "fast"),
        ),
        Pv(
            "/dev/sdc",
            "pv-2",
            10 * GIB,
            9 * GIB,
            allocatable=False,
            missing=False,
            devno=(8, 32),
            device_size=10 * GIB + 4 * MIB,
            data_start=MIB,
        ),
    )
    assert docker.free == 6 * GIB
    assert docker.pools == (
        PoolLv(
            vg="docker",
            name="pool",
            uuid="AbCdEf" + "4567" * 5 + "UvWxYz",
            size=2 * GIB,
            metadata_size=8 * MIB,
            chunk=65536,
            active=True,
            profile="thin-grow",
            thin_count=3,
            transaction_id=1,
        ),
    )
    assert docker.spare == 8 * MIB


def test_hyphenated_names_and_the_profile_of_the_vg(fake: FakeLvm) -> None:
    fake.answers(full_report())
    with fake.runner:
        vg = run(lvm.read_vgs(fake.runner))[1]
    assert [pool.full_name for pool in vg.pools] == ["my-vg/data-pool-1", "my-vg/vg-pool"]
    assert [pool.profile for pool in vg.pools] == ["of-the-vg", "of-the-vg"]
    assert vg.profile == "of-the-vg"
    assert [pool.active for pool in vg.pools] == [False, True]
    assert vg.spare is None


def test_volumes_that_are_no_pools_have_their_own_profiles() -> None:
    rows = [lv_row("home", "a", GIB, lv_profile="shared"), lv_row("root", "b", GIB)]
    segments = [{"lv_uuid": row["lv_uuid"], "segtype": "linear"} for row in rows]
    (vg,) = parse_report(report(vg_row("vg"), [], rows, segments))
    assert [(v.name, v.profile) for v in vg.volumes] == [("home", "shared"), ("root", None)]
    assert vg.profile is None


def test_what_is_asked_of_lvm_starts_no_monitor_and_waits_for_no_lock(fake: FakeLvm) -> None:
    fake.answers(full_report())
    with fake.runner:
        run(lvm.read_vgs(fake.runner))
    argv = fake.argv
    assert argv[:2] == ["fullreport", "--all"]
    assert "seg_monitor" not in " ".join(argv)
    assert {"--binary", "--nosuffix"} <= set(argv)
    for option, value in (("--reportformat", "json"), ("--units", "b")):
        assert argv[argv.index(option) + 1] == value
    config = argv[argv.index("--config") + 1].split()
    assert {"global/notify_dbus=0", "global/wait_for_locks=0"} <= set(config)
    assert "log/report_command_log=0" in config
    reports = [argv[i + 1] for i, word in enumerate(argv) if word == "--configreport"]
    assert reports == ["vg", "pv", "lv", "seg", "pvseg"]


def test_a_missing_pv_is_told_and_gives_no_space() -> None:
    gone = pv_row("[unknown]", "pv-9", 5 * GIB, 5 * GIB, missing="1")
    (vg,) = parse_report(report(vg_row("vg"), [pv_row("/dev/a", "pv-1", GIB, GIB), gone]))
    assert [pv.uuid for pv in vg.missing] == ["pv-9"]
    assert vg.free == GIB


def test_a_pv_that_is_not_allocatable_gives_no_space() -> None:
    (vg,) = parse_report(report(vg_row("vg"), [pv_row("/dev/a", "p", GIB, GIB, allocatable="0")]))
    assert vg.free == 0


@pytest.mark.parametrize(
    ("attributes", "lock_type", "expected"),
    [
        ("wz--n-", "", (False, True, False)),
        ("wz--n-", "none", (False, True, False)),
        ("wzx-n-", "", (True, True, False)),
        ("rz--n-", "", (False, False, False)),
        ("wz--nc", "", (False, True, True)),
        ("wz--ns", "sanlock", (False, True, True)),
        ("wz--n-", "dlm", (False, True, True)),
    ],
)
def test_the_attributes_of_a_vg(
    attributes: str, lock_type: str, expected: tuple[bool, bool, bool]
) -> None:
    row = vg_row("vg", vg_attr=attributes, vg_lock_type=lock_type)
    (vg,) = parse_report(report(row))
    assert (vg.exported, vg.writeable, vg.shared) == expected


# LVM takes them as they are when it reads, and refuses to write any of them.
HOSTILE = ("-y", "", ".", "..", "a b", "a/b", "a\nb", "\x1b[31m", "$(x)", "a" * 128, "\xe4", "[x]")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_lvm_does_not_write_goes_no_further(name: str) -> None:
    """The disk of another can bring it, and it would stand in commands and paths."""
    good, bad = pool_rows("pool", "good", GIB), pool_rows(name, "bad", GIB)
    volume = lv_row(name, "volume", GIB), seg_row("volume", "linear")
    rows = [good, bad, volume] if name else [good, bad]
    plain = [lv_row("plain", "plain", GIB)]
    segments = [seg for _, seg in rows] + [seg_row("plain", "linear")]

    (vg,) = parse_report(report(vg_row("vg"), [], [lv for lv, _ in rows] + plain, segments))

    assert vg.misnamed
    assert [pool.name for pool in vg.pools] == ["pool"]
    assert [volume.name for volume in vg.volumes] == ["plain"]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "[x]"])
def test_a_group_of_such_a_name_is_none(name: str) -> None:
    good, bad = (json.loads(report(vg_row(its)))["report"][0] for its in ("vg", name))

    vgs = parse_report(json.dumps({"report": [bad, good]}))

    assert [(vg.name, vg.misnamed) for vg in vgs] == [("vg", False)]


def test_a_hidden_part_of_such_a_name_is_not_active() -> None:
    pool, seg = pool_rows(
        "pool", "u", GIB, lv_active="0", metadata_lv="[a b]", data_lv="[pool_tdata]"
    )
    parts = [lv_row("[a b]", "m", MIB), lv_row("[pool_tdata]", "d", GIB)]
    segments = [seg, seg_row("m", "linear"), seg_row("d", "linear")]

    (vg,) = parse_report(report(vg_row("vg"), [], [pool, *parts], segments))

    assert vg.misnamed
    assert vg.pools[0].active_components == ("pool_tdata",)


def test_an_exported_vg_spoils_no_report(fake: FakeLvm) -> None:
    """LVM lists it, complains and ends with status 5."""
    text = json.dumps({"report": [*json.loads(full_report())["report"], _exported()]})
    fake.answers(text, status=5, stderr="  Volume group old is exported\n")
    with fake.runner:
        vgs = run(lvm.read_vgs(fake.runner))
    assert [(vg.name, vg.exported) for vg in vgs] == [
        ("docker", False),
        ("my-vg", False),
        ("old", True),
    ]


def _exported() -> Any:
    return json.loads(report(vg_row("old", vg_attr="wzx-n-")))["report"][0]


def test_a_failure_without_a_report_has_lvms_own_words(fake: FakeLvm) -> None:
    fake.answers("", status=5, stderr="  WARNING: x\n  Can't get lock for docker\n")
    with fake.runner, pytest.raises(CommandFailedError, match="Can't get lock for docker"):
        run(lvm.read_vgs(fake.runner))


def test_what_lvm_says_beside_its_report_is_not_taken_for_a_part_of_it(tmp_path: Path) -> None:
    """As lvm 2.03.16 does in the middle of it when the metadata of any one PV is damaged."""
    (tmp_path / "answer").write_text(full_report())
    script(
        tmp_path / "bin",
        "lvm",
        f"head -c 20 {tmp_path}/answer >&${{LVM_REPORT_FD:-1}}\n"
        "echo '  Retrying metadata scan.' >&${LVM_OUT_FD:-1}\n"
        f"tail -c +21 {tmp_path}/answer >&${{LVM_REPORT_FD:-1}}",
    )
    with Runner(path=f"{tmp_path}/bin:{SEARCH_PATH}") as runner:
        vgs = run(lvm.read_vgs(runner))
    assert [vg.name for vg in vgs] == ["docker", "my-vg"]


def test_an_answer_that_is_no_report_is_an_error_even_from_a_success(fake: FakeLvm) -> None:
    fake.answers("Rescanning devices\n")
    with fake.runner, pytest.raises(ReportError, match="lvm fullreport"):
        run(lvm.read_vgs(fake.runner))


def test_a_host_without_vgs_has_none() -> None:
    assert parse_report('{"report": [{"vg": [], "pv": [], "lv": [], "seg": []}]}') == ()
    orphans = {"vg": [], "pv": [pv_row("/dev/sdz", "p", GIB, GIB)], "lv": [], "seg": []}
    assert parse_report(json.dumps({"report": [orphans]})) == ()


@pytest.mark.parametrize("cut", [1, 10, 100, 1000, -1, -3])
def test_a_report_that_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(ReportError, match="lvm fullreport"):
        parse_report(full_report()[:cut].rstrip("\n}"))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"report": 1}', '{"report": [1]}'])
def test_json_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ReportError):
        parse_report(text)


SECTIONS = {
    "vg": "vg_name vg_uuid vg_seqno vg_size vg_extent_size vg_attr vg_profile vg_lock_type"
    " vg_autoactivation",
    "pv": "pv_name pv_uuid pv_size pv_free pv_allocatable pv_missing pv_major pv_minor dev_size"
    " pe_start pv_tags",
    "lv": "lv_name lv_uuid lv_size lv_metadata_size lv_active lv_profile lv_skip_activation"
    " lv_autoactivation data_lv metadata_lv",
    "seg": "lv_uuid segtype chunk_size thin_count transaction_id",
}


@pytest.mark.parametrize(
    ("section", "column"),
    [(section, column) for section, columns in SECTIONS.items() for column in columns.split()],
)
def test_a_missing_field_is_named(section: str, column: str) -> None:
    document = json.loads(full_report())
    for row in document["report"][1][section]:
        row.pop(column, None)
    with pytest.raises(ReportError, match=column):
        parse_report(json.dumps(document))


NUMBERS = ["vg_seqno", "vg_size", "vg_extent_size", "pv_size", "pv_free", "lv_size"]


@pytest.mark.parametrize(
    "column", [*NUMBERS, "lv_metadata_size", "chunk_size", "thin_count", "transaction_id"]
)
@pytest.mark.parametrize("value", ["", "12.5", "10g", "07", None])
def test_a_number_that_is_none_is_named_with_its_row(column: str, value: str | None) -> None:
    document = json.loads(full_report())
    for rows in document["report"][0].values():
        for row in rows:
            if column in row:
                row[column] = value
    with pytest.raises(ReportError, match=rf"^\S+: {column}: not a number: "):
        parse_report(json.dumps(document))


def test_a_flag_that_is_none_is_named() -> None:
    row = pv_row("/dev/a", "p", GIB, GIB, missing="missing")
    with pytest.raises(ReportError, match="/dev/a: pv_missing: neither 0 nor 1: 'missing'"):
        parse_report(report(vg_row("vg"), [row]))


@pytest.mark.parametrize(
    ("name", "expected"), [("[lvol0_pmspare]", 7), ("lvol0_pmspare", 7), ("pmspare", None)]
)
def test_the_spare_is_told_by_its_name(name: str, expected: int | None) -> None:
    (vg,) = parse_report(report(vg_row("vg"), lvs=[lv_row(name, "s", 7)]))
    assert vg.spare == expected


def test_a_thin_volume_is_no_pool() -> None:
    lv, seg = pool_rows("pool", "u", GIB)
    thin = lv_row("thin", "t", GIB)
    segs = [seg, seg_row("t", "thin", thins="0", transaction="0")]
    (vg,) = parse_report(report(vg_row("vg"), lvs=[thin, lv], segs=segs))
    assert [pool.name for pool in vg.pools] == ["pool"]


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (
            "thin_pool_autoextend_threshold=80\nthin_pool_autoextend_percent=30\n",
            0,
            Profile(80, 30),
        ),
        ("\tthin_pool_autoextend_percent=30\n", 5, Profile(100, 30)),
        ("thin_pool_autoextend_threshold=70\n", 5, Profile(70, 20)),
        ("", 5, None),
    ],
)
def test_a_profile_names_both_settings_or_one_or_is_none(
    fake: FakeLvm, answer: str, status: int, expected: Profile | None
) -> None:
    fake.answers(answer, status=status)
    with fake.runner:
        assert run(lvm.read_profile(fake.runner, "thin-grow")) == expected
    assert fake.argv[:3] == ["lvmconfig", "--metadataprofile", "thin-grow"]


def test_a_profile_that_lvm_dies_of_is_not_one_that_names_nothing(fake: FakeLvm) -> None:
    fake.answers("", status=137)
    with fake.runner, pytest.raises(CommandFailedError):
        run(lvm.read_profile(fake.runner, "thin-grow"))


def prints(root: Path) -> tuple[object, ...]:
    return lvm.fingerprint(root), tuple(sorted(lvm.backups(root).items()))


def test_the_fingerprints_change_with_every_file_that_lvm_commits_to(tmp_path: Path) -> None:
    for folder in ("backup", "profile", "devices"):
        (tmp_path / folder).mkdir()
    seen = [prints(tmp_path)]
    backup = tmp_path / "backup" / "docker"
    for path, text in (
        (tmp_path / "lvm.conf", "devices {}"),
        (backup, "seqno = 1"),
        (tmp_path / "backup" / "other", "seqno = 1"),
        (tmp_path / "profile" / "grow.profile", "x"),
        (tmp_path / "devices" / "system.devices", "x"),
    ):
        path.write_text(text)
        seen.append(prints(tmp_path))
    # As LVM does it: another file of the same size under the same name.
    (tmp_path / "part").write_text("seqno = 2")
    (tmp_path / "part").rename(backup)
    seen.append(prints(tmp_path))
    backup.unlink()
    seen.append(prints(tmp_path))
    assert len(set(seen)) == len(seen) == 8


def test_a_backup_that_is_written_is_that_of_one_group(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "docker").write_text("seqno = 1")
    (tmp_path / "backup" / "other").write_text("seqno = 1")
    before = lvm.fingerprint(tmp_path), lvm.backups(tmp_path)
    (tmp_path / "backup" / "docker").write_text("seqno = 22")
    assert lvm.fingerprint(tmp_path) == before[0]
    changed = {name for name, _ in before[1].items() ^ lvm.backups(tmp_path).items()}
    assert changed == {"docker"}


def test_the_fingerprints_stay_when_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "docker").write_text("seqno = 1")
    (tmp_path / "archive").mkdir()
    first = prints(tmp_path)
    (tmp_path / "archive" / "docker_00001.vg").write_text("x")
    (tmp_path / "backup" / "docker").read_text()
    assert prints(tmp_path) == first
    assert len(lvm.backups(tmp_path)) == 1


def test_only_the_groups_that_are_named_are_asked_for(fake: FakeLvm) -> None:
    fake.answers(full_report())
    with fake.runner:
        run(lvm.read_vgs(fake.runner, frozenset(("my-vg", "docker"))))
    assert fake.argv[-2:] == ["docker", "my-vg"]
    assert "--all" in fake.argv
    assert not any("filter" in word for word in fake.argv)


def test_lvm_is_shown_the_devices_alone_that_are_named(fake: FakeLvm) -> None:
    fake.answers(full_report())
    with fake.runner:
        run(lvm.read_vgs(fake.runner, {"docker"}, ("/dev/sdb",)))
    config = fake.argv[fake.argv.index("--config") + 1]
    assert config.startswith(lvm.READ_CONFIG)
    assert config.endswith('devices/filter=["a|^/dev/sdb$|","r|.*|"] devices/hints="none"')


def test_the_fingerprint_of_the_settings_is_another_thing_than_that_of_the_metadata(
    tmp_path: Path,
) -> None:
    prints = [lvm.settings_fingerprint(tmp_path)]
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "docker").write_text("seqno = 1")
    assert lvm.settings_fingerprint(tmp_path) == prints[0]
    (tmp_path / "profile").mkdir()
    for path in (tmp_path / "lvm.conf", tmp_path / "lvmlocal.conf", tmp_path / "profile" / "a"):
        path.write_text("x")
        prints.append(lvm.settings_fingerprint(tmp_path))
    assert len(set(prints)) == len(prints) == 4


@pytest.mark.parametrize(
    ("status", "stderr", "expected"),
    [
        (5, "  Can't get lock for docker\n", True),
        (5, "  /run/lock/lvm/V_docker:aux: flock failed: Resource temporarily unavailable\n", True),
        (5, "  Insufficient free space\n", False),
        (0, "  Can't get lock for docker\n", False),
        (5, "", False),
    ],
)
def test_a_command_that_gave_way_to_a_lock_is_busy(
    status: int,
    stderr: str,
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    assert lvm.is_busy(Completed(("lvm",), status, "", stderr, 0.1)) is expected


def test_a_pv_that_came_back_too_late_is_missing_and_has_its_device() -> None:
    away = pv_row("[unknown]", "p1", GIB, 0, missing="1")
    back = pv_row("/dev/sdc", "p2", GIB, 0, missing="1")
    (vg,) = parse_report(report(vg_row("vg"), [away, back]))
    assert [(pv.devno, pv.device_size) for pv in vg.missing] == [
        (None, None),
        ((8, 32), GIB + 4 * MIB),
    ]


@pytest.mark.parametrize(
    ("lv", "vg", "expected"),
    [("1", "1", True), ("0", "1", False), ("1", "0", False), ("0", "0", False)],
)
def test_a_pool_activates_by_itself_if_neither_it_nor_its_vg_forbids_it(
    lv: str,
    vg: str,
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    row, seg = pool_rows("pool", "u", GIB, lv_autoactivation=lv, lv_skip_activation=vg)
    text = report(vg_row("vg", vg_autoactivation=vg), lvs=[row], segs=[seg])
    (pool,) = parse_report(text)[0].pools
    assert pool.autoactivates is expected
    assert pool.skips_activation is (vg == "1")


@pytest.mark.parametrize("word", ["active", "1"])
@pytest.mark.parametrize(("of_pool", "expected"), [("0", ("pool_tmeta",)), ("1", ())])
def test_hidden_volumes_count_only_when_they_are_active_by_themselves(
    word: str, of_pool: str, expected: tuple[str, ...]
) -> None:
    row, seg = pool_rows(
        "pool",
        "u",
        GIB,
        lv_active=of_pool,
        data_lv="[pool_tdata]",
        metadata_lv="[pool_tmeta]",
    )
    hidden = [
        lv_row("[pool_tmeta]", "m", MIB, lv_active=word),
        lv_row("[pool_tdata]", "d", GIB, lv_active=""),
    ]
    (pool,) = parse_report(report(vg_row("vg"), lvs=[row, *hidden], segs=[seg]))[0].pools
    assert pool.active_components == expected


@pytest.mark.parametrize(
    ("segtype", "expected"),
    [("linear", False), ("striped", False), ("raid1", True), ("raid6_zr", True), ("mirror", True)],
)
def test_a_vg_with_mirrors_is_told(segtype: str, expected: bool) -> None:  # noqa: FBT001
    segs = [seg_row("x", segtype)]
    (vg,) = parse_report(report(vg_row("vg"), segs=segs))
    assert vg.mirrored is expected


def test_a_pv_that_lvm_sees_on_two_devices_is_told_apart(fake: FakeLvm) -> None:
    other = (
        "  WARNING: Not using device /dev/sdz for PV pv-1.\n"
        "  WARNING: PV pv-1 prefers device /dev/sdb because device is used by LV.\n"
    )
    fake.answers(full_report(), stderr=other)
    with fake.runner:
        vgs = run(lvm.read_vgs(fake.runner))
    twins = [pv.uuid for vg in vgs for pv in vg.pvs if pv.twin]
    assert twins == ["pv-1"]
    assert sum(len(vg.pvs) for vg in vgs) > 1
