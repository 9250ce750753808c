"""`dmguard setup --import`: what another tool's configuration becomes, wherever it stands."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.app.cli import build_parser
from dmguard.app.cli.adopt import words_of
from dmguard.app.cli.setup import goal_of
from dmguard.app.guard.adopt import read_foreign
from dmguard.core.goals import SetUp
from dmguard.core.imports import css, directlvm
from dmguard.core.imports.imported import ForeignError, Imported
from dmguard.core.settings import parse_settings
from dmguard.core.units import Amount

if TYPE_CHECKING:
    from pathlib import Path

CSS = """STORAGE_DRIVER=devicemapper
DEVS="/dev/vdb /dev/vdc"
VG=docker-vg
CHUNK_SIZE=256K
POOL_AUTOEXTEND_THRESHOLD=60
AUTO_EXTEND_POOL=yes
WIPE_SIGNATURES=true
"""


def test_container_storage_setups_configuration_becomes_words_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "docker-storage-setup"
    file.write_text(CSS)
    found = read_foreign(str(file))
    assert found is not None
    assert found.goal is not None
    assert found.goal.path == "/etc/dmguard/conf.d/container-storage-setup.toml"
    assert '[pool."docker-vg/docker-pool"]' in found.goal.text
    assert found.imported.setup is not None
    words = words_of(found.imported.setup)
    goal = goal_of(build_parser().parse_args(words[1:]))
    assert goal.disks == ("/dev/vdb", "/dev/vdc")
    assert (goal.pool_name, goal.chunk, goal.threshold) == ("docker-vg/docker-pool", 256 << 10, 60)
    assert any("WIPE_SIGNATURES" in note for note in found.imported.notes)


NAMES = st.sampled_from(
    ["docker", "docker-pool", "a_b", "snapshot1", "lvol7", "x_tdata", "-x", "."]
)
NUMBERS = st.sampled_from([0, 1, 2, 49, 50, 64, 95, 99, 100, 101, 128, 150, 999]) | st.integers(
    0, 9999
)
SIZES = st.builds(lambda n, unit: f"{n}{unit}", NUMBERS, st.sampled_from(["", *"KMGs", "MiB"]))
SHARES = st.builds(lambda n, unit: f"{n}%{unit}", NUMBERS, st.sampled_from(["FREE", "VG"]))
CSS_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "DEVS": st.sampled_from(["/dev/vdb", "vdb vdc", "-x", ""]),
        "VG": NAMES,
        "CONTAINER_THINPOOL": NAMES,
        "DATA_SIZE": SIZES | SHARES,
        "POOL_META_SIZE": SIZES,
        "CHUNK_SIZE": SIZES,
        "POOL_AUTOEXTEND_THRESHOLD": NUMBERS.map(str),
        "POOL_AUTOEXTEND_PERCENT": NUMBERS.map(str),
        "DEVICE_WAIT_TIMEOUT": NUMBERS.map(str),
    },
)
DOCKER_VALUES = st.fixed_dictionaries(
    {"directlvm_device": st.sampled_from(["/dev/xvdf", "dev/xvdf", "-x"])},
    optional={
        name: NUMBERS.map(str)
        for name in (
            *("thinp_percent", "thinp_metapercent"),
            *("thinp_autoextend_threshold", "thinp_autoextend_percent"),
        )
    },
)


def imported(values: dict[str, str], kind: str) -> Imported:
    if kind == "css":
        return css.read("".join(f"{key}='{value}'\n" for key, value in values.items()))
    options = [f"dm.{key}={value}" for key, value in values.items()]
    return directlvm.read(json.dumps({"storage-opts": options}))


@given(CSS_VALUES.map(lambda v: (v, "css")) | DOCKER_VALUES.map(lambda v: (v, "docker")))
def test_the_words_are_such_that_setup_takes(drawn: tuple[dict[str, str], str]) -> None:
    try:
        found = imported(*drawn)
    except ForeignError:
        return
    assert found.setup is not None
    words = words_of(found.setup)
    goal = goal_of(build_parser().parse_args(words[1:]))
    assert goal.disks == found.setup.disks
    assert goal.pool == found.setup.pool
    assert found.setup.chunk in (None, goal.chunk)
    assert (goal.threshold, goal.percent) == (found.setup.threshold, found.setup.percent)
    parse_settings(tomllib.loads(found.settings))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CHUNK_SIZE=100K", "CHUNK_SIZE=100K: LVM takes a multiple of 64KiB"),
        ("CHUNK_SIZE=2G", "CHUNK_SIZE=2G: LVM takes a multiple of 64KiB"),
        ("CONTAINER_THINPOOL=lvol7", "CONTAINER_THINPOOL=lvol7: is a name that LVM keeps"),
        ("DATA_SIZE=0%FREE", "DATA_SIZE=0%FREE: it is not a share"),
        ("DATA_SIZE=120%VG", "DATA_SIZE=120%VG: it is not a share"),
    ],
)
def test_what_lvm_would_not_take_is_refused(text: str, said: str) -> None:
    with pytest.raises(ForeignError, match=said):
        css.read(text)


def test_what_setup_takes_less_of_is_told() -> None:
    found = css.read("VG=vg\nDATA_SIZE=100%FREE\nPOOL_AUTOEXTEND_PERCENT=150\n")
    assert found.setup is not None
    assert (found.setup.data, found.setup.percent) == (Amount(percent=99.0), 100)
    assert 'step = "100%"' in found.settings
    assert [note.partition(":")[0] for note in found.notes] == [
        "POOL_AUTOEXTEND_PERCENT=150",
        "DATA_SIZE=100%FREE",
    ]
    assert css.read("VG=vg\nDATA_SIZE=99%FREE\nPOOL_AUTOEXTEND_PERCENT=100\n").notes == ()


GOOD_SIZES = st.sampled_from(
    ["", "1", "7s", "123K", "5000", "8G", "3t", "40%FREE", "99%VG", "100%FREE", "1%PVS"]
)


@given(
    data=GOOD_SIZES,
    metadata=st.sampled_from(["", "16M", "1", "3G"]),
    chunk=st.sampled_from(["", "64K", "1M", "512"]),
    threshold=st.integers(0, 120),
    percent=st.integers(0, 100),
    extend=st.sampled_from(["yes", "no"]),
)
def test_the_words_say_the_same_as_what_they_were_made_of(
    data: str, metadata: str, chunk: str, threshold: int, percent: int, extend: str
) -> None:
    setup = css.read(
        f"DEVS=/dev/vdb\nVG=vg\nDATA_SIZE={data}\nPOOL_META_SIZE={metadata}\n"
        f"POOL_AUTOEXTEND_THRESHOLD={threshold}\nPOOL_AUTOEXTEND_PERCENT={percent}\n"
        f"AUTO_EXTEND_POOL={extend}\nCHUNK_SIZE={chunk}\n"
    ).setup
    assert setup is not None
    goal = goal_of(build_parser().parse_args(words_of(setup)[1:]))
    default = SetUp()
    assert (goal.disks, goal.vg, goal.pool) == (setup.disks, setup.vg, setup.pool)
    assert goal.data == (setup.data or default.data)
    assert goal.metadata == (setup.metadata or default.metadata)
    assert goal.chunk == (setup.chunk or default.chunk)
    assert (goal.threshold, goal.percent) == (setup.threshold, setup.percent)


def test_dockers_own_direct_lvm_becomes_words(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(
        '{"storage-opts": ["dm.directlvm_device=/dev/xdf", "dm.thinp_percent=90",'
        ' "dm.thinp_metapercent=2"],'
        f' "data-root": "{tmp_path}"}}'
    )
    found = read_foreign(str(file))
    assert found is not None
    assert found.imported.setup is not None
    words = words_of(found.imported.setup)
    assert words[:3] == ["dmguard", "setup", "/dev/xdf"]
    assert words[words.index("--data-percent") + 1] == "90"


UNIT = "usr/lib/systemd/system/docker.service"
SERVICE = "[Service]\nExecStart=/usr/bin/dockerd {}\n"
DIRECT = "--storage-opt dm.directlvm_device=/dev/xdf --storage-opt=dm.thinp_autoextend_percent=30"
JSON = (
    '{"storage-opts": ["dm.directlvm_device=/dev/xdf", "dm.thinp_autoextend_percent=30"],'
    ' "data-root": "/srv/docker"}'
)


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"etc/docker/daemon.json": JSON}, "/etc/docker/daemon.json"),
        ({"etc/docker/daemon.json": "{}", UNIT: SERVICE.format(DIRECT)}, "/etc/docker/daemon.json"),
        ({UNIT: SERVICE.format(DIRECT)}, "docker.service"),
        (
            {"etc/sysconfig/docker-storage": f'DOCKER_STORAGE_OPTIONS="{DIRECT}"\n'},
            "docker.service",
        ),
        ({"srv/d.json": JSON, UNIT: SERVICE.format("--config-file /srv/d.json")}, "/srv/d.json"),
    ],
)
def test_direct_lvm_is_found_wherever_docker_has_it(
    tmp_path: Path, files: dict[str, str], source: str
) -> None:
    # A configuration that has nothing to set up comes first, and does not count.
    put(tmp_path, {"etc/sysconfig/docker-storage-setup": "STORAGE_DRIVER=overlay2\n", **files})
    found = read_foreign(None, tmp_path)
    assert found is not None
    assert found.source == source
    assert found.imported.setup is not None
    assert found.imported.setup.disks == ("/dev/xdf",)
    assert found.imported.setup.percent == 30
    assert found.imported.notes == ()


def test_what_docker_has_made_is_read_below_its_data_folder(tmp_path: Path) -> None:
    made = '{"Device": "/dev/other", "AutoExtendPercent": 40}'
    put(
        tmp_path,
        {
            UNIT: SERVICE.format(f"--data-root /srv/docker {DIRECT}"),
            "srv/docker/devicemapper/setup-config.json": made,
        },
    )
    found = read_foreign(None, tmp_path)
    assert found is not None
    assert found.imported.setup is not None
    assert found.imported.setup.disks == ("/dev/other",)
    assert found.imported.setup.percent == 40


def test_without_any_there_is_nothing_to_import(tmp_path: Path) -> None:
    assert read_foreign(None, tmp_path) is None
    put(tmp_path, {UNIT: SERVICE.format("--storage-opt dm.fs=xfs")})
    assert read_foreign(None, tmp_path) is None


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_what_is_not_there_or_not_understood_is_told(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match="cannot be read"):
        read_foreign(str(tmp_path / "none"))
    file = tmp_path / "daemon.json"
    file.write_text("{")
    with pytest.raises(ForeignError, match="cannot be read"):
        read_foreign(str(file))
