"""What is wrong around the pools: each rule alone, and silence where nothing is."""

from dataclasses import replace
from pathlib import Path

import pytest

import dmguard
from dmguard.core.codes import CODES, Severity
from dmguard.core.consumers.flags import Flags
from dmguard.core.findings import Finding
from dmguard.core.findings.host import counts, examine, find_around, is_around
from dmguard.core.findings.host.consumers import KUBELET
from dmguard.core.findings.host.docker import SETUP
from dmguard.core.host import ACTIVATE, AGENT, DeviceEntry, DockerData, Host, PoolVolumes
from dmguard.core.ledger import Ledger
from dmguard.core.model import Disk, DiskKind, Pool, State
from dmguard.core.settings import Settings
from dmguard.core.units import Amount
from tests.unit.around import (
    DAEMON_JSON,
    HOST,
    NO_AGENT,
    POOL,
    around,
    conf,
    daemon_json,
    file,
    follows,
    told,
    unit,
)
from tests.unit.builders import (
    GIB,
    MIB,
    PLAIN,
    in_kernel,
    in_vg,
    make_pool,
    make_settings,
    make_vg,
    with_profile,
)
from tests.unit.disks import make_disk, vg_of

BARE = make_pool()
UUID = POOL.lv.uuid
UNWATCHED = replace(HOST, monitored={UUID: False})
CAPPED = make_settings(replace(PLAIN, max_size=20_000 * MIB))


def in_lvm(pool: Pool = POOL, **changes: object) -> Pool:
    """The pool, with something else in LVM's metadata."""
    return replace(pool, lv=replace(pool.lv, **changes))  # type: ignore[arg-type]


def docker(*options: str, driver: str | None = "devicemapper") -> Host:
    return file(DAEMON_JSON, daemon_json(*options, driver=driver))


BY_NAME = "dm.thinpooldev=/dev/mapper/vg-pool"


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert examine(around(), make_settings()) == ()


def test_nothing_is_found_where_the_host_was_not_looked_at() -> None:
    assert list(find_around(replace(around(), host=None), make_settings())) == []


def test_a_host_of_which_nothing_is_known_has_no_findings() -> None:
    assert told(around(BARE, Host())) == {}


def test_a_plain_pool_that_the_agent_guards_needs_no_profile() -> None:
    assert told(around(BARE, consumer=None)) == {}


# --- Growth ---------------------------------------------------------------------------------------

GROWTH: list[tuple[str, State, list[str]]] = [
    ("no profile", around(BARE), ["profile-missing"]),
    ("a profile that is off", around(follows(with_profile(BARE, 100), "p"),
        replace(HOST, profiles={"p": ""})), ["profile-missing"]),
    ("lvm.conf has it on", around(BARE, conf(threshold=70)), []),
    ("nobody would act by it", around(BARE, replace(HOST, dmeventd=False)), []),
    ("nobody acts by it where monitoring is off", around(BARE, conf(monitoring=False)), []),
    ("its file is gone", around(POOL, replace(HOST, profiles={})), ["profile-lost"]),
    ("a step of nothing", around(with_profile(POOL, 80, 0)), ["autoextend-half-set"]),
    ("a step of nothing in lvm.conf", around(BARE, conf(threshold=70, percent=0)),
        ["autoextend-half-set"]),
    ("a step of nothing, and off", around(BARE, conf(percent=0), consumer=None), []),
    ("not monitored", around(POOL, UNWATCHED), ["pool-not-monitored"]),
    ("monitoring is off in lvm.conf", around(POOL, conf(UNWATCHED, monitoring=False)), []),
    ("monitoring is not known", around(POOL, replace(HOST, monitored={})), []),
    ("an inactive pool is not monitored", around(replace(POOL, kernel=None), UNWATCHED), []),
    ("no agent, and LVM does it", around(POOL, NO_AGENT), []),
    ("no agent, no profile", around(BARE, NO_AGENT, consumer=None), ["autoextend-off"]),
    ("no agent, not watched", around(POOL, replace(NO_AGENT, monitored={UUID: False})),
        ["pool-not-monitored"]),
    ("no agent, not watched, no profile",
        around(BARE, replace(NO_AGENT, monitored={UUID: False}), consumer=None),
        ["autoextend-off", "pool-not-monitored"]),
    ("no agent, not watched as lvm.conf has it",
        around(POOL, conf(replace(NO_AGENT, monitored={UUID: False}), monitoring=False)),
        ["autoextend-off"]),
    ("no agent, no dmeventd", around(POOL, replace(NO_AGENT, dmeventd=False)), ["autoextend-off"]),
    ("the agent is not known", around(BARE, replace(HOST, units={}), consumer=None), []),
    ("no agent, no mark", around(in_kernel(POOL, low_water=0), NO_AGENT), ["mark-not-live"]),
    ("the mark is the agent's", around(in_kernel(POOL, low_water=0)), []),
    ("another command of dmeventd's", around(POOL, conf(thin_command="/usr/bin/x")),
        ["other-extender"]),
]  # fmt: skip


