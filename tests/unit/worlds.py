"""Hosts at random, most of whose pools want to grow."""

from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from dmguard.core.model import Mode, Pool, State, Vg
from dmguard.core.plan import Past
from dmguard.core.settings import Policy, Settings
from dmguard.core.units import Amount
from tests.unit.builders import (
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
