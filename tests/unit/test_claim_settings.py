"""Rules for disks and consumers in the configuration, and which disks a rule takes."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.settings import (
    CONSUMERS,
    ClaimMode,
    ClaimRule,
    ConsumerPolicy,
    Match,
    OnRecovered,
    Settings,
    SettingsError,
)
from dmguard.core.settings import parse_settings as parse
from dmguard.core.settings import show_settings as show
from tests.unit.builders import GIB
from tests.unit.disks import make_disk

DISK = make_disk(wwn="0x5000c500a1b2c3d4")
MATCHES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"path": "pci-*"}, True),
    ({"path": "PCI-*"}, False),
    ({"path": "pci"}, False),
    ({"link": "/dev/disk/by-id/scsi-?"}, True),
    ({"link": "by-id/scsi-b"}, False),
    ({"serial": "serial-[ab]"}, True),
    ({"serial": "serial-c"}, False),
    ({"wwn": "0x5000c500*"}, True),
    ({"model": "QEMU*"}, True),
    ({"model": "QEMU"}, False),
    ({"vendor": "QEMU"}, True),
    ({"bus": "nvme"}, False),
    ({"min_size": 10 * GIB}, True),
    ({"min_size": 10 * GIB + 1}, False),
    ({"max_size": 10 * GIB}, True),
    ({"max_size": 10 * GIB - 1}, False),
    ({"rotational": False}, True),
    ({"rotational": True}, False),
    ({"path": "pci-*", "bus": "scsi", "max_size": 20 * GIB}, True),
    ({"path": "pci-*", "bus": "scsi", "max_size": 1 * GIB}, False),
]


@pytest.mark.parametrize(("match", "takes"), MATCHES)
def test_a_disk_is_taken_that_has_all_that_is_asked_for(
    match: dict[str, Any],
    takes: bool,  # noqa: FBT001 - a table
) -> None:
    assert Match(**match).takes(DISK) is takes


@pytest.mark.parametrize("name", ["path", "serial", "wwn", "model", "vendor", "bus"])
def test_what_is_not_known_of_a_disk_matches_nothing(name: str) -> None:
    given_all: dict[str, Any] = {name: "*"}
    match = Match(**given_all)
    assert match.takes(DISK)
    assert not match.takes(make_disk(**{"wwn": "w", name: None}))


def test_an_unknown_kind_of_disk_is_neither_rotational_nor_not() -> None:
    unknown = make_disk(rotational=None)
    assert not Match(rotational=True).takes(unknown)
    assert not Match(rotational=False).takes(unknown)
    assert not Match(link="*").takes(make_disk(links=()))


def rule(**content: object) -> dict[str, object]:
    return {"claim": [{"vg": "docker", "match": {"path": "pci-*"}} | content]}


def test_a_rule_has_its_defaults() -> None:
    (found,) = parse(rule()).claims
    assert found == ClaimRule("docker", Match(path="pci-*"), None, ClaimMode.AUTO, 5.0)


def test_no_disk_is_claimed_and_no_rule_is_there_by_itself() -> None:
    assert parse({}).claims == Settings().claims == ()


BAD: list[tuple[dict[str, object], str]] = [
    ({"match": {}}, "claim 1.match: it must say which disks"),
    ({"match": "pci-*"}, "claim 1.match: it must say which disks"),
    ({"match": {"pth": "x"}}, "claim 1.match: unknown key 'pth'; did you mean path?"),
    ({"match": {"path": ""}}, "claim 1.match: path: '' is not a shell glob in quotes"),
    ({"match": {"path": 1}}, "claim 1.match: path: 1 is not a shell glob in quotes"),
    ({"match": {"min_size": "1GB"}}, "claim 1.match: min_size: '1GB' is not a size"),
    ({"match": {"rotational": "no"}}, "claim 1.match: rotational: 'no' is neither true nor false"),
    ({"vg": ""}, "claim 1.vg: '' is not the name of a volume group"),
    ({"vg": "a/b"}, "claim 1.vg: 'a/b' is not the name of a volume group"),
    ({"vg": 7}, "claim 1.vg: 7 is not the name of a volume group"),
    ({"limit": 0}, "claim 1.limit: 0 is not a number of PVs"),
    ({"limit": True}, "claim 1.limit: True is not a number of PVs"),
    ({"limit": "8"}, "claim 1.limit: '8' is not a number of PVs"),
    ({"mode": "yes"}, "claim 1.mode: 'yes' is not one of auto, ask"),
    ({"settle": 5}, "claim 1.settle: 5 must be a text in quotes"),
    ({"setle": "5s"}, "claim 1: unknown key 'setle'; did you mean settle?"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_a_bad_rule_names_its_number_its_key_and_what_was_meant(
    content: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as error:
        parse(rule(**content))
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("missing", ["vg", "match"])
def test_a_rule_must_say_which_disks_and_where_to(missing: str) -> None:
    first, second = {"vg": "a", "match": {"path": "*"}}, {"vg": "b", "match": {"path": "*"}}
    del second[missing]
    with pytest.raises(SettingsError, match=f"^claim 2: {missing} is missing$"):
        parse({"claim": [first, second]})


@pytest.mark.parametrize("content", [{"vg": "a"}, "x", 1])
def test_rules_are_a_list(content: object) -> None:
    with pytest.raises(SettingsError, match=r"^claim: expected a list .* \[\[claim\]\]$"):
        parse({"claim": content})
    with pytest.raises(SettingsError, match=r"^claim 1: expected a table"):
        parse({"claim": [1]})


def test_a_consumer_keeps_what_its_section_does_not_say() -> None:
    assert parse({}).consumers == CONSUMERS
    found = parse({"consumer": {"docker": {"unit": "moby.service"}}}).consumers
    assert found["docker"] == ConsumerPolicy("moby.service", OnRecovered.START_IF_FAILED)
    assert found["containerd"] == CONSUMERS["containerd"]
    none = parse({"consumer": {"containerd": {"on_recovered": "none"}}}).consumers
    assert none["containerd"] == ConsumerPolicy("containerd.service", OnRecovered.NONE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"dokcer": {}}, "unknown consumer 'dokcer'; did you mean docker?"),
        ({"docker": 1}, "consumer.docker: expected a section, as [consumer.docker]"),
        ({"docker": {"unit": "docker"}}, "consumer.docker.unit: 'docker' is not the name of a"),
        ({"docker": {"unit": "a b.service"}}, "consumer.docker.unit: 'a b.service' is not"),
        ({"docker": {"on_recovered": "stop"}}, "consumer.docker.on_recovered: 'stop' is not one"),
        ({"docker": {"on_recovere": "none"}}, "consumer.docker: unknown key 'on_recovere'; did"),
    ],
)
def test_a_bad_consumer_names_its_key(content: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse({"consumer": content})
    assert str(error.value).startswith(said)


TEXT = st.text(string.ascii_letters + string.digits + "*?[]-_ .:/", min_size=1, max_size=12)
NAME = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
SIZE = st.integers(0, 1 << 49)
MATCH = st.builds(
    Match,
    **dict.fromkeys(("path", "link", "serial", "wwn", "model", "vendor", "bus"), st.none() | TEXT),
    min_size=st.none() | SIZE,
    max_size=st.none() | SIZE,
    rotational=st.none() | st.booleans(),
).filter(lambda match: match != Match())
RULES = st.builds(
    ClaimRule,
    NAME,
    MATCH,
    st.none() | st.integers(1, 1000),
    st.sampled_from(ClaimMode),
    st.integers(0, 10_000_000).map(lambda ms: ms / 1000),
)
CLIENTS = st.fixed_dictionaries(
    dict.fromkeys(
        CONSUMERS,
        st.builds(ConsumerPolicy, NAME.map(lambda n: f"{n}.service"), st.sampled_from(OnRecovered)),
    )
)


@given(st.lists(RULES, max_size=3), CLIENTS)
def test_what_is_shown_of_rules_and_consumers_reads_back_to_the_same(
    rules: list[ClaimRule], clients: dict[str, ConsumerPolicy]
) -> None:
    settings = Settings(claims=tuple(rules), consumers=clients, activate_timeout=90.0)
    assert parse(show(settings)) == settings


def test_a_pool_is_named_by_a_glob_on_its_group_and_not_by_the_default() -> None:
    assert not Settings().names("docker/pool")
    assert Settings(pools=("*/*", "docker/*")).names("docker/pool")
    assert not Settings(pools=("data/*",)).names("docker/pool")