@pytest.mark.parametrize(("state", "codes"), [r[1:] for r in GROWTH], ids=[r[0] for r in GROWTH])
def test_growth(state: State, codes: list[str]) -> None:
    assert list(told(state)) == codes


def test_a_ceiling_is_not_dmeventds() -> None:
    assert list(told(around(), CAPPED)) == ["ceiling-not-kept"]
    assert told(around(BARE, consumer=None), CAPPED) == {}


def test_a_pool_with_a_ceiling_is_left_to_dmguard() -> None:
    assert told(around(BARE), CAPPED) == {}
    assert told(around(POOL, UNWATCHED), CAPPED) == {}
    off = follows(with_profile(BARE, 100), "p")
    assert told(around(off, replace(HOST, profiles={"p": ""})), CAPPED) == {}
    assert told(around(off, replace(UNWATCHED, profiles={"p": ""})), CAPPED).keys() == {
        "pool-not-monitored"
    }
    named = make_settings(PLAIN, vg__pool=CAPPED.policy)
    assert told(around(BARE), named) == {}
    assert list(told(around(BARE, NO_AGENT), CAPPED)) == ["autoextend-off"]


def test_of_a_pool_that_is_not_guarded_nothing_is_said() -> None:
    other = Settings(pools=("other/*",))
    assert told(around(BARE, NO_AGENT), other) == {}


# --- Room -----------------------------------------------------------------------------------------

SMALL_VG = make_vg(free=100)


@pytest.mark.parametrize(
    ("pool", "codes"),
    [
        (in_vg(POOL, pvs=SMALL_VG.pvs), []),
        (replace(make_pool(51, vg=SMALL_VG), profile=POOL.profile), ["vg-room-low"]),
        (make_pool(51, vg=SMALL_VG), ["vg-room-low"]),
        (make_pool(65, vg=SMALL_VG), ["vg-room-low"]),
        (make_pool(66, vg=SMALL_VG), ["vg-short"]),
        (replace(make_pool(70, vg=SMALL_VG), profile=POOL.profile), ["vg-room-low"]),
        (replace(make_pool(71, vg=SMALL_VG), profile=POOL.profile), ["vg-short"]),
        (make_pool(76, vg=SMALL_VG), ["vg-short"]),
        (make_pool(50, vg=SMALL_VG), []),
        (make_pool(51, vg=make_vg(free=0)), ["vg-room-low"]),
        (make_pool(76, vg=make_vg(free=0)), []),
        (make_pool(51, vg=make_vg(free=2_000)), []),
        (make_pool(51, vg=make_vg(free=1_996)), ["vg-room-low"]),
    ],
)
def test_the_room_for_a_step(pool: Pool, codes: list[str]) -> None:
    assert list(told(around(pool, consumer=None))) == codes


