"""The exact commands."""

import shlex

import pytest

from dmguard.core.actions import Action, dump_action, load_action
from dmguard.core.model import Resource
from dmguard.core.steps import steps_for
from tests.unit.builders import MIB, make_extend, make_refresh

CONFIG = (
    "global/wait_for_locks=0 global/notify_dbus=0 activation/monitoring=0"
    " activation/thin_pool_autoextend_threshold=75"
)


def test_data_grows_by_one_lvextend_to_an_absolute_size_in_bytes() -> None:
    (step,) = steps_for(make_extend())
    size = f"{12_000 * MIB}b"
    assert step.argv == ("lvextend", "--config", CONFIG, "--size", size, "vg/pool")


def test_metadata_grows_by_one_lvextend_to_an_absolute_size_in_bytes() -> None:
    (step,) = steps_for(make_extend(Resource.METADATA, 100, 120))
    size = f"{120 * MIB}b"
    assert step.argv == ("lvextend", "--config", CONFIG, "--poolmetadatasize", size, "vg/pool")


def test_a_table_is_loaded_anew_by_one_lvchange() -> None:
    (step,) = steps_for(make_refresh())
    assert step.argv == ("lvchange", "--refresh", "--config", CONFIG, "vg/pool")


ACTIONS = [make_extend(), make_extend(Resource.METADATA, 100, 120), make_refresh()]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_a_command_never_says_yes_and_never_waits_for_a_lock_or_a_bus(action: Action) -> None:
    for step in steps_for(action):
        assert not {"-y", "--yes", "-f", "--force"} & set(step.argv)
        config = step.argv[step.argv.index("--config") + 1].split()
        assert {"global/wait_for_locks=0", "global/notify_dbus=0"} <= set(config)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_a_step_in_text_can_be_given_to_a_shell(action: Action) -> None:
    for step in steps_for(action):
        assert tuple(shlex.split(str(step))) == step.argv


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
def test_an_action_survives_the_intent_file(action: Action) -> None:
    values = dump_action(action)
    assert load_action(values) == action
    assert all(isinstance(value, str | int) for value in values.values())


@pytest.mark.parametrize("values", [{}, {"act": "claim-disk"}, {"act": "refresh", "x": 1}])
def test_what_is_no_action_is_an_error(values: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        load_action(values)
