"""What comes back from a file has the types that it was written with, or is none."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.actions import Action, dump_action, load_action
from dmguard.core.consumers.unitfile import split_words
from dmguard.core.entry import Entry, load_entry
from dmguard.core.typed import check_types, texts_in
from dmguard.core.units import format_duration, parse_count, parse_duration
from tests.unit.test_actions import ANY

ENTRY = Entry("low-water", "extend-data", "done", "udev", "vg", "vg/pool", "low-water", "grown")


@given(ANY, st.data())
def test_an_action_with_a_field_of_another_type_is_none(
    action: Action, data: st.DataObject
) -> None:
    assert isinstance(action, get_args(Action))
    values = dump_action(action)
    name = data.draw(st.sampled_from([field.name for field in fields(action)]))
    values[name] = data.draw(st.sampled_from([object(), 1.5, [1.5], {"a": 1}]))
    with pytest.raises((TypeError, ValueError, KeyError)):
        load_action(values)


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "now"},
        {"at": 1e308},
        {"at": float("nan")},
        {"at": True},
        {"message": None},
        {"numbers": {"target": "1"}},
        {"numbers": []},
    ],
    ids=str,
)
def test_an_entry_with_a_field_of_another_type_is_none(changes: dict[str, Any]) -> None:
    assert load_entry(ENTRY.as_values()) == ENTRY
    with pytest.raises((TypeError, ValueError)):
        load_entry(ENTRY.as_values() | changes)


def test_a_whole_number_is_a_time_too() -> None:
    assert load_entry(ENTRY.as_values() | {"at": 1}) == replace(ENTRY, at=1)
    check_types(replace(ENTRY, numbers={"target": 1}))


@pytest.mark.parametrize("values", [None, "ab", [1], {"a": 1}, ["a", None]], ids=str)
def test_texts_are_a_list_of_texts(values: object) -> None:
    assert texts_in(["a"]) == {"a"}
    with pytest.raises(TypeError):
        texts_in(values)


@pytest.mark.parametrize("text", ["", "²", "٣", "-1", "1.5", " 1", "1_0", "9" * 5000])
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert parse_count("0123") == 123
    assert parse_count(text) is None


@given(st.text(alphabet=" \t\r\n'\"\\ab#$\0\x0b\u2028", max_size=12))
def test_words_are_split_as_the_shell_does(text: str) -> None:
    try:
        expected = tuple(shlex.split(text))
    except ValueError:
        expected = tuple(text.split())
    assert split_words(text) == expected


@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|min|h)", fullmatch=True))
def test_a_duration_that_is_taken_is_shown_as_it_was_meant(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        assert "longer than thirty years" in str(error)  # noqa: PT017 - not each raises
        return
    assert parse_duration(format_duration(seconds)) == seconds