def test_lvms_own_step_must_fit_where_it_is_left_to_lvm() -> None:
    pool = in_vg(POOL, pvs=SMALL_VG.pvs)
    assert told(around(pool, NO_AGENT, consumer=None)) == {"step-unfit": "vg/pool"}
    unknown = replace(HOST, units={})
    assert told(around(pool, unknown, consumer=None)) == {}
    unwatched = replace(NO_AGENT, monitored={UUID: False})
    assert told(around(pool, unwatched, consumer=None)) == {"pool-not-monitored": "vg/pool"}
    off = make_pool(vg=SMALL_VG)
    assert told(around(off, NO_AGENT, consumer=None)) == {"autoextend-off": "vg/pool"}


def test_the_reserve_is_no_room_for_a_step() -> None:
    settings = make_settings(replace(PLAIN, vg_reserve=Amount(size=4 * MIB)))
    pool = make_pool(51, vg=make_vg(free=2_000))
    assert list(told(around(pool, consumer=None), settings)) == ["vg-room-low"]


def test_a_group_that_a_pool_has_taken_whole_does_not_count_before_its_threshold_is_near() -> None:
    """As the installer of Proxmox VE makes it."""
    for used, counted in ((60, []), (70, ["vg-short"])):
        pool = make_pool(used, vg=make_vg(free=1_000))
        found = find_around(around(pool, consumer=None), make_settings())
        assert [finding.code for finding in found if counts(finding)] == counted


def test_a_step_goes_no_further_than_the_ceiling() -> None:
    settings = make_settings(replace(PLAIN, max_size=10_004 * MIB))
    pool = make_pool(51, vg=make_vg(free=4))
    assert told(around(pool, consumer=None), settings) == {}


def test_metadata_has_to_be_enough_for_all_chunks() -> None:
    """160000 chunks of 64 KiB, 64 bytes for each."""
    assert list(told(around(make_pool(metadata_size=9), consumer=None))) == ["metadata-small"]
    assert told(around(make_pool(metadata_size=10), consumer=None)) == {}


def test_a_spare_has_to_be_as_large_as_the_largest_metadata() -> None:
    pool = make_pool()
    without, short = in_vg(pool, spare=None), in_vg(pool, spare=96 * MIB)
    assert told(around(without, consumer=None)) == {"spare-short": "vg/pool"}
    assert told(around(short, consumer=None)) == {"spare-short": "vg/pool"}
    larger = replace(pool.lv, name="large", uuid="large", metadata_size=200 * MIB)
    two = in_vg(short, pools=(pool.lv, larger))
    assert told(around(two, consumer=None)) == {}, "it is told of the other one"


def test_of_a_pool_that_must_not_be_changed_no_room_is_asked() -> None:
    pool = replace(in_vg(make_pool(metadata_size=9), spare=None), kernel=None)
    assert told(around(pool, consumer=None)) == {}


# --- Activation -----------------------------------------------------------------------------------

