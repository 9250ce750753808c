"""Which pools come up, and which are waited for."""

from dataclasses import replace

import pytest

from dmguard.core.actions import Action, Activate, Refresh
from dmguard.core.goals import ActivateAll, Recover
from dmguard.core.model import Consumer, Mode, Pool, State, dm_name
from dmguard.core.plan import Past, make_plan
from dmguard.core.plan.activate import is_wanted, missing_pools
from dmguard.core.settings import Settings
from dmguard.core.steps import steps_for
from tests.unit.builders import in_vg, make_pool, make_pv, make_state, make_vg

EVERY = Settings()
NAMED = Settings(pools=("vg/pool",))
OTHER = Settings(pools=("other/*",))
DOWN = replace(make_pool(), kernel=None)
DOCKER = Consumer("docker", "vg-pool")


def lv(**changes: object) -> Pool:
    return replace(DOWN, lv=replace(DOWN.lv, **changes))  # type: ignore[arg-type]


SKIPPED, MANUAL = lv(skips_activation=True), lv(autoactivates=False)


def activated(state: State, settings: Settings = EVERY, *pools: str) -> list[str]:
    plan = make_plan(state, settings, Past(), ActivateAll(pools))
    return [action.pool for action in plan.actions]


@pytest.mark.parametrize("pool", [DOWN, SKIPPED, MANUAL], ids=["plain", "skip", "no auto"])
@pytest.mark.parametrize(
    ("settings", "consumers", "by_flags"),
    [
        (EVERY, (), False),
        (NAMED, (), True),
        (Settings(pools=("*/*", "vg/*")), (), True),
        (EVERY, (DOCKER,), True),
        (EVERY, (Consumer("docker", "vg-other"),), False),
    ],
    ids=["default", "named", "also named", "consumer", "another's consumer"],
)
def test_what_is_told_not_to_come_up_by_itself_comes_up_only_if_dmguard_is_told_to(
    pool: Pool,
    settings: Settings,
    consumers: tuple[Consumer, ...],
    by_flags: bool,  # noqa: FBT001 - a table
) -> None:
    state = replace(make_state(pool), consumers=consumers)
    expected = by_flags or pool is DOWN
    assert is_wanted(pool, state, settings) is expected
    assert activated(state, settings) == (["vg/pool"] if expected else [])


def test_an_unguarded_pool_is_left_down_even_with_a_consumer() -> None:
    state = replace(make_state(DOWN), consumers=(DOCKER,))
    assert activated(state, OTHER) == []
    assert activated(state, OTHER, "vg/pool") == ["vg/pool"]


def kinds(
    state: State, settings: Settings, *pools: str, needed: bool = False
) -> list[type[Action]]:
    plan = make_plan(state, settings, Past(), ActivateAll(pools, needed=needed))
    return [type(action) for action in plan.actions]


def test_those_asked_for_by_name_are_the_only_ones() -> None:
    state = make_state(DOWN, replace(DOWN, lv=replace(DOWN.lv, name="two", uuid="2")))
    assert activated(state, EVERY, "vg/two") == ["vg/two"]
    assert activated(state) == ["vg/pool", "vg/two"]


def test_a_pool_that_is_up_or_must_not_be_touched_is_left() -> None:
    assert activated(make_state(make_pool())) == []
    away = (*DOWN.vg.pvs, make_pv(0, name="gone", missing=True))
    assert activated(make_state(in_vg(DOWN, pvs=away)), EVERY, "vg/pool") == []
    assert activated(make_state(in_vg(DOWN, exported=True)), NAMED) == []
    assert activated(make_state(in_vg(DOWN, exported=False)), NAMED) == ["vg/pool"]


def test_the_action_says_what_is_in_the_way() -> None:
    pool = lv(active_components=("pool_tmeta",), skips_activation=True)
    for dmeventd in (True, False):
        state = replace(make_state(pool), dmeventd=dmeventd)
        plan = make_plan(state, NAMED, Past(), ActivateAll())
        assert plan.actions == (
            Activate(
                "vg",
                "pool",
                pool.lv.uuid,
                pool.lv.size,
                ("pool_tmeta",),
                skip=True,
                monitor=dmeventd,
                threshold=75,
            ),
        )


