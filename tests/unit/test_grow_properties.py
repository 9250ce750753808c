"""What holds for the growth of any host."""

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from dmguard.core.actions import Extend, is_met
from dmguard.core.model import METADATA_MAX, Pool, Resource, State
from dmguard.core.plan import Past, make_plan
from dmguard.core.settings import Settings
from dmguard.core.sizing import is_above, policy_for, reserve_in, usage
from tests.unit.applied import apply
from tests.unit.worlds import World, worlds

ROUNDS = 12

some = hypothesis_settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def extends(state: State, settings: Settings, rates: Past) -> list[Extend]:
    return [a for a in make_plan(state, settings, rates).actions if isinstance(a, Extend)]


def pool_of(state: State, action: Extend) -> Pool:
    return next(pool for pool in state.pools if pool.lv.uuid == action.lv_uuid)


@some
@given(worlds)
def test_no_plan_takes_more_than_its_vg_has_or_data_of_its_reserve(world: World) -> None:
    state, settings, _ = world
    for vg in state.vgs:
        mine = [a for a in extends(*world) if a.vg == vg.name]
        assert sum(a.target - a.size for a in mine) <= vg.free
        data = sum(a.target - a.size for a in mine if a.resource is Resource.DATA)
        assert data <= max(0, vg.free - reserve_in(vg, state, settings))


@some
@given(worlds)
def test_every_target_is_whole_extents_above_the_size_and_within_every_ceiling(
    world: World,
) -> None:
    state, settings, _ = world
    for action in extends(*world):
        pool = pool_of(state, action)
        policy = policy_for(pool, settings)
        data = action.resource is Resource.DATA
        assert action.size == (pool.lv.size if data else pool.lv.metadata_size)
        assert action.target > action.size
        assert action.target % pool.vg.extent == 0
        ceiling = policy.max_size if data else METADATA_MAX
        assert ceiling is None or action.target <= ceiling


@some
@given(worlds)
def test_only_a_guarded_pool_above_its_threshold_is_grown(world: World) -> None:
    state, settings, _ = world
    for action in extends(*world):
        pool = pool_of(state, action)
        policy = policy_for(pool, settings)
        data = action.resource is Resource.DATA
        threshold = policy.data_threshold if data else policy.metadata_threshold
        assert settings.guards(pool.name)
        assert pool.kernel is not None
        assert is_above(usage(pool.kernel, action.resource), threshold)


@some
@given(worlds)
def test_planning_again_after_acting_soon_leaves_nothing_to_do(world: World) -> None:
    state, settings, rates = world
    for _ in range(ROUNDS):
        plan = make_plan(state, settings, rates)
        if not plan.actions:
            break
        for action in plan.actions:
            state = apply(state, action)
            assert is_met(action, state)
        assert all(vg.free >= 0 for vg in state.vgs)
    plan = make_plan(state, settings, rates)
    assert plan.actions == ()
    told = {finding.subject for finding in plan.findings}
    for pool in state.pools:
        policy = policy_for(pool, settings)
        full = pool.kernel and is_above(pool.kernel.data, policy.data_threshold)
        if full and settings.guards(pool.name):
            assert pool.name in told
