"""The arithmetic of growth."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmguard.core.model import METADATA_MAX, Usage
from dmguard.core.settings import Policy
from dmguard.core.sizing import (
    data_want,
    is_above,
    is_at_mark,
    is_growth_near,
    low_water_for,
    metadata_fit,
    metadata_want,
    policy_for,
    reserve_in,
    share_out,
)
from dmguard.core.units import Amount
from tests.unit.builders import (
    EXTENT,
    GIB,
    MIB,
    PLAIN,
    in_kernel,
    in_vg,
    make_pool,
    make_settings,
    make_state,
    make_vg,
    with_profile,
)

LOTS = 1 << 50


def test_exactly_at_the_threshold_is_not_above() -> None:
    assert not is_above(Usage(75, 100), 75)
    assert is_above(Usage(76, 100), 75)
    assert is_above(Usage(7501, 10_000), 75)


def test_an_unknown_use_is_not_above() -> None:
    assert not is_above(None, 50)


def test_the_step_is_a_share_of_the_size() -> None:
    assert data_want(make_pool(80), PLAIN, None, LOTS) == 2000 * MIB


def test_the_step_may_be_a_size_and_is_rounded_up_to_an_extent() -> None:
    policy = replace(PLAIN, step=Amount(size=1001 * MIB))
    assert data_want(make_pool(76), policy, None, LOTS) == 1004 * MIB


def test_min_step_enlarges_a_small_step_and_leaves_a_large_one() -> None:
    assert data_want(make_pool(76), replace(PLAIN, min_step=3 * GIB), None, LOTS) == 3 * GIB
    assert data_want(make_pool(76), replace(PLAIN, min_step=GIB), None, LOTS) == 2000 * MIB


@given(st.integers(7501, 10_000), st.integers(50, 99), st.integers(1, 30))
def test_one_step_brings_any_pool_back_below_its_threshold(
    used: int, threshold: int, percent: int
) -> None:
    policy = replace(PLAIN, data_threshold=threshold, step=Amount(percent=float(percent)))
    pool = make_pool(used / 100)
    assert pool.kernel is not None
    assert pool.kernel.data is not None
    grown = pool.kernel.size + data_want(pool, policy, None, LOTS)
    assert not is_above(Usage(pool.kernel.data.used, grown), threshold)


def test_headroom_asks_for_what_is_written_in_its_time() -> None:
    policy = replace(PLAIN, headroom=600.0)
    assert data_want(make_pool(76), policy, 10.0 * MIB, LOTS) == 6000 * MIB


def test_headroom_takes_at_most_half_of_what_is_available() -> None:
    policy = replace(PLAIN, headroom=600.0)
    assert data_want(make_pool(76), policy, 100.0 * MIB, 9001 * MIB) == 4500 * MIB
    assert data_want(make_pool(76), policy, 100.0 * MIB, 100 * MIB) == 2000 * MIB


def test_headroom_off_or_an_unknown_rate_leaves_the_step() -> None:
    assert data_want(make_pool(76), PLAIN, 1e12, LOTS) == 2000 * MIB
    assert data_want(make_pool(76), replace(PLAIN, headroom=600.0), None, LOTS) == 2000 * MIB


def test_a_pool_without_numbers_wants_nothing() -> None:
    silent = in_kernel(make_pool(), data=None, metadata=None)
    assert data_want(silent, PLAIN, 1.0, LOTS) == metadata_want(silent, PLAIN) == 0
    inactive = replace(make_pool(), kernel=None)
    assert data_want(inactive, PLAIN, 1.0, LOTS) == metadata_want(inactive, PLAIN) == 0


def test_metadata_wants_the_share_and_never_the_size_that_data_steps_by() -> None:
    pool = make_pool(metadata=71, metadata_size=1000)
    assert metadata_want(pool, PLAIN) == 200 * MIB
    assert metadata_want(pool, replace(PLAIN, step=Amount(size=50 * GIB))) == 16 * MIB


def test_metadata_wants_no_more_than_the_kernel_uses() -> None:
    most = METADATA_MAX // EXTENT * EXTENT
    pool = make_pool(metadata=90, metadata_size=most // MIB - 8)
    assert metadata_want(pool, PLAIN) == 8 * MIB
    assert metadata_want(make_pool(metadata=90, metadata_size=most // MIB), PLAIN) == 0


def test_metadata_leaves_room_for_its_spare() -> None:
    pool = make_pool(vg=make_vg(free=100), metadata_size=100)
    assert metadata_fit(pool, 40 * MIB) == 40 * MIB
    assert metadata_fit(pool, 80 * MIB) == 48 * MIB


def test_metadata_leaves_room_for_a_spare_that_is_missing_or_short() -> None:
    pool = in_vg(make_pool(vg=make_vg(free=200), metadata_size=100), spare=None)
    assert metadata_fit(pool, 100 * MIB) == 48 * MIB
    assert metadata_fit(in_vg(pool, spare=60 * MIB), 100 * MIB) == 80 * MIB


def test_metadata_comes_before_its_spare_where_not_both_fit() -> None:
    pool = in_vg(make_pool(vg=make_vg(free=20), metadata_size=100), spare=None)
    assert metadata_fit(pool, 12 * MIB) == 12 * MIB
    assert metadata_fit(pool, 80 * MIB) == 20 * MIB
    assert metadata_fit(make_pool(vg=make_vg(free=4)), 40 * MIB) == 4 * MIB
    assert metadata_fit(make_pool(vg=make_vg(free=3)), 40 * MIB) == 0


@given(
    st.integers(0, 500),
    st.one_of(st.none(), st.integers(0, 60)),
    st.integers(1, 50),
    st.integers(1, 90),
)
def test_metadata_fits_the_vg_in_whole_extents(
    free: int, spare: int | None, size: int, want: int
) -> None:
    pool = make_pool(vg=make_vg(free=free), metadata_size=size * 4)
    pool = in_vg(pool, spare=None if spare is None else spare * EXTENT)
    growth = metadata_fit(pool, want * EXTENT)
    assert growth % EXTENT == 0
    assert (EXTENT if free >= 4 else 0) <= growth <= min(want * EXTENT, free * MIB)


def test_the_reserve_of_a_vg_is_the_largest_of_its_guarded_pools() -> None:
    one, two = make_pool(name="one"), make_pool(name="two")
    other = make_pool(vg=make_vg(name="other"))
    settings = make_settings(
        vg__two=replace(PLAIN, vg_reserve=Amount(percent=1.0)),
        other__pool=replace(PLAIN, vg_reserve=Amount(percent=50.0)),
    )
    state = make_state(one, two, other)
    assert reserve_in(one.vg, state, settings) == 1000 * MIB
    unguarded = replace(settings, pools=("vg/one",))
    assert reserve_in(one.vg, state, unguarded) == 0


WANTS = st.lists(st.integers(0, 1000).map(lambda n: n * EXTENT), min_size=1, max_size=6)


@given(WANTS, st.floats(-0.1, 1.2))
@example([EXTENT] * 3, 0.67)
def test_a_share_is_whole_extents_within_the_want_and_all_is_used_when_scarce(
    wants: list[int], part: float
) -> None:
    available = int(sum(wants) * part)
    shares = share_out(wants, available, EXTENT)
    whole = max(0, available) // EXTENT * EXTENT
    assert all(0 <= s <= w and s % EXTENT == 0 for s, w in zip(shares, wants, strict=True))
    assert sum(shares) == min(sum(wants), whole)


def test_shares_are_in_proportion_to_the_wants() -> None:
    assert share_out([100 * EXTENT, 300 * EXTENT], 200 * EXTENT, EXTENT) == [
        50 * EXTENT,
        150 * EXTENT,
    ]


def test_the_mark_is_the_chunks_that_are_free_at_the_threshold() -> None:
    assert low_water_for(1000 * 65536, 65536, 75) == 250
    assert low_water_for(1001 * 65536 + 1, 65536, 75) == 250
    assert low_water_for(10 * 65536, 65536, 99) == 0


def test_a_profile_of_lvm_is_the_policy_of_its_pool_and_min_step_does_not_enlarge_it() -> None:
    pool = with_profile(make_pool(), 80, 30)
    policy = policy_for(pool, make_settings(Policy(max_size=GIB)))
    assert (policy.data_threshold, policy.step) == (80, Amount(percent=30.0))
    assert (policy.min_step, policy.headroom, policy.max_size) == (0, 600.0, GIB)


@pytest.mark.parametrize(
    ("profile", "size", "threshold"), [(95, 16, 75), (95, 100, 95), (60, 16, 60), (97, 100, 96)]
)
def test_small_metadata_keeps_four_mebibytes_free_as_lvm_has_it(
    profile: int, size: int, threshold: int
) -> None:
    pool = with_profile(make_pool(metadata_size=size), profile)
    assert policy_for(pool, make_settings()).metadata_threshold == threshold


def test_a_profile_of_threshold_100_is_off() -> None:
    settings = make_settings(Policy())
    assert policy_for(with_profile(make_pool(), 100), settings) == Policy()


def test_a_pool_that_the_configuration_names_has_no_other_policy() -> None:
    own = replace(PLAIN, data_threshold=90)
    pool = with_profile(make_pool(), 60)
    assert policy_for(pool, make_settings(vg__pool=own)) == own
    assert policy_for(pool, make_settings(vg__other=own)).data_threshold == 60


@pytest.mark.parametrize(
    ("data", "metadata", "near"),
    [(10, 10, False), (65, 60, False), (66, 10, True), (10, 61, True), (90, 10, True)],
)
def test_growth_is_near_within_ten_points_of_a_threshold(
    data: int, metadata: int, *, near: bool
) -> None:
    pool = make_pool(data, metadata)
    assert is_growth_near(make_state(pool), make_settings()) is near
    assert not is_growth_near(make_state(pool), replace(make_settings(), pools=("other/*",)))


def test_growth_is_not_expected_of_a_pool_that_is_not_active() -> None:
    pool = make_pool(90)
    assert is_growth_near(make_state(pool), make_settings())
    assert not is_growth_near(make_state(replace(pool, kernel=None)), make_settings())


@pytest.mark.parametrize(
    ("used", "at_mark"),
    # Of 160 chunks, 120 of which are the threshold; then of 159, of which that is no whole number.
    [
        ((119, 160), False),
        ((120, 160), True),
        ((121, 160), False),
        ((119, 159), True),
        ((120, 159), False),
    ],
)
def test_a_pool_at_its_mark_is_above_with_the_next_chunk(
    used: tuple[int, int], *, at_mark: bool
) -> None:
    pool = make_pool()
    assert pool.kernel is not None
    chunks, total = (count * pool.kernel.chunk for count in used)
    pool = in_kernel(pool, data=Usage(chunks, total))
    assert is_at_mark(pool, make_settings()) is at_mark
    assert not is_at_mark(pool, replace(make_settings(), pools=("other/*",)))


def test_a_pool_whose_use_is_unknown_is_at_no_mark() -> None:
    pool = make_pool()
    for unknown in (in_kernel(pool, data=None), replace(pool, kernel=None)):
        assert not is_at_mark(unknown, make_settings())
