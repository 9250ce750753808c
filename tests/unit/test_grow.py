"""Growth at the thresholds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dmguard.core.actions import Act, Extend
from dmguard.core.model import Mode, Pool, State
from dmguard.core.obstacle import obstacle
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.settings import Policy, Settings
from dmguard.core.units import Amount
from tests.unit.builders import (
    MIB,
    PLAIN,
    in_kernel,
    in_vg,
    make_pool,
    make_pv,
    make_settings,
    make_state,
    make_vg,
)

RESERVED = replace(PLAIN, vg_reserve=Amount(size=1000 * MIB))


def grow(
    *pools: Pool, settings: Settings | None = None, rates: Past | None = None
) -> tuple[Extend, ...]:
    plan = make_plan(make_state(*pools), settings or make_settings(), rates or Past())
    return extends(plan)


def extends(plan: Plan) -> tuple[Extend, ...]:
    return tuple(action for action in plan.actions if isinstance(action, Extend))


def test_a_pool_at_its_threshold_is_left_and_one_above_is_grown() -> None:
    assert grow(make_pool(75)) == ()
    (action,) = grow(make_pool(76))
    assert (action.pool, action.act, action.reason) == (
        "vg/pool",
        Act.EXTEND_DATA,
        "above-threshold",
    )


def test_a_target_is_absolute_and_the_action_has_the_numbers_of_the_record() -> None:
    (action,) = grow(make_pool(80))
    assert (action.size, action.target) == (10_000 * MIB, 12_000 * MIB)
    assert (action.used, action.free, action.threshold) == (8_000 * MIB, 10_000 * MIB, 75)


def test_metadata_comes_first_and_data_gets_what_it_and_its_spare_leave() -> None:
    vg = make_vg(free=2000)
    metadata, data = grow(make_pool(90, 80, vg=vg, size=10_000))
    assert (metadata.act, data.act) == (Act.EXTEND_METADATA, Act.EXTEND_DATA)
    assert (metadata.size, metadata.target) == (100 * MIB, 120 * MIB)
    # 20 MiB for the metadata and 20 for its spare are gone.
    assert data.target - data.size == (2000 - 40) * MIB


def test_metadata_that_finds_no_room_does_not_hold_up_the_data() -> None:
    settings = make_settings(replace(PLAIN, max_size=10_004 * MIB))
    acts = grow(make_pool(90, 99, vg=make_vg(free=4)), settings=settings)
    assert [a.act for a in acts] == [Act.EXTEND_METADATA]
    acts = grow(make_pool(90, 60, vg=make_vg(free=4)), settings=settings)
    assert [a.act for a in acts] == [Act.EXTEND_DATA]


def test_the_metadata_that_is_fullest_comes_first() -> None:
    acts = grow(make_pool(metadata=80, name="one"), make_pool(metadata=90, name="two"))
    assert [action.pool for action in acts] == ["vg/two", "vg/one"]


def test_metadata_of_a_vg_is_planned_before_any_data_of_it() -> None:
    acts = grow(make_pool(90, 60, name="one"), make_pool(60, 80, name="two"))
    assert [(a.lv, a.act) for a in acts] == [
        ("two", Act.EXTEND_METADATA),
        ("one", Act.EXTEND_DATA),
    ]


def test_of_all_groups_metadata_comes_first_and_then_the_fullest_pool() -> None:
    one, two = make_vg(name="one"), make_vg(name="two")
    acts = grow(
        make_pool(80, name="a", vg=one),
        make_pool(99, name="b", vg=one),
        make_pool(90, name="c", vg=two),
        make_pool(60, 80, name="d", vg=two),
    )
    assert [action.lv for action in acts] == ["d", "b", "c", "a"]


def test_the_last_growth_leaves_room_for_the_metadata_that_lvm_grows_with_it() -> None:
    vg = replace(make_vg(free=100), spare=4 * MIB)
    pool = make_pool(90, vg=vg, size=4096, metadata_size=4)
    (action,) = grow(pool)
    chunks = (4096 + 100) * MIB // pool.lv.chunk
    metadata = -(-chunks * 64 // (4 * MIB)) * 4 * MIB
    assert action.target - action.size == 100 * MIB - 2 * max(0, metadata - 4 * MIB)


def test_the_remainder_is_taken_when_a_step_does_not_fit() -> None:
    (action,) = grow(make_pool(90, vg=make_vg(free=333)))
    assert action.target - action.size == 332 * MIB


def test_nothing_is_planned_when_not_one_extent_is_free() -> None:
    assert grow(make_pool(90, vg=make_vg(free=3))) == ()


def test_data_keeps_the_reserve_and_metadata_may_take_of_it() -> None:
    settings = make_settings(RESERVED)
    (action,) = grow(make_pool(90, vg=make_vg(free=1500)), settings=settings)
    assert action.target - action.size == 500 * MIB
    assert grow(make_pool(90, vg=make_vg(free=1000)), settings=settings) == ()
    (action,) = grow(make_pool(90, 90, vg=make_vg(free=1000)), settings=settings)
    assert action.act is Act.EXTEND_METADATA


@pytest.mark.parametrize(("ceiling", "growth"), [(10_501, 500), (10_003, None), (9_000, None)])
def test_data_stops_at_max_size(ceiling: int, growth: int | None) -> None:
    acts = grow(make_pool(90), settings=make_settings(replace(PLAIN, max_size=ceiling * MIB)))
    assert [a.target - a.size for a in acts] == ([] if growth is None else [growth * MIB])


def test_pools_of_one_vg_share_what_there_is_in_proportion_to_their_want() -> None:
    vg = make_vg(free=1000)
    acts = grow(
        make_pool(76, vg=vg, name="small", size=1000),
        make_pool(76, vg=vg, name="large", size=9000),
        make_pool(75, vg=vg, name="fine"),
    )
    assert {a.lv: (a.target - a.size) // MIB for a in acts} == {"small": 100, "large": 900}


def test_each_vg_has_its_own_room() -> None:
    acts = grow(make_pool(90, vg=make_vg(free=0)), make_pool(90, vg=make_vg(name="other")))
    assert [a.vg for a in acts] == ["other"]


def test_a_rate_enlarges_the_step_up_to_half_of_what_is_available() -> None:
    pool = make_pool(76)
    settings = make_settings(replace(RESERVED, headroom=600.0))
    (action,) = grow(pool, settings=settings, rates=Past({pool.lv.uuid: 1000.0 * MIB}))
    assert action.target - action.size == 4500 * MIB


def test_a_pool_that_is_out_of_data_space_is_grown() -> None:
    full = in_kernel(make_pool(100), mode=Mode.OUT_OF_DATA)
    assert len(grow(full)) == 1
    assert len(grow(in_kernel(full, errors_when_full=True))) == 1


def test_a_pool_that_is_not_guarded_is_left() -> None:
    settings = Settings(pools=("other/*",), policy=Policy())
    plan = make_plan(make_state(make_pool(99, 99)), settings, Past())
    assert plan == Plan()


OBSTACLES: list[tuple[str, Callable[[Pool], Pool]]] = [
    ("pool-read-only", lambda pool: in_kernel(pool, mode=Mode.RO)),
    ("pool-needs-check", lambda pool: in_kernel(pool, needs_check=True)),
    ("pool-needs-check", lambda pool: in_kernel(pool, mode=Mode.RO, needs_check=True)),
    ("pool-failed", lambda pool: in_kernel(pool, mode=Mode.FAIL, data=None, metadata=None)),
    ("pool-failed", lambda pool: in_kernel(pool, mode=Mode.ERROR)),
    ("pool-suspended", lambda pool: in_kernel(pool, suspended=True)),
    ("pool-inactive", lambda pool: replace(pool, kernel=None)),
    ("vg-misnamed", lambda pool: in_vg(pool, misnamed=True)),
    ("vg-exported", lambda pool: in_vg(pool, exported=True)),
    ("vg-shared", lambda pool: in_vg(pool, shared=True)),
    ("vg-silent", lambda pool: in_vg(pool, silent=True)),
    ("vg-read-only", lambda pool: in_vg(pool, writeable=False)),
    (
        "vg-missing-pv",
        lambda pool: in_vg(pool, pvs=(*pool.vg.pvs, make_pv(0, name="b", missing=True))),
    ),
]


@pytest.mark.parametrize(("code", "break_it"), OBSTACLES)
def test_an_obstacle_forbids_every_change_and_is_told_by_its_code(
    code: str, break_it: Callable[[Pool], Pool]
) -> None:
    # Its mark is wrong as well: not even a refresh is done.
    pool = break_it(in_kernel(make_pool(99, 99), low_water=1))
    plan = make_plan(make_state(pool), make_settings(), Past())
    assert plan.actions == ()
    assert [finding.code for finding in plan.findings] == [code]


def test_two_vgs_of_one_name_are_both_left() -> None:
    one, two = (make_pool(90, vg=make_vg(uuid=uuid)) for uuid in "ab")
    state = make_state(one, two)
    assert make_plan(state, make_settings(), Past()).actions == ()
    assert obstacle(one, state) == obstacle(two, state) == "vg-duplicate-name"


def test_an_obstacle_of_one_pool_leaves_the_others_of_its_vg_alone() -> None:
    broken = in_kernel(make_pool(90, name="broken"), needs_check=True)
    assert [a.lv for a in grow(broken, make_pool(90, name="sound"))] == ["sound"]


def test_a_pv_that_may_not_be_allocated_from_gives_no_room() -> None:
    pv = replace(make_pv(5000), allocatable=False)
    assert grow(in_vg(make_pool(90), pvs=(pv,))) == ()


def test_a_host_without_pools_needs_nothing() -> None:
    assert make_plan(State((), ()), Settings(), Past()) == Plan()


def test_what_failed_is_tried_again_at_half_down_to_one_extent() -> None:
    pool = make_pool(90)
    for failures, growth in ((0, 2000), (1, 1000), (3, 248), (30, 4)):
        plan = make_plan(
            make_state(pool), make_settings(PLAIN), Past(failures={pool.lv.uuid: failures})
        )
        assert [(a.target - a.size) // MIB for a in plan.actions] == [growth]  # type: ignore[union-attr]


def test_growth_comes_before_every_refresh() -> None:
    gone = replace(make_pv(9_000), devno=(8, 16))
    vg = replace(make_vg(name="b"), pvs=(gone,))
    pools = (
        in_kernel(make_pool(name="a"), low_water=0),
        in_kernel(make_pool(vg=vg, name="stale"), leaves=frozenset({(8, 0)})),
        make_pool(80, vg=make_vg(name="c"), name="hungry"),
    )
    plan = make_plan(make_state(*pools), make_settings(), Past())
    assert [action.pool for action in plan.actions] == ["c/hungry", "b/stale", "vg/a"]
