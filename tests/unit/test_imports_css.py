"""What is taken over from container-storage-setup."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.imports.css import read
from dmguard.core.imports.imported import ForeignError, Setup
from dmguard.core.imports.shell import read_assignments
from dmguard.core.settings import Policy, parse_settings
from dmguard.core.units import Amount

GIB = 1 << 30
DEFAULTS = Setup(
    disks=("/dev/vdb",),
    vg="docker",
    pool="docker-pool",
    data=Amount(percent=40.0),
    chunk=512 << 10,
    threshold=60,
    percent=20,
)
FILE = """\
# Edit this file to override the defaults
STORAGE_DRIVER=devicemapper
DEVS="/dev/disk/by-id/a
  vdc"   # two of them
VG='docker-vg'; CONTAINER_THINPOOL=pool
DATA_SIZE=90%VG
POOL_META_SIZE=2G
CHUNK_SIZE=256K
POOL_AUTOEXTEND_THRESHOLD=70
export POOL_AUTOEXTEND_PERCENT=30
EXTRA_STORAGE_OPTIONS="--storage-opt dm.basesize=20G --storage-opt dm.fs=ext4"
DEVICE_WAIT_TIMEOUT=90
"""


def test_a_whole_file_is_taken_over() -> None:
    found = read(FILE)
    assert found.setup == Setup(
        disks=("/dev/disk/by-id/a", "/dev/vdc"),
        vg="docker-vg",
        pool="pool",
        data=Amount(percent=90.0),
        metadata=Amount(size=2 * GIB),
        chunk=256 << 10,
        threshold=70,
        percent=30,
        options=("dm.basesize=20G", "dm.fs=ext4"),
    )
    assert [note.partition(":")[0] for note in found.notes] == [
        "/dev/vdc",
        "DATA_SIZE=90%VG",
        "EXTRA_STORAGE_OPTIONS",
    ]
    settings = parse_settings(tomllib.loads(found.settings))
    assert settings.activate_timeout == 90.0
    assert settings.overrides == {
        "docker-vg/pool": Policy(70, 70, step=Amount(percent=30.0), min_step=0)
    }


def test_what_is_not_given_is_as_its_defaults_have_it() -> None:
    assert read("DEVS=/dev/vdb\nVG=docker\n").setup == DEFAULTS
    assert read("").setup == Setup(
        (), None, "docker-pool", Amount(percent=40.0), None, 512 << 10, 60, 20
    )


def test_without_a_group_it_is_told_whose_it_was() -> None:
    for text in ("", "VG=\n", "VG=' '\nDEVS=/dev/vdb\n"):
        found = read(text)
        assert found.setup is not None
        assert found.setup.vg is None
        assert found.settings == ""
        assert any("name that by --vg" in note for note in found.notes)
    assert read("VG=system\n").settings.startswith('[pool."system/docker-pool"]')
    assert read("VG=system\n").notes == ()


def set_up(text: str) -> Setup:
    found = read("VG=vg\n" + text).setup
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("DATA_SIZE=20G", Amount(size=20 * GIB)),
        ("DATA_SIZE=20GiB", Amount(size=20 * GIB)),
        ("DATA_SIZE=512", Amount(size=512 << 20)),
        ("DATA_SIZE=2048s", Amount(size=1 << 20)),
        ("DATA_SIZE=95%FREE", Amount(percent=95.0)),
        ("DATA_SIZE=95%PVS", Amount(percent=95.0)),
        ("DATA_SIZE=100%FREE", Amount(percent=99.0)),
        ("DATA_SIZE=''", None),
    ],
)
def test_sizes_are_those_of_lvm(text: str, data: Amount | None) -> None:
    assert set_up(text).data == data


@pytest.mark.parametrize(
    ("text", "growth", "note"),
    [
        ("", (60, 20), ""),
        ("AUTO_EXTEND_POOL=yes", (60, 20), ""),
        ("AUTO_EXTEND_POOL=true", (60, 20), "only yes counted, so the pool was never extended"),
        ("AUTO_EXTEND_POOL=no", (None, None), "leave this one out of guard.pools"),
        ("AUTO_EXTEND_POOL=", (None, None), "leave this one out of guard.pools"),
        ("POOL_AUTOEXTEND_THRESHOLD=100", (None, None), "turned growth off"),
        ("POOL_AUTOEXTEND_PERCENT=0", (None, None), "turned growth off"),
        ("POOL_AUTOEXTEND_THRESHOLD=30", (50, 20), "LVM takes it for 50"),
    ],
)
def test_growth_is_taken_over_as_it_really_was(
    text: str, growth: tuple[int | None, int | None], note: str
) -> None:
    found = read("VG=vg\n" + text)
    assert found.setup is not None
    assert (found.setup.threshold, found.setup.percent) == growth
    assert note in " ".join(found.notes)
    assert bool(found.notes) == bool(note)
    policy = parse_settings(tomllib.loads(found.settings)).overrides.get("vg/docker-pool")
    assert (policy is None) == (growth == (None, None))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("WIPE_SIGNATURES=true", "wipes no disk because a rule says so"),
        ("GROWPART=true", "grows no partition"),
        ("ROOT_SIZE=8G", "does not touch the root"),
        ("MIN_DATA_SIZE=5G", "no least size"),
        ("DOCKER_ROOT_VOLUME=yes", "thin pools and no other volumes"),
        ("CONTAINER_ROOT_LV_NAME=x", "thin pools and no other volumes"),
        ("DATA_SIZE=20%VG", "of what the group has free"),
        ("DATA_SIZE=100%FREE", "99 % at most"),
        ("EXTRA_DOCKER_STORAGE_OPTIONS='--storage-opt dm.fs=ext4'", "dm.fs=ext4: setup keeps"),
        ("DATA_SZIE=2G", "DATA_SZIE: it is not a setting"),
        ("DEVS=/dev/vdb", "better is one of its links"),
    ],
)
def test_what_has_no_equivalent_is_told(text: str, note: str) -> None:
    (told,) = read("VG=vg\n" + text).notes
    assert note in told


@pytest.mark.parametrize(
    "text",
    [
        "WIPE_SIGNATURES=false",
        "GROWPART=false",
        "ROOT_SIZE=",
        "MIN_DATA_SIZE=2G",
        "DATA_SIZE=20G",
        "POOL_META_SIZE=1G",
        "CONTAINER_ROOT_LV_SIZE=40%FREE",
    ],
)
def test_what_changes_nothing_is_not_told(text: str) -> None:
    assert read("VG=vg\n" + text).notes == ()


@pytest.mark.parametrize("driver", ["overlay2", "overlay", ""])
def test_of_another_driver_there_is_nothing_to_set_up(driver: str) -> None:
    found = read(f"STORAGE_DRIVER={driver}\nDEVS=/dev/vdb\n")
    assert (found.setup, found.settings) == (None, "")
    assert f"STORAGE_DRIVER={driver}" in found.notes[-1]


@pytest.mark.parametrize(
    "text",
    [
        "VG=a/b",
        "VG='a\"]'",
        "CHUNK_SIZE=big",
        "DATA_SIZE=40%",
        "DATA_SIZE=0%FREE",
        "DATA_SIZE=101%FREE",
        "DATA_SIZE=0",
        "POOL_META_SIZE=00G",
        "POOL_AUTOEXTEND_THRESHOLD=60%",
        "POOL_META_SIZE=-1",
        "DEVICE_WAIT_TIMEOUT=1m",
        "DEVS=$(ls /dev/vd*)",
        'DEVS="`ls`"',
        'DEVS="$OTHER"',
        "DEVS+=x",
        "if true; then",
        "VG=a pvcreate /dev/vdb",
        "VG='open",
        "source /etc/x",
        # Whether it is assigned, or to what, only a shell would know.
        "VG=a || VG=b",
        "VG=a && VG=b",
        "VG=a | DEVS=b",
        "VG=a & DEVS=b",
        "VG=a>/tmp/x",
        "VG=a</tmp/x",
        "VG=~/x",
        "VG=$",
        r'VG="a\\$b"',
        r'VG="a\\`b`"',
        "VG=a\x0cDEVS=/dev/vdb",
        "VG=a\u00a0",
    ],
)
def test_what_is_not_certain_is_refused(text: str) -> None:
    with pytest.raises(ForeignError, match=text[:2]):
        read(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=b#c # d", {"A": "b#c"}),
        ("A='b c'd\"e f\"\\ g", {"A": "b cde f g"}),
        ('A="\\$x \\"y\\" \\z \\\n"', {"A": '$x "y" \\z '}),
        ("A=\\$x", {"A": "$x"}),
        ("A='$x `y`'", {"A": "$x `y`"}),
        ("A=1\nA=2;B=\n\n;#A=3", {"A": "2", "B": ""}),
        ("A=b\\\nc\r\nB=d\r\n", {"A": "bc", "B": "d"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=é", {"A": "é"}),
        ("A=a\u00a0b\u2028c\nB=d", {"A": "a\u00a0b\u2028c", "B": "d"}),
        ("A=a~b B='~' C=\\~ D='<>&|'", {"A": "a~b", "B": "~", "C": "~", "D": "<>&|"}),
        (r'A="a\\\$b"', {"A": "a\\$b"}),
    ],
)
def test_assignments_are_read_as_a_shell_reads_them(text: str, values: dict[str, str]) -> None:
    assert read_assignments(text) == values


@given(
    st.text(
        st.sampled_from("AB_=\"'\\ \n#;$`x") | st.characters(),
        max_size=20,
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read(text)
    except ForeignError:
        return
    assert found.setup is not None


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(), max_size=4))
def test_quoted_values_are_read_as_they_are(values: dict[str, str]) -> None:
    values = {key: value.replace("'", "") for key, value in values.items()}
    text = "\n".join(f"{key}='{value}'" for key, value in values.items())
    assert read_assignments(text) == values
