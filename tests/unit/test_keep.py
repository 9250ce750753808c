"""The live table as it has to be."""

from dataclasses import replace

import pytest

from dmguard.core.actions import Act, Extend, Refresh, is_met
from dmguard.core.model import Pool, Usage
from dmguard.core.plan import Past, make_plan
from dmguard.core.settings import Settings
from dmguard.core.sizing import low_water_for
from tests.unit.builders import (
    CHUNK,
    MIB,
    PLAIN,
    in_kernel,
    make_pool,
    make_settings,
    make_state,
    make_vg,
    with_profile,
)

MARK = low_water_for(10_000 * MIB, CHUNK, 75)


def refreshes(*pools: Pool, settings: Settings | None = None) -> list[Refresh]:
    plan = make_plan(make_state(*pools), settings or make_settings(), Past())
    return [action for action in plan.actions if isinstance(action, Refresh)]


def test_a_mark_that_a_plain_lvm_command_put_to_zero_is_set_again() -> None:
    (action,) = refreshes(in_kernel(make_pool(), low_water=0))
    assert (action.act, action.reason, action.low_water) == (Act.REFRESH, "low-water", MARK)
    assert (action.pool, action.threshold, action.size) == ("vg/pool", 75, 10_000 * MIB)


@pytest.mark.parametrize(("off", "count"), [(-2, 1), (-1, 0), (0, 0), (1, 0), (2, 1)])
def test_a_mark_may_differ_by_one_chunk(off: int, count: int) -> None:
    assert len(refreshes(in_kernel(make_pool(), low_water=MARK + off))) == count


def test_a_kernel_that_is_behind_lvm_is_refreshed_though_its_mark_is_right() -> None:
    pool = make_pool()
    pool = replace(pool, lv=replace(pool.lv, size=12_000 * MIB))
    mark = low_water_for(12_000 * MIB, CHUNK, 75)
    (action,) = refreshes(in_kernel(pool, low_water=mark))
    assert (action.reason, action.size) == ("kernel-behind", 12_000 * MIB)


def test_a_pool_that_is_about_to_grow_is_not_refreshed_too() -> None:
    plan = make_plan(make_state(in_kernel(make_pool(90), low_water=0)), make_settings(), Past())
    assert [type(action) for action in plan.actions] == [Extend]


def test_a_hungry_pool_that_cannot_grow_is_refreshed() -> None:
    pool = in_kernel(make_pool(90, vg=make_vg(free=0)), low_water=0)
    assert len(refreshes(pool)) == 1


def test_the_mark_follows_the_policy_of_its_pool() -> None:
    settings = make_settings(vg__pool=replace(PLAIN, data_threshold=90))
    (action,) = refreshes(make_pool(), settings=settings)
    assert (action.threshold, action.low_water) == (90, low_water_for(10_000 * MIB, CHUNK, 90))
    (action,) = refreshes(with_profile(make_pool(), 60))
    assert (action.threshold, action.low_water) == (60, low_water_for(10_000 * MIB, CHUNK, 60))


def test_a_pool_that_is_not_guarded_keeps_its_mark() -> None:
    settings = Settings(pools=("other/*",))
    assert refreshes(in_kernel(make_pool(), low_water=0), settings=settings) == []


def test_an_inactive_pool_is_not_refreshed() -> None:
    assert refreshes(replace(make_pool(), kernel=None)) == []


def test_a_hungry_pool_whose_kernel_is_behind_gets_its_table_before_it_grows() -> None:
    pool = in_kernel(make_pool(80, size=12_000), size=10_000 * MIB)
    plan = make_plan(make_state(pool), make_settings(), Past())
    assert [action.act for action in plan.actions] == [Act.REFRESH]


def test_metadata_that_the_kernel_does_not_follow_is_refreshed_and_not_grown_again() -> None:
    pool = make_pool(50, 50, metadata_size=200)
    pool = in_kernel(pool, metadata=Usage(90 * MIB, 100 * MIB))
    plan = make_plan(make_state(pool), make_settings(), Past())
    assert [action.act for action in plan.actions] == [Act.REFRESH]
    assert not is_met(plan.actions[0], make_state(pool))
    followed = in_kernel(pool, metadata=Usage(90 * MIB, 200 * MIB))
    assert is_met(plan.actions[0], make_state(followed))
