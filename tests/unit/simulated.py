"""Hosts at random, and what LVM and the kernel make of an action on them."""

from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from dmguard.core.actions import Action, Extend, Refresh
from dmguard.core.model import METADATA_MAX, KernelPool, Mode, Pool, Resource, State, Usage, Vg
from dmguard.core.plan import Past
from dmguard.core.settings import Policy, Settings
from dmguard.core.sizing import low_water_for
from dmguard.core.units import Amount
from tests.unit.builders import (
    CHUNK,
    EXTENT,
    MIB,
    in_kernel,
    make_pool,
    make_pv,
    make_state,
    make_vg,
    with_profile,
)


def any_amount(rng: Random) -> Amount:
    if rng.random() < 0.5:
        return Amount(percent=float(rng.randint(0, 60)))
    return Amount(size=rng.randint(1, 3000) * MIB)


def any_policy(rng: Random) -> Policy:
    return Policy(
        data_threshold=rng.randint(50, 99),
        metadata_threshold=rng.randint(50, 99),
        step=any_amount(rng),
        min_step=rng.choice([0, 1, 100 * MIB, 1 << 30]),
        headroom=rng.choice([0.0, 1.5, 600.0]),
        max_size=rng.choice([None, None, rng.randint(1, 20_000) * MIB]),
        vg_reserve=any_amount(rng),
    )


def any_vg(rng: Random, name: str) -> Vg:
    pv = make_pv(rng.choice([0, 3, rng.randint(0, 500), rng.randint(0, 20_000)]), size=50_000)
    spare = rng.choice([None, rng.randint(0, 200) * EXTENT])
    return replace(make_vg(size=50_000, name=name), pvs=(pv,), spare=spare)


def any_pool(rng: Random, vg: Vg, name: str) -> Pool:
    pool = make_pool(
        rng.randint(0, 100),
        rng.randint(0, 100),
        vg=vg,
        name=name,
        size=4 * rng.randint(1, 3000),
        metadata_size=4 * rng.choice([rng.randint(1, 100), rng.randint(4050, 4064)]),
    )
    match rng.randint(0, 9):
        case 0:
            return replace(pool, kernel=None)
        case 1:
            return in_kernel(pool, mode=Mode.FAIL, data=None, metadata=None)
        case 2:
            return with_profile(pool, rng.randint(0, 100), rng.randint(0, 100))
    return in_kernel(pool, low_water=rng.randint(0, 1000))


World = tuple[State, Settings, Past]


def any_world(rng: Random) -> World:
    """One or two VGs of up to three pools each, most of them above a threshold."""
    pools = [
        any_pool(rng, vg, f"pool{number}")
        for vg in (any_vg(rng, name) for name in rng.choice(["a", "ab"]))
        for number in range(rng.randint(1, 3))
    ]
    named = {pool.name: any_policy(rng) for pool in pools if rng.random() < 0.3}
    guarded = rng.choice([("*/*",), ("*/*",), ("a/*",), ("*/pool1",)])
    rates = {pool.lv.uuid: rng.choice([0.0, 12_345_678.9, 1e10]) for pool in pools}
    settings = Settings(pools=guarded, policy=any_policy(rng), overrides=named)
    return make_state(*pools), settings, Past(rng.choice([rates, {}]))


worlds = st.builds(any_world, st.randoms(use_true_random=True))


def apply(state: State, action: Action) -> State:
    """What LVM and the kernel make of an action on a pool."""
    assert isinstance(action, Extend | Refresh)
    pool = next(pool for pool in state.pools if pool.lv.uuid == action.lv_uuid)
    kernel = pool.kernel
    assert kernel is not None
    if isinstance(action, Refresh):
        return put(state, pool, replace(kernel, low_water=action.low_water))
    growth = action.target - action.size
    vg, lv = pool.vg, pool.lv
    if action.resource is Resource.DATA:
        lv = replace(lv, size=action.target)
        kernel = grow_kernel(kernel, action)
    else:
        used = kernel.metadata.used if kernel.metadata else 0
        lv = replace(lv, metadata_size=action.target)
        kernel = replace(kernel, metadata=Usage(used, min(action.target, METADATA_MAX)))
    (pv,) = vg.pvs
    spare = vg.spare or 0
    room = pv.free - growth
    # The spare follows the largest metadata as far as there is room.
    more = max(0, min(lv.metadata_size - spare, room)) // EXTENT * EXTENT
    more = 0 if action.resource is Resource.DATA else more
    vg = replace(vg, pvs=(replace(pv, free=room - more),), spare=spare + more, seqno=vg.seqno + 1)
    others = tuple(replace(p, vg=vg) if p.vg.uuid == vg.uuid else p for p in state.pools)
    state = make_state(*others)
    return put(state, replace(pool, lv=lv, vg=vg), kernel)


def grow_kernel(kernel: KernelPool, action: Extend) -> KernelPool:
    used = kernel.data.used if kernel.data else 0
    mark = low_water_for(action.target, CHUNK, action.threshold)
    return replace(kernel, size=action.target, data=Usage(used, action.target), low_water=mark)


def put(state: State, pool: Pool, kernel: KernelPool) -> State:
    new = replace(pool, kernel=kernel)
    return make_state(*(new if p.lv.uuid == pool.lv.uuid else p for p in state.pools))
