"""Raw pools: when one may come up, with what table, and what is told when it may not."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest

from dmguard.core.actions import ActivateRaw, StartUnit, dump_action, is_met, load_action
from dmguard.core.bare import HEAD, RawPool, Superblock, read_superblock
from dmguard.core.findings import find_all
from dmguard.core.goals import ActivateAll, Guard, Recover
from dmguard.core.model import Consumer, Disk, State, Unit
from dmguard.core.plan import Past, Refusal, make_plan
from dmguard.core.plan.activate import missing_pools
from dmguard.core.section import raw_section
from dmguard.core.settings import PoolOption, RawRule, Settings, SettingsError
from dmguard.core.settings import parse_settings as parse
from dmguard.core.settings import show_settings as show
from dmguard.core.steps import steps_for, undo_for
from dmguard.core.steps.dm import DetachFile
from tests.unit.bares import DOCKER, MIB, RULE, in_bare, make_bare, make_head, make_host, make_raw

DOWN = make_raw()
UP = make_raw(pool=make_bare(name="devpool"))
RULES = Settings(raws=(RULE,))
CONTAINERD = Consumer("containerd", "devpool")


def activated(state: State, *pools: str, needed: bool = False) -> list[ActivateRaw]:
    plan = make_plan(state, RULES, Past(), ActivateAll(pools, needed=needed))
    return [action for action in plan.actions if isinstance(action, ActivateRaw)]


def found(raw: RawPool) -> list[str]:
    return [finding.code for finding in find_all(make_host(raws=(raw,)), RULES)]


def test_a_pool_whose_files_are_there_comes_up_with_the_table_of_its_section() -> None:
    (action,) = activated(make_host(raws=(DOWN,)))
    assert [str(step) for step in steps_for(action)] == [
        "losetup --find --nooverlap /srv/metadata",
        "losetup --find --nooverlap /srv/data",
        (
            'dmsetup create devpool --table "0 204800 thin-pool'
            " $(losetup --noheadings --output NAME --associated /srv/metadata)"
            ' $(losetup --noheadings --output NAME --associated /srv/data) 128 400 0"'
        ),
    ]


def test_what_was_put_on_a_loop_device_for_nothing_is_taken_off_again() -> None:
    (action,) = activated(make_host(raws=(DOWN,)))
    assert load_action(json.loads(json.dumps(dump_action(action)))) == action
    assert [
        step for ran in range(3) for step in undo_for(action, ran, make_host(raws=(DOWN,)))
    ] == [
        DetachFile("/srv/data"),
        DetachFile("/srv/metadata"),
    ] * 3
    assert UP.pool is not None
    assert undo_for(action, 3, make_host(UP.pool, raws=(UP,))) == ()


def test_a_file_that_another_put_on_a_loop_device_stays_there() -> None:
    assert DOWN.metadata is not None
    there = replace(DOWN, metadata=replace(DOWN.metadata, devno=(7, 3)))
    (action,) = activated(make_host(raws=(there,)))
    assert undo_for(action, 2, make_host(raws=(there,))) == (DetachFile("/srv/data"),)


def test_devices_are_taken_as_they_are_with_every_option_in_its_place() -> None:
    rule = replace(
        RULE,
        data="/dev/disk/by-id/wwn-1",
        low_water=7,
        options=(PoolOption.SKIP_BLOCK_ZEROING, PoolOption.ERROR_IF_NO_SPACE),
    )
    assert DOWN.data is not None
    disk = replace(DOWN.data, path=rule.data, is_file=False, inode=None)
    (action,) = activated(make_host(raws=(replace(DOWN, rule=rule, data=disk),)))
    attach, create = steps_for(action)
    assert str(attach) == "losetup --find --nooverlap /srv/metadata"
    assert str(create).endswith(
        '/dev/disk/by-id/wwn-1 128 7 2 skip_block_zeroing error_if_no_space"'
    )


def test_a_length_is_rounded_down_to_whole_blocks() -> None:
    assert DOWN.data is not None
    odd = replace(DOWN, data=replace(DOWN.data, size=100 * MIB + 65535))
    (action,) = activated(make_host(raws=(odd,)))
    assert action.size == 100 * MIB


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (DOWN, "pool-inactive"),
        (replace(DOWN, data=None), "raw-missing"),
        (replace(DOWN, metadata=None), "raw-missing"),
        (replace(DOWN, head=bytes(HEAD)), "raw-no-pool"),
        (replace(DOWN, head=b""), "raw-no-pool"),
        (replace(DOWN, head=b"\xff" * HEAD), "raw-no-pool"),
        (replace(DOWN, head=make_head(chunk=128 << 10)), "raw-block-size"),
        (replace(DOWN, head=make_head(blocks=1601)), "raw-too-small"),
        (make_raw(size=0), "raw-too-small"),
        (make_raw(replace(RULE, data="/srv/other"), UP.pool), None),
        (replace(UP, data=replace(UP.data, devno=(7, 9))) if UP.data else UP, "raw-taken"),
        (replace(UP, metadata=None), "raw-taken"),
    ],
)
def test_whatever_is_not_certain_stays_down_and_is_told(raw: RawPool, code: str | None) -> None:
    assert len(activated(make_host(raws=(raw,)))) == (code == "pool-inactive")
    assert found(raw) == ([] if code is None else [code])


def test_a_pool_of_as_many_blocks_as_its_metadata_says_comes_up() -> None:
    assert len(activated(make_host(raws=(replace(DOWN, head=make_head(blocks=1600)),)))) == 1


def test_a_superblock_is_read_where_the_kernel_writes_it() -> None:
    assert read_superblock(make_head(128 << 10, 7)) == Superblock(128 << 10, 7 * (128 << 10))
    assert read_superblock(make_head()[:-1]) is None


def test_it_is_met_when_the_pool_goes_on() -> None:
    (action,) = activated(make_host(raws=(DOWN,)))
    assert is_met(action, make_host(raws=(DOWN,))) is False
    assert UP.pool is not None
    assert is_met(action, make_host(UP.pool, raws=(UP,))) is True
    assert is_met(action, make_host(in_bare(UP.pool, suspended=True), raws=(UP,))) is False


def test_only_what_is_asked_for_or_needed_comes_up() -> None:
    host = make_host(raws=(DOWN,))
    assert len(activated(host, "devpool")) == 1
    assert activated(host, "vg/pool") == []
    assert activated(host, needed=True) == []
    assert len(activated(replace(host, consumers=(CONTAINERD,)), needed=True)) == 1
    assert len(activated(replace(host, late=frozenset({"devpool"})), needed=True)) == 1


def test_the_agent_brings_up_only_what_was_late() -> None:
    host = make_host(raws=(DOWN,))
    assert make_plan(host, RULES, Past(), Guard()).actions == ()
    late = replace(host, late=frozenset({"devpool"}))
    assert [a.pool for a in make_plan(late, RULES, Past(), Guard()).actions] == ["devpool"]
    assert [a.pool for a in make_plan(host, RULES, Past(), Recover()).actions] == ["devpool"]


def test_the_pool_of_a_consumer_is_no_volume_that_is_waited_for() -> None:
    rule = replace(RULE, name="dev-pool")
    consumer = replace(CONTAINERD, dm_name="dev-pool")
    host = replace(make_host(raws=(make_raw(rule),)), consumers=(consumer,))
    assert missing_pools(host, Settings(raws=(rule,)), ()) == ()
    assert missing_pools(host, Settings(), ()) == ("dev/pool",)
    assert missing_pools(host, Settings(raws=(rule,)), ("dev-pool", "a/b")) == ("a/b",)


def test_a_consumer_that_runs_without_its_raw_pool_is_restarted() -> None:
    assert UP.pool is not None
    pool = in_bare(UP.pool, appeared=20)
    unit = Unit("containerd.service", "active", entered=11, tried=10)
    broken = replace(CONTAINERD, unit=unit, broken=True)
    host = replace(make_host(pool, raws=(replace(UP, pool=pool),)), consumers=(broken,))
    plan = make_plan(host, RULES, Past(), Guard())
    assert [(a.pool, a.unit) for a in plan.actions if isinstance(a, StartUnit)] == [
        ("devpool", "containerd.service")
    ]
    assert [finding.code for finding in plan.findings] == ["consumer-down"]
    down = replace(host, bare=(), raws=(DOWN,))
    assert make_plan(down, RULES, Past(), Guard()).actions == ()


def rule_of(**content: object) -> dict[str, object]:
    return {"name": "devpool", "data": "/srv/data", "metadata": "/srv/metadata"} | content


def test_a_section_is_read_and_shown_again() -> None:
    content = rule_of(block_size="128KiB", low_water=0, options=["ignore_discard"], max_size="2GiB")
    settings = parse({"raw_pool": [content]})
    (rule,) = settings.raws
    assert rule == RawRule(
        "devpool",
        "/srv/data",
        "/srv/metadata",
        128 << 10,
        0,
        (PoolOption.IGNORE_DISCARD,),
        2 << 30,
    )
    assert parse(show(settings)) == settings


BAD: list[tuple[dict[str, object], str]] = [
    ({"name": "a/b"}, "name: 'a/b' is not a device-mapper name"),
    ({"data": "data"}, "data: 'data' is not an absolute path"),
    ({"data": "/srv/../data"}, "data: '/srv/../data' is not a plain path"),
    ({"data": "/dev/sdb"}, "data: '/dev/sdb' may be another disk after a boot"),
    ({"metadata": "/dev/loop1"}, "metadata: '/dev/loop1' may be another disk after a boot"),
    ({"block_size": "100KiB"}, "block_size: '100KiB' is not a multiple of 64KiB"),
    ({"block_size": "2GiB"}, "block_size: '2GiB' is not a multiple of 64KiB"),
    ({"low_water": -1}, "low_water: -1 is not a number of blocks"),
    ({"options": ["read_only"]}, "options: 'read_only' is not one of skip_block_zeroing"),
    ({"options": "x"}, "options: expected a list"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_a_bad_section_names_its_key_and_what_was_meant(
    content: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse({"raw_pool": [rule_of(**content)]})
    assert str(caught.value).startswith(f"raw_pool 1.{said}")


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"name": "other"}, "raw_pool 2: /srv/data is given twice"),
        ({"name": "o", "data": "/srv/metadata"}, "raw_pool 2: /srv/metadata is given twice"),
        ({"data": "/a", "metadata": "/b"}, "raw_pool 2: devpool is given twice"),
        (
            {"name": "o", "data": "/dev/mapper/a", "metadata": "/b", "max_size": "1GiB"},
            "raw_pool 2.max_size: /dev/mapper/a is no file that can grow",
        ),
    ],
)
def test_sections_that_contradict_each_other_are_an_error(
    second: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse({"raw_pool": [rule_of(), rule_of(**second)]})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("loop:", {}, 'pool."loop:": expected [pool."loop:docker"]'),
        ("loop:a/b", {}, 'pool."loop:a/b": expected'),
        ("loop:docker", {"vg_reserve": "1%"}, 'pool."loop:docker".vg_reserve: there is no'),
        ("loop:docker", {"max_sise": ""}, "pool.\"loop:docker\": unknown key 'max_sise'"),
    ],
)
def test_a_bad_section_of_a_loop_pool_is_an_error(
    name: str, content: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse({"pool": {name: content}})
    assert str(caught.value).startswith(said)


def test_a_loop_pool_takes_the_policy_and_not_its_ceiling() -> None:
    general = {"data_threshold": 60, "max_size": "9GiB"}
    settings = parse({"policy": general, "pool": {"loop:docker": {"step": "50%"}}})
    assert settings.loops["docker"].data_threshold == 60
    assert settings.loops["docker"].max_size is None
    assert settings.overrides == {}
    assert parse(show(settings)) == settings


def test_the_section_of_a_live_pool_brings_up_the_same() -> None:
    pool = make_bare(name="devpool")
    text = raw_section(make_host(pool), "devpool")
    assert isinstance(text, str)
    (rule,) = parse(tomllib.loads(text)).raws
    assert rule == RawRule(
        "devpool",
        "/srv/data",
        "/srv/metadata",
        low_water=32768,
        options=(PoolOption.SKIP_BLOCK_ZEROING,),
    )


def test_a_section_needs_names_that_stay() -> None:
    pool = make_bare(name="devpool")
    disk = replace(pool.data, devno=(8, 16), node="/dev/sdb", file=None)
    host = make_host(replace(pool, data=disk))
    assert refused(host, "devpool") == "raw-no-name"
    links = ("/dev/disk/by-path/pci-1", "/dev/disk/by-id/wwn-1")
    known = replace(host, disks=(Disk("sdb", (8, 16), MIB, links=links),))
    assert 'data = "/dev/disk/by-id/wwn-1"' in str(raw_section(known, "devpool"))
    assert refused(make_host(), "devpool") == "no-such-pool"
    assert refused(make_host(make_bare()), DOCKER) == "raw-docker"


def refused(state: State, name: str) -> str:
    answer = raw_section(state, name)
    assert isinstance(answer, Refusal)
    return answer.code
