"""What came back is taken back, and only that."""

from dataclasses import replace

import pytest

from dmguard.core.actions import Refresh, RestorePv, StartUnit, is_stale
from dmguard.core.model import Consumer, Mode, Pool, Pv, State, Unit
from dmguard.core.plan import Past, make_plan
from dmguard.core.plan.repair import plan_returned, plan_stale, plan_units
from dmguard.core.settings import CONSUMERS, ConsumerPolicy, OnRecovered, Settings
from tests.unit.builders import in_kernel, in_vg, make_pool, make_pv, make_state, make_vg
from tests.unit.disks import consumer, make_disk, pv_on, vg_of

EVERY = Settings()
OTHER = Settings(pools=("other/*",))
HERE = pv_on(make_disk("a"))
BACK = pv_on(make_disk("b"), missing=True)
ALSO_BACK = pv_on(make_disk("c"), missing=True)
AWAY = replace(make_pv(0, name="gone", missing=True), devno=None)


def returned(
    *pvs: Pv, settings: Settings = EVERY, vg: dict[str, object] | None = None
) -> list[str]:
    pool = in_vg(make_pool(vg=vg_of()), pvs=pvs, **(vg or {}))
    return [action.disk for action in plan_returned(make_state(pool), settings)]


def test_pvs_that_are_all_back_are_taken_back() -> None:
    assert returned(HERE, BACK) == ["/dev/sdb"]
    assert returned(HERE, BACK, ALSO_BACK) == ["/dev/sdb", "/dev/sdc"]
    assert returned(HERE) == []


def test_nothing_is_taken_back_while_another_is_away() -> None:
    assert returned(HERE, BACK, AWAY) == []
    assert returned(HERE, AWAY) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("mirrored", True), ("exported", True), ("writeable", False), ("shared", True)],
)
def test_nothing_is_taken_back_in_a_group_that_must_not_be_changed(
    name: str,
    value: bool,  # noqa: FBT001 - a table
) -> None:
    assert returned(HERE, BACK, vg={name: value}) == []
    assert returned(HERE, BACK, vg={name: not value}) == ["/dev/sdb"]


def test_nothing_is_taken_back_in_one_of_two_groups_of_one_name() -> None:
    pool = in_vg(make_pool(vg=vg_of()), pvs=(HERE, BACK))
    state = make_state(pool)
    twins = replace(state, vgs=(*state.vgs, replace(vg_of(), uuid="another")))
    assert list(plan_returned(twins, EVERY)) == []
    assert list(plan_returned(state, EVERY)) != []


def test_an_unguarded_group_is_left() -> None:
    assert returned(HERE, BACK, settings=OTHER) == []


def test_a_pv_that_is_back_comes_before_all_else_and_alone() -> None:
    pool = in_vg(make_pool(95, vg=vg_of()), pvs=(HERE, BACK))
    actions = make_plan(make_state(pool), EVERY, Past()).actions
    assert actions == (RestorePv("vg", pool.vg.uuid, "/dev/sdb", BACK.uuid, size=BACK.size),)


def stale_pool() -> Pool:
    pool = in_vg(make_pool(vg=vg_of()), pvs=(HERE,))
    return in_kernel(pool, leaves=frozenset({(8, 240)}))


def stale(pool: Pool, settings: Settings = EVERY) -> list[str]:
    return [action.reason for action in plan_stale(make_state(pool), settings)]


def test_a_table_that_points_at_devices_that_are_gone_is_loaded_anew() -> None:
    assert is_stale(stale_pool())
    assert stale(stale_pool()) == ["stale-table"]
    assert stale(in_kernel(stale_pool(), leaves=frozenset({HERE.devno}))) == []
    both = in_kernel(stale_pool(), leaves=frozenset({HERE.devno, (8, 240)}))
    assert stale(both) == ["stale-table"]


@pytest.mark.parametrize("changes", [{"mode": Mode.RO}, {"needs_check": True}])
def test_that_is_done_in_any_mode_because_it_leaves_the_mode_alone(
    changes: dict[str, object],
) -> None:
    assert stale(in_kernel(stale_pool(), **changes)) == ["stale-table"]


def test_what_tells_nothing_is_no_sign_of_a_stale_table() -> None:
    assert stale(in_kernel(stale_pool(), leaves=frozenset())) == []
    assert stale(in_kernel(stale_pool(), suspended=True)) == []
    assert stale(in_vg(stale_pool(), pvs=(HERE, AWAY))) == []
    assert stale(in_vg(stale_pool(), pvs=(HERE, BACK))) == []
    assert stale(in_vg(stale_pool(), pvs=(replace(HERE, devno=None),))) == []
    assert stale(replace(stale_pool(), kernel=None)) == []
    assert stale(stale_pool(), OTHER) == []