ACTIVATION: list[tuple[str, State, list[str]]] = [
    ("skip flag", around(in_lvm(skips_activation=True)), ["activation-skipped"]),
    ("skip flag of nobody's pool", around(in_lvm(skips_activation=True), consumer=None), []),
    ("no autoactivation", around(in_lvm(autoactivates=False)), ["autoactivation-excludes"]),
    ("an empty list", around(POOL, conf(auto_activation_volume_list=())),
        ["autoactivation-excludes"]),
    ("a list with its VG", around(POOL, conf(auto_activation_volume_list=("a", "vg"))), []),
    ("a list with the pool", around(POOL, conf(volume_list=("vg/pool",))), []),
    ("a list without it", around(POOL, conf(volume_list=("a", "vg/other"))),
        ["volume-list-excludes"]),
    ("a tag decides", around(POOL, conf(volume_list=("a", "@host"))), []),
    ("both lists", around(POOL, conf(volume_list=(), auto_activation_volume_list=())),
        ["volume-list-excludes"]),
    ("no thin_check", around(POOL, conf(thin_check_missing=True)), ["thin-check-missing"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "codes"), [r[1:] for r in ACTIVATION], ids=[r[0] for r in ACTIVATION]
)
def test_activation(state: State, codes: list[str]) -> None:
    assert list(told(state)) == codes


@pytest.mark.parametrize(
    ("uuid", "name", "globs", "codes"),
    [
        ("of-another", "b/pool", ("*/*", "b/pool"), ["vg-foreign"]),
        ("of-another", "vg/pool", ("*/*",), ["vg-foreign"]),
        ("of-another", "b/pool", ("*/*",), []),
        (POOL.lv.uuid, "vg/pool", ("*/*", "vg/pool"), []),
    ],
)
def test_a_pool_of_another_host_is_told_where_it_is_wanted_here(
    uuid: str, name: str, globs: tuple[str, ...], codes: list[str]
) -> None:
    """vg/pool is a consumer's; a group may also have this host's own system id."""
    state = around(POOL, replace(HOST, owned={uuid: (name, "another")}))
    settings = replace(make_settings(), pools=globs)
    assert list(told(state, settings)) == codes


# --- Devices --------------------------------------------------------------------------------------

HOME = make_disk("a")
LISTED = DeviceEntry("sys_wwid", "naa.5", "pv-serial-a")


def on(*disks: Disk, host: Host = HOST) -> State:
    """Docker's pool on a disk."""
    pool = in_vg(POOL, pvs=vg_of(HOME).pvs)
    pool = in_vg(pool, pvs=tuple(replace(pv, free=10 * GIB) for pv in pool.vg.pvs))
    return around(pool, host, disks=disks)


def test_a_pv_on_a_loop_device_is_found() -> None:
    loop = replace(HOME, kind=DiskKind.LOOP)
    assert told(on(loop)) == {"pv-on-loop": "/dev/sda"}
    assert told(on(HOME)) == {}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("a|^/dev/sdb$|", "r|.*|"), True),
        (("a|^/dev/nvme0n1|", "r|.*|"), True),
        (("a|^/dev/sd.*|", "r|.*|"), False),
        (("a|^/dev/disk/by-id/.*|", "r|.*|"), False),
        (("a|^/dev/sdb$|",), False),
        (("r|^/dev/sdb$|", "a|.*|"), False),
        ((), False),
    ],
)
def test_filters_by_names_that_change(filters: tuple[str, ...], found: bool) -> None:  # noqa: FBT001
    assert ("filter-by-name" in told(on(HOME, host=conf(filters=filters)))) is found
    unused = conf(filters=filters, devices=(LISTED,))
    assert told(on(HOME, host=unused)) == {}, "a devices file puts filters out of force"


def test_a_devices_file_that_knows_a_pv_by_name_is_told() -> None:
    by_name = replace(LISTED, kind="devname", name="/dev/sda")
    assert told(on(HOME, host=conf(devices=(by_name,)))) == {"devices-file-by-name": "/dev/sda"}
    other = replace(by_name, pv_uuid="other")
    assert told(on(HOME, host=conf(devices=(other, LISTED)))) == {}


def test_a_disk_that_the_devices_file_hides_is_told_when_a_pool_is_missing_and_not_before() -> None:
    hidden = make_disk("b", content="LVM2_member")
    listed = conf(devices=(LISTED,))
    assert told(on(HOME, hidden, host=listed)) == {}
    away = replace(on(HOME, hidden, host=listed), pools=())
    assert told(away)["devices-file-excludes"] == "/dev/sdb"
    assert "devices-file-excludes" not in told(replace(away, host=HOST))


def test_a_disk_that_the_devices_file_lists_is_not_hidden_though_no_group_has_it() -> None:
    spare = make_disk("b", content="LVM2_member", links=("/dev/disk/by-id/lvm-pv-uuid-AbC-d1",))
    for uuid, told_of in (("AbCd1", False), ("AbCd2", True), ("", True)):
        listed = conf(devices=(LISTED, DeviceEntry("devname", "/dev/sdb", uuid)))
        away = replace(on(HOME, spare, host=listed), pools=())
        assert ("devices-file-excludes" in told(away)) is told_of


def test_a_disk_that_is_ignored_by_its_place_is_told() -> None:
    ledger = Ledger(ignored=frozenset({"path:pci-1", "wwn:5"}))
    assert told(around(ledger=ledger)) == {"disk-by-place": "path:pci-1"}


# --- Consumers ------------------------------------------------------------------------------------

