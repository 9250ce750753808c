"""Does the kernel show what an action wanted?"""

from dataclasses import replace

import pytest

from dmguard.core.actions import Extend, is_met
from dmguard.core.model import METADATA_MAX, Resource, Usage
from tests.unit.builders import (
    EXTENT,
    MIB,
    in_kernel,
    make_extend,
    make_pool,
    make_refresh,
    make_state,
)

DATA = make_extend()
METADATA = make_extend(Resource.METADATA, 100, 120)


@pytest.mark.parametrize(("size", "met"), [(11_996, False), (12_000, True), (13_000, True)])
def test_data_is_met_by_the_target_or_more(size: int, met: bool) -> None:  # noqa: FBT001
    assert is_met(DATA, make_state(make_pool(size=size))) is met


def test_lvms_own_size_does_not_count() -> None:
    pool = make_pool()
    grown = replace(pool, lv=replace(pool.lv, size=12_000 * MIB, metadata_size=120 * MIB))
    assert is_met(DATA, make_state(grown)) is False
    assert is_met(METADATA, make_state(grown)) is False


def test_metadata_at_the_kernels_limit_is_met_though_the_volume_is_larger() -> None:
    target = METADATA_MAX // EXTENT * EXTENT + EXTENT
    action = replace(METADATA, target=target)
    pool = in_kernel(make_pool(), metadata=Usage(0, METADATA_MAX))
    assert is_met(action, make_state(pool)) is True


@pytest.mark.parametrize("action", [DATA, METADATA])
def test_what_cannot_be_asked_is_unknown_and_not_a_no(action: Extend) -> None:
    assert is_met(action, make_state()) is None
    assert is_met(action, make_state(replace(make_pool(), kernel=None))) is None
    assert is_met(METADATA, make_state(in_kernel(make_pool(), metadata=None))) is None


def test_a_refresh_is_met_by_the_mark_and_the_size() -> None:
    action = make_refresh()
    assert is_met(action, make_state(make_pool())) is True
    near = in_kernel(make_pool(), low_water=action.low_water - 1)
    assert is_met(action, make_state(near)) is True
    far = in_kernel(make_pool(), low_water=action.low_water - 2)
    assert is_met(action, make_state(far)) is False
    small = in_kernel(make_pool(size=9_000), low_water=action.low_water)
    assert is_met(action, make_state(small)) is False


def test_a_pool_of_the_same_name_and_another_uuid_is_another_pool() -> None:
    assert is_met(replace(DATA, lv_uuid="other"), make_state(make_pool(size=12_000))) is None
