"""What the kernel and LVM say, joined."""

from dmguard.loop.observe import join, merge
from tests.unit.builders import make_pool, make_vg


def test_a_vg_that_a_report_leaves_out_stays_as_it_was_known() -> None:
    one, two, newer = make_vg(10, name="one"), make_vg(10, name="two"), make_vg(99, name="one")
    assert merge((one, two), (newer,)) == (newer, two)
    assert merge((), (one,)) == (one,)


def test_a_pool_that_the_kernel_runs_alone_is_kept_apart() -> None:
    pool = make_pool()
    assert pool.kernel is not None
    state = join((pool.vg,), (pool.kernel,), {})
    assert state.pools == ()
    assert state.unknown == (pool.kernel,)