NODE = replace(HOST, programs=frozenset({"kubelet"}))
UNORDERED = unit("docker.service", after=frozenset(), wants=frozenset())
CONSUMERS: list[tuple[str, State, list[str]]] = [
    ("neither after nor wants", around(POOL, UNORDERED), ["unit-not-ordered"]),
    ("after alone", around(POOL, unit("docker.service", wants=frozenset())), ["unit-not-ordered"]),
    ("requires will do", around(POOL, unit("docker.service", wants=frozenset(),
        requires=frozenset({ACTIVATE}))), []),
    ("what it waits for is masked", around(POOL, unit(ACTIVATE, load="masked")),
        ["unit-not-ordered"]),
    ("not installed", around(POOL, unit("docker.service", UNORDERED, load="not-found")), []),
    ("not asked", around(POOL, replace(HOST, units={})), []),
    ("unordered, of nobody's pool", around(POOL, UNORDERED, consumer=None), []),
    ("thin volumes", around(in_lvm(thin_count=1)), ["thin-volumes-beside"]),
    ("thin volumes in LVM's own pool", around(in_lvm(thin_count=1), consumer=None), []),
    ("kubelet as it comes", around(POOL, file(KUBELET, "kind: KubeletConfiguration\n", NODE)), []),
    ("kubelet collects first",
        around(POOL, file(KUBELET, "imageGCHighThresholdPercent: 80\n", NODE)), ["kubelet-first"]),
    ("kubelet evicts first",
        around(POOL, file(KUBELET, 'evictionHard:\n  imagefs.available: "25%"\n', NODE)),
        ["kubelet-first"]),
    ("kubelet where only its unit is known",
        around(POOL, file(KUBELET, "imageGCHighThresholdPercent: 80\n", unit("kubelet.service"))),
        ["kubelet-first"]),
    ("what a removed kubelet left behind",
        around(POOL, file(KUBELET, "imageGCHighThresholdPercent: 80\n")), []),
    ("kubelet of a host without a pool of containers",
        around(POOL, file(KUBELET, "imageGCHighThresholdPercent: 80\n", NODE), consumer=None), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "codes"), [r[1:] for r in CONSUMERS], ids=[r[0] for r in CONSUMERS]
)
def test_consumers(state: State, codes: list[str]) -> None:
    assert list(told(state)) == codes


SNAPSHOTTER = (
    'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name = "vg-pool"\n'
)
OFF = 'disabled_plugins = ["io.containerd.snapshotter.v1.devmapper"]\n'


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (f'{SNAPSHOTTER}base_image_size = "1GB"\n', []),
        (SNAPSHOTTER, ["snapshotter-unusable"]),
        (f'{OFF}{SNAPSHOTTER}base_image_size = "1GB"\n', ["snapshotter-unusable"]),
        (OFF, []),
        ("not TOML", []),
    ],
)
def test_containerds_snapshotter(text: str, codes: list[str]) -> None:
    state = around(POOL, file("/etc/containerd/config.toml", text))
    assert list(told(state)) == codes


def test_of_a_snapshotter_that_an_imported_file_sets_up_nothing_is_said() -> None:
    """It comes before what the file itself says, and only its pool is known."""
    own = file("/etc/containerd/config.toml", SNAPSHOTTER)
    assert list(told(around(POOL, own))) == ["snapshotter-unusable"]
    assert told(around(POOL, replace(own, imports={"/etc/containerd/a.toml": "vg-pool"}))) == {}


# --- Docker ---------------------------------------------------------------------------------------