def test_a_pool_comes_up_with_its_mark() -> None:
    """Of one that is not guarded the mark is LVM's own."""
    (action,) = make_plan(make_state(DOWN), EVERY, Past(), ActivateAll()).actions
    (step,) = steps_for(action)
    assert "activation/monitoring=0 activation/thin_pool_autoextend_threshold=75" in str(step)
    (action,) = make_plan(make_state(DOWN), OTHER, Past(), ActivateAll(("vg/pool",))).actions
    (step,) = steps_for(action)
    assert "autoextend_threshold" not in str(step)
    monitored = replace(make_state(DOWN), dmeventd=True)
    (action,) = make_plan(monitored, EVERY, Past(), ActivateAll()).actions
    (step,) = steps_for(action)
    assert "activation/monitoring" not in str(step)
    assert "activation/thin_pool_autoextend_threshold=75" in str(step)


def test_one_that_lvm_brought_up_gets_its_mark_before_its_consumers_start() -> None:
    up = make_pool()
    assert up.kernel is not None
    bare = replace(up, kernel=replace(up.kernel, low_water=0))
    assert kinds(make_state(up), EVERY) == []
    assert kinds(make_state(bare), EVERY) == [Refresh]
    assert kinds(make_state(bare), OTHER) == []
    # Who names it wants it up, and nothing else.
    assert kinds(make_state(bare), EVERY, "vg/pool") == []
    # By day only what a consumer has is touched.
    assert kinds(make_state(bare), EVERY, needed=True) == []
    used = replace(make_state(bare), consumers=(DOCKER,))
    assert kinds(used, EVERY, needed=True) == [Refresh]


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ((), []),
        (("vg/pool",), ["vg/pool"]),
        (("vg-pool",), ["vg/pool"]),
        (("vg/else",), []),
    ],
)
def test_the_agent_brings_up_what_the_boot_waited_for_and_nothing_else(
    late: tuple[str, ...], expected: list[str]
) -> None:
    state = replace(make_state(DOWN), late=frozenset(late))
    assert [action.pool for action in make_plan(state, EVERY, Past()).actions] == expected
    assert make_plan(state, OTHER, Past()).actions == ()


def test_recover_brings_up_what_is_down_and_only_those_that_are_named() -> None:
    other = replace(make_pool(vg=make_vg(name="other")), kernel=None)
    state = make_state(DOWN, other)
    whole = make_plan(state, EVERY, Past(), Recover())
    assert [action.pool for action in whole.actions] == ["vg/pool", "other/pool"]
    one = make_plan(state, EVERY, Past(), Recover(("vg/pool",)))
    assert [action.pool for action in one.actions] == ["vg/pool"]


@pytest.mark.parametrize(
    ("globs", "consumers", "asked", "missing"),
    [
        (("*/*",), (), (), ()),
        (("vg/pool",), (), (), ()),
        (("data/thin", "vg/pool"), (), (), ("data/thin",)),
        (("data/*", "da[t]a/x", "d?ta/x"), (), (), ()),
        (("*/*",), ("vg-pool",), (), ()),
        (("*/*",), ("vg-thin",), (), ("vg/thin",)),
        (("my-vg/a-b",), ("my--vg-a--b",), (), ("my-vg/a-b",)),
        (("*/*",), ("vg-thin",), ("x/y", "vg/pool"), ("x/y",)),
    ],
)
def test_pools_of_which_lvm_knows_nothing_are_waited_for_by_name(
    globs: tuple[str, ...],
    consumers: tuple[str, ...],
    asked: tuple[str, ...],
    missing: tuple[str, ...],
) -> None:
    found = tuple(Consumer("docker", name) for name in consumers)
    state = replace(make_state(make_pool()), consumers=found)
    assert missing_pools(state, Settings(pools=globs), asked) == missing


def test_a_consumers_name_for_a_pool_with_hyphens_is_that_pools() -> None:
    pool = replace(make_pool(vg=make_vg(name="my-vg"), name="thin-pool"), kernel=None)
    manual = replace(pool, lv=replace(pool.lv, autoactivates=False))
    state = replace(make_state(manual), consumers=(Consumer("docker", "my--vg-thin--pool"),))
    assert dm_name("my-vg", "thin-pool") == "my--vg-thin--pool"
    assert activated(state) == ["my-vg/thin-pool"]
    assert missing_pools(state, EVERY, ()) == ()
    wrong = replace(state, consumers=(Consumer("docker", "my-vg-thin-pool"),))
    assert activated(wrong) == []
    assert missing_pools(wrong, EVERY, ()) == ()  # no name of a volume of LVM's


def test_a_pool_that_is_up_is_not_brought_up_whatever_its_mode() -> None:
    pool = make_pool()
    assert pool.kernel is not None
    failed = replace(pool, kernel=replace(pool.kernel, mode=Mode.FAIL))
    assert activated(make_state(failed), NAMED, "vg/pool") == []
