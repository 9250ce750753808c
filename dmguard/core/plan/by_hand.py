"""`dmguard extend`: one pool, so large, through the same actions as the agent's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Act, Extend
from dmguard.core.codes import CODES
from dmguard.core.model import METADATA_MAX, Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.plan import Refusal
from dmguard.core.plan.grow import make_extend
from dmguard.core.sizing import metadata_cost, metadata_fit, policy_for, reserve_in, with_metadata
from dmguard.core.units import format_size, round_down, round_up

if TYPE_CHECKING:
    from dmguard.core.goals import ExtendByHand, Size
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Policy, Settings

_Planned = tuple[tuple[Extend, ...], tuple[Refusal, ...]]


def plan_extend(state: State, settings: Settings, goal: ExtendByHand) -> _Planned:
    """What was asked for, whole, or a refusal: by hand nothing is cut to what fits."""
    pool = state.pool(goal.pool)
    code = "no-such-pool" if pool is None else obstacle(pool, state)
    if pool is None or code is not None:
        asked = Resource.METADATA if goal.data is None else Resource.DATA
        return (), (_refuse(goal.pool, code or "no-such-pool", asked),)
    policy = policy_for(pool, settings)
    reserve = reserve_in(pool.vg, state, settings)
    actions: list[Extend] = []
    refusals: list[Refusal] = []
    # Metadata first, and data from what is left.
    for resource, size in ((Resource.METADATA, goal.metadata), (Resource.DATA, goal.data)):
        if size is None:
            continue
        taken = sum(metadata_cost(pool, action.target - action.size) for action in actions)
        room = pool.vg.free - taken - (reserve if resource is Resource.DATA else 0)
        outcome = _extend(pool, policy, resource, size, room)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        else:
            actions.append(outcome)
    return tuple(actions), tuple(refusals)


def _extend(
    pool: Pool, policy: Policy, resource: Resource, size: Size, room: int
) -> Extend | Refusal:
    assert pool.kernel is not None
    now = pool.lv.metadata_size
    if resource is Resource.DATA:
        now = max(pool.kernel.size, pool.lv.size)
    extent = pool.vg.extent
    if resource is Resource.DATA:
        ceiling, code = policy.max_size, "pool-ceiling"
    else:
        ceiling, code = round_down(METADATA_MAX, extent), "metadata-ceiling"
    if size.value is None:
        growth = _most(pool, resource, now, room, ceiling)
        if growth <= 0:
            return _refuse(pool.name, "vg-dry" if room < extent else code, resource)
        return make_extend(pool, policy, resource, growth, "asked")
    target = round_up(size.value + (now if size.relative else 0), extent)
    if target <= now:
        return _refuse(pool.name, "not-larger", resource, f"{resource} has {format_size(now)}")
    if ceiling is not None and target > ceiling:
        return _refuse(pool.name, code, resource, f"the limit is {format_size(ceiling)}")
    if resource is Resource.DATA:
        room = with_metadata(pool, max(0, room), room)
    if target - now > room:
        return _refuse(
            pool.name, "vg-too-small", resource, f"at most {format_size(max(0, room))} more fit"
        )
    return make_extend(pool, policy, resource, target - now, "asked")


def _most(pool: Pool, resource: Resource, now: int, room: int, ceiling: int | None) -> int:
    most = round_down(room, pool.vg.extent)
    if ceiling is not None:
        most = min(most, round_down(ceiling - now, pool.vg.extent))
    if resource is Resource.METADATA:
        return metadata_fit(pool, most)
    return with_metadata(pool, most, room)


def _refuse(pool: str, code: str, resource: Resource, more: str = "") -> Refusal:
    act = Act.EXTEND_DATA if resource is Resource.DATA else Act.EXTEND_METADATA
    message = f"{pool}: {CODES[code].clause}" + (f"; {more}" if more else "")
    return Refusal(pool, code, message, act)