VERSIONED = docker(BY_NAME, driver=None)
DOCKER: list[tuple[str, Host, list[str]]] = [
    ("no sign", docker(BY_NAME, "dm.min_free_space=10"), ["min-free-invalid"]),
    ("more than all", docker(BY_NAME, "dm.min_free_space=100%"), ["min-free-invalid"]),
    ("as the default", docker(BY_NAME, "dm.min_free_space=10%"), []),
    ("on the mark", docker(BY_NAME, "dm.min_free_space=20%"), []),
    ("above the mark", docker(BY_NAME, "dm.min_free_space=21%"), ["min-free-above"]),
    ("LVM's path", docker("dm.thinpooldev=/dev/vg/pool"), ["pool-named-by-path"]),
    ("the bare name", docker("dm.thinpooldev=vg-pool"), []),
    ("another driver", docker("dm.thinpooldev=/dev/vg/pool", driver="overlay2"), []),
    ("gone", replace(HOST, docker_version="26.1.5"), ["driver-gone"]),
    ("gone, not used", replace(docker(driver=None), docker_version="26.1.5"), []),
    ("not chosen", replace(VERSIONED, docker_version="23.0.1"), ["driver-not-chosen"]),
    ("found by itself", replace(VERSIONED, docker_version="20.10.24"), []),
    ("chosen", replace(HOST, docker_version="24.0.9"), []),
    ("unknown version", replace(VERSIONED, docker_version=None), []),
    ("force", docker("dm.directlvm_device=/dev/sdb", "dm.directlvm_device_force=true"),
        ["docker-force"]),
    ("force is off", docker("dm.directlvm_device_force=false"), []),
    ("true is not yes", file(SETUP, "AUTO_EXTEND_POOL=true\n"), ["auto-extend-ignored"]),
    ("yes", file(SETUP, 'AUTO_EXTEND_POOL="yes"\n'), []),
    ("no", file(SETUP, "AUTO_EXTEND_POOL=no\n"), []),
    ("a comment", file(SETUP, "# AUTO_EXTEND_POOL=true\n"), []),
    ("an unknown option", docker(BY_NAME, "dm.minfree=1"), ["options-refused"]),
    ("an option of another driver", docker(BY_NAME, "overlay2.size=1G"), ["options-refused"]),
    ("deletion without removal", docker(BY_NAME, "dm.use_deferred_deletion=true",
        "dm.use_deferred_removal=false"), ["options-refused"]),
    ("deletion, and removal by itself", docker(BY_NAME, "dm.use_deferred_deletion=true"), []),
    ("two pools", docker(BY_NAME, "dm.directlvm_device=/dev/sdb"), ["options-refused"]),
    ("one share", docker("dm.directlvm_device=/dev/sdb", "dm.thinp_percent=95"),
        ["options-refused"]),
    ("both shares", docker("dm.directlvm_device=/dev/sdb", "dm.thinp_percent=95",
        "dm.thinp_metapercent=1"), []),
    ("shares of more than all", docker("dm.directlvm_device=/dev/sdb", "dm.thinp_percent=95",
        "dm.thinp_metapercent=6"), ["options-refused"]),
    ("shares of nothing", docker("dm.thinp_percent=95"), ["options-refused"]),
    ("not to be understood", file(DAEMON_JSON, "{"), []),
]  # fmt: skip


@pytest.mark.parametrize(("host", "codes"), [r[1:] for r in DOCKER], ids=[r[0] for r in DOCKER])
def test_docker(host: Host, codes: list[str]) -> None:
    assert list(told(around(POOL, host))) == codes


BROKEN = docker(BY_NAME, "dm.min_free_space=10")
GONE = replace(BROKEN, units={AGENT: HOST.units[AGENT]}, docker_version=None)
ELSEWHERE = {"docker": Flags(config_file="/srv/d.json")}


def test_a_file_that_a_removed_docker_left_behind_says_nothing() -> None:
    assert told(around(POOL, BROKEN)) == {"min-free-invalid": DAEMON_JSON}
    assert told(around(POOL, GONE, consumer=None)) == {}
    masked = unit("docker.service", BROKEN, load="masked")
    assert "min-free-invalid" not in told(around(POOL, masked))
    by_hand = replace(GONE, programs=frozenset({"dockerd"}))
    assert told(around(POOL, by_hand, consumer=None)) == {"min-free-invalid": DAEMON_JSON}


def test_of_two_files_the_one_counts_that_the_command_line_names() -> None:
    assert told(around(POOL, replace(BROKEN, flags=ELSEWHERE))) == {}
    moved = file("/srv/d.json", BROKEN.files[DAEMON_JSON], replace(HOST, flags=ELSEWHERE))
    assert told(around(POOL, moved)) == {"min-free-invalid": "/srv/d.json"}


