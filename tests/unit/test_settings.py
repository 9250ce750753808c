"""The one table of configuration."""

from typing import Any

import pytest

from dmguard.core.model import Trigger
from dmguard.core.settings import SETTINGS, Policy, Settings, SettingsError
from dmguard.core.settings import parse_settings as parse
from dmguard.core.settings import show_settings as show
from dmguard.core.units import Amount

DOCUMENTED = {
    "guard.pools": ["*/*"],
    "guard.resync": "30s",
    "guard.sources": ["udev", "journal", "dm-event", "dbus", "timer"],
    "policy.data_threshold": 75,
    "policy.metadata_threshold": 70,
    "policy.step": "20%",
    "policy.min_step": "1GiB",
    "policy.headroom": "10min",
    "policy.max_size": "",
    "policy.vg_reserve": "1%",
    "activate.timeout": "60s",
    "claim.vg": None,
    "claim.match": None,
    "claim.limit": None,
    "claim.mode": "auto",
    "claim.settle": "5s",
    "raw_pool.name": None,
    "raw_pool.data": None,
    "raw_pool.metadata": None,
    "raw_pool.block_size": "64KiB",
    "raw_pool.low_water": None,
    "raw_pool.options": [],
    "raw_pool.max_size": "",
    "consumer.unit": None,
    "consumer.on_recovered": None,
}
ONE_EACH = ("guard", "policy", "activate")
"""The sections that there is one of, so that all their keys have a default."""


def document(key: str, value: object) -> dict[str, object]:
    section, _, name = key.partition(".")
    return {section: {name: value}}


def test_the_table_has_the_documented_defaults() -> None:
    assert {row.key: row.default for row in SETTINGS} == DOCUMENTED


def test_an_empty_document_means_what_the_table_says() -> None:
    table: dict[str, dict[str, object]] = {name: {} for name in ONE_EACH}
    for row in SETTINGS:
        if row.section in ONE_EACH:
            table[row.section][row.name] = row.default
    assert parse(table) == parse({}) == Settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"policy": {"data_treshold": 80}}, "policy: unknown key 'data_treshold'; did you mean "),
        ({"polcy": {}}, "unknown section 'polcy'; did you mean policy?"),
        ({"zzz": {}}, "unknown section 'zzz'; known are guard, policy, pool"),
        ({"guard": {"zzz": 1}}, "guard: unknown key 'zzz'; known are pools, resync, sources"),
        ({"pool": {"a/b": {"stp": "1%"}}}, "pool.\"a/b\": unknown key 'stp'; did you mean step?"),
        ({"guard": {"step": "1%"}}, "guard: unknown key 'step'"),
    ],
)
def test_an_unknown_name_is_an_error_that_says_what_was_meant(
    content: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as error:
        parse(content)
    assert said in str(error.value)


BAD_VALUES: dict[str, list[object]] = {
    "policy.data_threshold": [49, 100, "75", 75.0, True, None],
    "policy.metadata_threshold": [49, 100],
    "policy.step": ["0", 0, "0%", "0B", "20", 20, False, []],
    "policy.min_step": ["1GB", 1, "-1GiB", True],
    "policy.headroom": ["10", 10, "10m", False],
    "policy.max_size": ["0", "0GiB", 0, "lots", None],
    "policy.vg_reserve": ["91%", "x", 1, True],
    "guard.resync": ["0", "999ms", "25h", 30],
    "guard.pools": [[], "*/*", ["pool"], ["a/b/c"], [1], ["/a"]],
    "guard.sources": [[], "timer", ["cron"], [1]],
    "activate.timeout": ["61min", 60, "x", True],
}
BAD = [(key, value) for key, values in BAD_VALUES.items() for value in values]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_the_error_for_a_bad_value_names_the_key(key: str, value: object) -> None:
    with pytest.raises(SettingsError) as error:
        parse(document(key, value))
    assert str(error.value).startswith(f"{key}: ")


@pytest.mark.parametrize("value", BAD_VALUES["policy.step"])
def test_the_error_for_a_bad_value_of_one_pool_names_the_pool(value: object) -> None:
    with pytest.raises(SettingsError) as error:
        parse({"pool": {"vg/lv": {"step": value}}})
    assert str(error.value).startswith('pool."vg/lv".step: ')


@pytest.mark.parametrize("name", ["lv", "a/b/c", "", "/lv", "vg/"])
def test_a_section_of_a_pool_needs_the_name_of_its_vg(name: str) -> None:
    with pytest.raises(SettingsError, match=r'\[pool\."vg/lv"\]'):
        parse({"pool": {name: {}}})


@pytest.mark.parametrize("content", [{"policy": 1}, {"guard": []}, {"pool": "x"}])
def test_a_section_must_be_a_section(content: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected a section"):
        parse(content)


RICH: dict[str, Any] = {
    "guard": {"pools": ["docker/*", "*/thin"], "resync": "5min", "sources": ["timer"]},
    "policy": {
        "data_threshold": 80,
        "step": "10GiB",
        "min_step": 0,
        "headroom": "0",
        "max_size": "2TiB",
        "vg_reserve": "512MiB",
    },
    "pool": {"docker/a": {"max_size": "", "data_threshold": 60}, "docker/b": {}},
}


@pytest.mark.parametrize("content", [{}, RICH])
def test_what_is_shown_reads_back_to_the_same(content: dict[str, object]) -> None:
    settings = parse(content)
    assert parse(show(settings)) == settings


def test_a_pool_has_what_its_section_says_and_the_rest_of_the_policy() -> None:
    settings = parse(RICH)
    own = settings.overrides["docker/a"]
    assert (own.data_threshold, own.max_size) == (60, None)
    assert (own.step, own.min_step) == (Amount(size=10 << 30), 0)
    assert settings.overrides["docker/b"] == settings.policy
    assert settings.policy.max_size == 2 << 40


def test_zero_turns_off_what_can_be_turned_off_in_text_and_in_number() -> None:
    for zero in (0, "0"):
        policy = parse({"policy": {"min_step": zero, "headroom": zero, "vg_reserve": zero}}).policy
        assert (policy.min_step, policy.headroom, policy.vg_reserve.of(100)) == (0, 0.0, 0)


def test_a_pool_is_guarded_when_one_glob_matches_its_whole_name() -> None:
    settings = parse({"guard": {"pools": ["docker/*", "data/thin[12]"]}})
    assert settings.guards("docker/pool")
    assert settings.guards("data/thin1")
    assert not settings.guards("data/thin3")
    assert not settings.guards("DOCKER/pool")
    assert not settings.guards("mydocker/pool")


def test_sources_are_those_named() -> None:
    assert parse({"guard": {"sources": ["timer"]}}).sources == (Trigger.TIMER,)
    assert Policy().step == Amount(percent=20.0)
