"""`dmguard extend`: what was asked for, whole, or a refusal."""

from dataclasses import replace

import pytest

from dmguard.core.actions import Act
from dmguard.core.goals import ExtendByHand, Size
from dmguard.core.model import METADATA_MAX, Pool
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.settings import Settings
from dmguard.core.units import Amount
from tests.unit.builders import (
    EXTENT,
    MIB,
    PLAIN,
    in_kernel,
    make_pool,
    make_settings,
    make_state,
    make_vg,
)

MOST = Size(None)
RESERVED = make_settings(replace(PLAIN, vg_reserve=Amount(size=1000 * MIB)))


def to(size: int) -> Size:
    return Size(size * MIB)


def by(size: int) -> Size:
    return Size(size * MIB, relative=True)


def ask(
    pool: Pool,
    data: Size | None = None,
    metadata: Size | None = None,
    settings: Settings | None = None,
) -> Plan:
    goal = ExtendByHand(pool.name, data, metadata)
    return make_plan(make_state(pool), settings or make_settings(), Past(), goal)


def targets(plan: Plan) -> list[int]:
    assert plan.refusals == ()
    return [action.target // MIB for action in plan.actions if hasattr(action, "target")]


def refusal(plan: Plan) -> tuple[str, str]:
    assert plan.actions == ()
    (refused,) = plan.refusals
    return refused.code, refused.message


@pytest.mark.parametrize(
    ("size", "target"), [(to(11_000), 11_000), (by(1000), 11_000), (by(1), 10_004), (MOST, 20_000)]
)
def test_data_grows_to_what_was_asked_in_whole_extents(size: Size, target: int) -> None:
    assert targets(ask(make_pool(), size)) == [target]


@pytest.mark.parametrize(("size", "target"), [(to(200), 200), (by(10), 112)])
def test_metadata_grows_to_what_was_asked_in_whole_extents(size: Size, target: int) -> None:
    plan = ask(make_pool(), metadata=size)
    assert targets(plan) == [target]
    assert plan.actions[0].act is Act.EXTEND_METADATA


def test_all_there_is_of_metadata_leaves_room_for_the_spare() -> None:
    assert targets(ask(make_pool(vg=make_vg(free=1000)), metadata=MOST)) == [600]


def test_an_action_by_hand_says_that_it_was_asked_for() -> None:
    assert ask(make_pool(), by(4)).actions[0].reason == "asked"


def test_metadata_is_done_before_data_and_data_is_what_is_left() -> None:
    plan = ask(make_pool(vg=make_vg(free=1000)), data=MOST, metadata=by(100))
    assert [action.act for action in plan.actions] == [Act.EXTEND_METADATA, Act.EXTEND_DATA]
    assert targets(plan) == [200, 10_800]


def test_by_hand_nothing_is_cut_to_what_fits() -> None:
    code, message = refusal(ask(make_pool(vg=make_vg(free=1000)), by(1004)))
    assert code == "vg-too-small"
    assert "1000.00 MiB more fit" in message


def test_the_reserve_is_kept_by_hand_too() -> None:
    pool = make_pool(vg=make_vg(free=1500))
    assert targets(ask(pool, MOST, settings=RESERVED)) == [10_500]
    assert refusal(ask(pool, by(504), settings=RESERVED))[0] == "vg-too-small"
    assert targets(ask(pool, metadata=by(504), settings=RESERVED)) == [604]


def test_all_there_is_of_nothing_is_refused() -> None:
    assert refusal(ask(make_pool(vg=make_vg(free=0)), MOST))[0] == "vg-dry"


def test_a_size_that_is_not_larger_is_refused_with_the_size_there_is() -> None:
    for size in (to(10_000), to(1), by(0)):
        code, message = refusal(ask(make_pool(), size))
        assert (code, "9.77 GiB" in message) == ("not-larger", True)


def test_a_ceiling_holds_by_hand_too() -> None:
    settings = make_settings(replace(PLAIN, max_size=10_500 * MIB))
    assert targets(ask(make_pool(), MOST, settings=settings)) == [10_500]
    assert refusal(ask(make_pool(), by(504), settings=settings))[0] == "pool-ceiling"
    at_ceiling = make_settings(replace(PLAIN, max_size=10_000 * MIB))
    assert refusal(ask(make_pool(), MOST, settings=at_ceiling))[0] == "pool-ceiling"


def test_the_kernels_limit_of_metadata_holds() -> None:
    pool = make_pool(vg=make_vg(free=50_000))
    most = METADATA_MAX // EXTENT * EXTENT
    assert refusal(ask(pool, metadata=Size(most + 1)))[0] == "metadata-ceiling"
    assert targets(ask(pool, metadata=MOST)) == [most // MIB]


def test_a_pool_that_is_not_there_is_refused() -> None:
    goal = ExtendByHand("vg/none", data=MOST)
    plan = make_plan(make_state(make_pool()), make_settings(), Past(), goal)
    assert refusal(plan) == ("no-such-pool", plan.refusals[0].message)
    assert plan.refusals[0].message.startswith("vg/none: ")


def test_an_obstacle_forbids_growth_by_hand_too() -> None:
    assert refusal(ask(in_kernel(make_pool(), needs_check=True), by(4)))[0] == "pool-needs-check"
    assert refusal(ask(replace(make_pool(), kernel=None), by(4)))[0] == "pool-inactive"


def test_what_can_be_done_is_planned_beside_what_is_refused() -> None:
    plan = ask(make_pool(), data=to(1), metadata=by(4))
    assert [action.act for action in plan.actions] == [Act.EXTEND_METADATA]
    assert [refused.code for refused in plan.refusals] == ["not-larger"]


def test_a_pool_that_is_not_guarded_is_grown_by_hand() -> None:
    assert targets(ask(make_pool(), by(4), settings=Settings(pools=("other/*",)))) == [10_004]


def test_asking_for_nothing_plans_nothing() -> None:
    assert ask(make_pool()) == Plan()


def test_all_there_is_of_data_leaves_room_for_the_metadata_that_lvm_grows_with_it() -> None:
    vg = replace(make_vg(free=100), spare=4 * MIB)
    (action,) = ask(make_pool(vg=vg, size=4096, metadata_size=4), data=MOST).actions
    (most,) = ask(make_pool(vg=make_vg(free=100), size=4096), data=MOST).actions
    assert action.target < most.target == 4196 * MIB  # type: ignore[union-attr]