@pytest.mark.parametrize(
    ("data", "number", "found"),
    [
        (DockerData("/d", there=True), 7, True),
        (DockerData("/d", there=False), 7, True),
        (DockerData("/d", there=True, devices=True), 7, False),
        (DockerData("/d", there=True), 0, False),
        (DockerData("/d", there=True), None, False),
        (None, 7, False),
    ],
)
def test_a_pool_that_docker_does_not_know_any_more(
    data: DockerData | None,
    number: int | None,
    found: bool,  # noqa: FBT001
) -> None:
    state = around(in_kernel(POOL, transaction_id=number), replace(HOST, docker=data))
    assert told(state) == ({"docker-data-missing": "vg/pool"} if found else {})


def docker_noted(number: int | None, *, devices: bool = True) -> Host:
    data = DockerData("/d", there=True, devices=devices, transaction=number)
    return replace(HOST, docker=data)


@pytest.mark.parametrize(
    ("noted", "number", "found"),
    [
        (7, 7, False),
        (7, 6, False),  # the one that Docker is at
        (7, 5, True),
        (7, 8, True),
        (7, 0, True),
        (1, 0, False),
        (None, 5, False),
        (7, None, False),
    ],
)
def test_a_list_of_devices_of_another_time_than_the_pool(
    noted: int | None,
    number: int | None,
    found: bool,  # noqa: FBT001
) -> None:
    state = around(in_kernel(POOL, transaction_id=number), docker_noted(noted))
    assert told(state) == ({"docker-data-differs": "vg/pool"} if found else {})


def test_a_list_of_devices_that_is_lost_is_told_as_that_alone() -> None:
    state = around(in_kernel(POOL, transaction_id=5), docker_noted(None, devices=False))
    assert told(state) == {"docker-data-missing": "vg/pool"}


# --- Volumes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volumes", "codes"),
    [
        (PoolVolumes(10_000 * MIB, "passdown"), []),
        (PoolVolumes(10_001 * MIB, "passdown"), ["overprovisioned"]),
        (PoolVolumes(0, "ignore"), ["discards-ignored"]),
        (PoolVolumes(0, "nopassdown"), ["discards-kept"]),
    ],
)
def test_volumes(volumes: PoolVolumes, codes: list[str]) -> None:
    assert list(told(around(POOL, replace(HOST, volumes={UUID: volumes})))) == codes


# --- All of them ----------------------------------------------------------------------------------


def test_what_merely_is_so_does_not_count() -> None:
    assert not counts(Finding("overprovisioned", "vg/pool", ""))
    assert counts(Finding("profile-lost", "vg/pool", ""))
    assert counts(Finding("vg-dry", "vg/pool", ""))
    assert counts(Finding("pv-on-loop", "/dev/loop0", ""))
    assert not counts(Finding("disk-signature", "/dev/sdb", "")), "a verdict is no illness"


def test_the_gravest_comes_first_and_the_agents_findings_are_among_them() -> None:
    pool = replace(make_pool(80, vg=make_vg(free=0)), profile=None)
    state = around(in_lvm(pool, thin_count=2), conf(UNWATCHED, thin_command="/x"))
    codes = [finding.code for finding in examine(state, make_settings())]
    severities = [CODES[code].severity for code in codes]
    assert severities == sorted(severities)
    assert {"vg-dry", "thin-volumes-beside", "pool-not-monitored", "other-extender"} <= set(codes)
    assert not is_around("vg-dry")
    assert is_around("thin-volumes-beside")
    assert is_around("pool-not-monitored")


def test_every_rule_is_run() -> None:
    folder = Path(dmguard.__file__).parent / "core/findings/host"
    rules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert rules <= set(find_around.__code__.co_varnames + find_around.__code__.co_names)


def test_what_counts_has_a_danger_that_is_none_of_dmguards_work() -> None:
    for code in CODES.values():
        if is_around(code.code) and code.severity <= Severity.WARNING:
            assert not code.danger.startswith("None"), code.code
