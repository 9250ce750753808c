"""What is taken over from Docker's own direct-lvm setup."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.imports.directlvm import read
from dmguard.core.imports.imported import ForeignError, Imported, Setup
from dmguard.core.settings import Policy, parse_settings
from dmguard.core.units import Amount

DEVICE = "dm.directlvm_device=/dev/xvdf"
MADE = {"Device": "/dev/xvdf", "ThinpPercent": 90, "ThinpMetaPercent": 2}


def daemon(*options: str) -> str:
    return json.dumps({"storage-driver": "devicemapper", "storage-opts": list(options)})


def pool(**values: object) -> Setup:
    defaults = {
        "disks": ("/dev/xvdf",),
        "vg": "docker",
        "pool": "thinpool",
        "data": Amount(percent=95.0),
        "metadata": Amount(percent=1.0),
        "chunk": 512 << 10,
        "threshold": 80,
        "percent": 20,
    }
    return Setup(**defaults | values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "setup"),
    [
        ([DEVICE], pool()),
        (
            [
                DEVICE,
                "dm.thinp_percent=80",
                "dm.thinp_metapercent=5%",
                "dm.thinp_autoextend_threshold=70",
                "dm.thinp_autoextend_percent=10",
            ],
            pool(data=Amount(percent=80.0), metadata=Amount(percent=5.0), threshold=70, percent=10),
        ),
        (
            [DEVICE, "dm.fs=xfs", "dm.min_free_space=5%", "dm.directlvm_device_force=false"],
            pool(options=("dm.fs=xfs", "dm.min_free_space=5%")),
        ),
    ],
)
def test_the_options_are_taken_over(options: list[str], setup: Setup) -> None:
    found = read(daemon(*options))
    assert (found.setup, found.notes) == (setup, ())
    policy = parse_settings(tomllib.loads(found.settings)).overrides["docker/thinpool"]
    assert setup.threshold is not None
    assert policy == Policy(
        setup.threshold,
        setup.threshold,
        step=Amount(percent=float(setup.percent or 0)),
        min_step=0,
    )


def test_what_docker_has_made_counts_before_what_is_asked_for() -> None:
    found = read(daemon("dm.thinp_percent=90", "dm.thinp_autoextend_percent=50"), json.dumps(MADE))
    assert found.setup == pool(data=Amount(percent=90.0), metadata=Amount(percent=2.0))
    assert [note.partition(":")[0] for note in found.notes] == [
        "setup-config.json",
        "dm.thinp_autoextend_percent=50",
    ]


def test_a_forced_disk_is_told() -> None:
    (note,) = read(daemon(DEVICE, "dm.directlvm_device_force=true")).notes
    assert "--force" in note


def test_growth_that_is_off_is_told() -> None:
    found = read(daemon(DEVICE, "dm.thinp_autoextend_threshold=100"))
    assert found.setup == pool(threshold=None, percent=None)
    assert found.settings == ""
    assert "turned growth off" in found.notes[0]


@pytest.mark.parametrize("text", ["", "{}", daemon("dm.thinpooldev=/dev/mapper/docker-thinpool")])
@pytest.mark.parametrize("made", ["", " \n", '{"Device": ""}'])
def test_without_a_device_there_is_nothing_to_set_up(text: str, made: str) -> None:
    assert read(text, made) == Imported(None, notes=("daemon.json: it has no dm.directlvm_device",))


@pytest.mark.parametrize(
    ("text", "made", "reason"),
    [
        ("[]", "", "daemon.json"),
        (daemon("dm.thinp_percent=95", "dm.thinp_metapercent=1"), "", "dm.directlvm_device"),
        (daemon(DEVICE, "dm.thinp_percent=95"), "", "both or none"),
        (daemon(DEVICE, "dm.thinp_percent=99", "dm.thinp_metapercent=2"), "", "more than 100"),
        (daemon(DEVICE, "dm.thinp_percent=x", "dm.thinp_metapercent=2"), "", "percentage"),
        (daemon(DEVICE, "dm.thinp_autoextend_percent=101"), "", "percentage"),
        (daemon(DEVICE), "{", "setup-config.json: it is not JSON"),
        (daemon(DEVICE), "[]", "setup-config.json: it does not name"),
    ],
)
def test_what_docker_would_not_take_is_refused(text: str, made: str, reason: str) -> None:
    with pytest.raises(ForeignError, match=reason):
        read(text, made)


@given(st.text(), st.text())
def test_any_text_is_read_or_refused(text: str, made: str) -> None:
    try:
        assert read(text, made).setup is None
    except ForeignError:
        return