def test_a_pool_whose_table_is_stale_gets_that_one_action() -> None:
    pool = in_kernel(stale_pool(), low_water=0)
    actions = make_plan(make_state(pool), EVERY, Past()).actions
    assert [action.reason for action in actions] == ["stale-table"]


UP = in_kernel(make_pool(), appeared=1000)
DOWN = consumer("failed", tried=900, entered=0)


def started(
    client: Consumer = DOWN, pool: Pool = UP, settings: Settings = EVERY
) -> tuple[StartUnit, ...]:
    state: State = replace(make_state(pool), consumers=(client,))
    return tuple(plan_units(state, settings))


def test_a_consumer_that_failed_before_its_pool_was_there_is_started() -> None:
    (action,) = started()
    assert (action.unit, action.restart, action.pool) == ("docker.service", False, "vg/pool")


@pytest.mark.parametrize(
    ("state", "unit", "starts"),
    [
        ("failed", {"tried": 1000}, True),
        ("failed", {"tried": 1001}, False),  # it saw the pool, and failed for another reason
        ("failed", {"tried": 0}, False),  # nobody ever started it
        ("failed", {"tried": 900, "entered": 950}, False),  # it ran, and failed later
        ("failed", {"tried": 900, "entered": 800}, True),  # it ran in an earlier life
        ("failed", {"tried": 900, "has_job": True}, False),
        ("inactive", {"tried": 900}, False),  # an administrator stopped it
        ("activating", {"tried": 900}, False),
        ("active", {"tried": 900, "entered": 910}, False),
    ],
)
def test_the_times_tell_whether_it_failed_for_want_of_its_pool(
    state: str,
    unit: dict[str, int],
    starts: bool,  # noqa: FBT001 - a table
) -> None:
    assert bool(started(consumer(state, **unit))) is starts


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": Mode.RO},
        {"mode": Mode.OUT_OF_DATA},
        {"needs_check": True},
        {"suspended": True},
        {"appeared": None},
    ],
)
def test_it_is_not_started_while_its_pool_cannot_be_used(changes: dict[str, object]) -> None:
    assert started(pool=in_kernel(UP, **changes)) == ()


def test_a_pool_that_is_down_unguarded_or_another_is_no_reason_to_start() -> None:
    assert started(pool=replace(UP, kernel=None)) == ()
    assert started(settings=OTHER) == ()
    assert started(replace(DOWN, dm_name="vg-other")) == ()
    assert started(replace(DOWN, unit=None)) == ()
    assert started(pool=in_kernel(make_pool(vg=make_vg(name="x")), appeared=1000)) == ()


def policy(how: OnRecovered) -> Settings:
    own = {name: ConsumerPolicy(row.unit, how) for name, row in CONSUMERS.items()}
    return Settings(consumers=own)


def test_what_is_done_is_what_the_configuration_says() -> None:
    assert started(settings=policy(OnRecovered.NONE)) == ()
    assert [a.restart for a in started(settings=policy(OnRecovered.RESTART))] == [True]
    assert [a.restart for a in started(settings=policy(OnRecovered.START_IF_FAILED))] == [False]
    assert started(settings=Settings(consumers={})) == ()


@pytest.mark.parametrize(("broken", "starts"), [(True, True), (False, False), (None, False)])
def test_containerd_that_runs_without_its_pool_is_restarted(
    broken: bool | None,  # noqa: FBT001 - a table
    starts: bool,  # noqa: FBT001
) -> None:
    unit = Unit("containerd.service", "active", tried=900, entered=910)
    client = Consumer("containerd", "vg-pool", unit, broken)
    assert [action.restart for action in started(client)] == [True] * starts
    gentle = policy(OnRecovered.START_IF_FAILED)
    assert [action.restart for action in started(client, settings=gentle)] == [True] * starts


def test_a_unit_is_started_after_all_that_is_done_for_its_pool() -> None:
    pool = in_kernel(make_pool(80), appeared=1000)
    state = replace(make_state(pool), consumers=(DOWN,))
    actions = make_plan(state, EVERY, Past()).actions
    assert [str(action.act) for action in actions] == ["extend-data", "start-unit"]


def test_its_pool_is_not_suspended_under_it_when_it_is_started() -> None:
    """A table that is loaded anew while a consumer starts fails it."""
    up = in_kernel(make_pool(), appeared=1000, low_water=0)
    down = replace(make_state(up), consumers=(consumer("failed", tried=900),))
    plan = make_plan(down, EVERY, Past())
    assert [type(action) for action in plan.actions] == [Refresh, StartUnit]
