"""`dmguard recover --offline`: which pools are taken out of use, for what, and how that is taken
back.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmguard.app.guard.recover import last_refusals
from dmguard.core.actions import Act, Activate, RepairPool, dump_action, is_met, load_action
from dmguard.core.codes import CODES
from dmguard.core.entry import Entry
from dmguard.core.goals import Recover
from dmguard.core.host import Host, LvmConf, PoolVolumes, UnitFacts
from dmguard.core.model import Consumer, Mode, Pool, State, Unit, Usage
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.steps import finish_for, lets_go, steps_for, undo_for
from tests.unit.builders import MIB, in_kernel, in_vg, make_pool, make_settings, make_state, make_vg

STAMP = "20261128T150000Z"
GOAL = Recover(offline=STAMP)
COPY = f"/var/lib/dmguard/metadata/vg-pool-{STAMP}.img"
HOST = Host(
    lvm=LvmConf(),
    programs=frozenset(("thin_check", "thin_repair")),
    volumes={"uuid-vg-pool": PoolVolumes()},
    units={
        "docker.socket": UnitFacts("docker.socket"),
        "docker.service": UnitFacts("docker.service"),
    },
)
ILL = in_kernel(make_pool(), mode=Mode.RO, needs_check=True)
DOWN = replace(make_pool(), kernel=None)
CHECK_FAILED = Past(refused={"vg/pool": "thin-check-failed"})


def host_of(pool: Pool, **changes: object) -> State:
    return replace(make_state(pool), host=replace(HOST, **changes))  # type: ignore[arg-type]


def with_docker(state: State, pool: str = "vg-pool") -> State:
    unit = Unit("docker.service", "active")
    return replace(state, consumers=(Consumer("docker", pool, unit),))


def plan(state: State, past: Past = Past(), goal: Recover = GOAL) -> Plan:  # noqa: B008 - frozen
    return make_plan(state, make_settings(), past, goal)


def repair(state: State, past: Past = Past()) -> RepairPool:  # noqa: B008 - frozen
    (action,) = plan(state, past).actions
    assert isinstance(action, RepairPool)
    return action


def words(action: RepairPool) -> list[str]:
    return [line.strip() for step in steps_for(action) for line in str(step).splitlines()]


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (ILL, "pool-needs-check"),
        (in_kernel(make_pool(), mode=Mode.RO), "pool-read-only"),
        (in_kernel(make_pool(), mode=Mode.FAIL, data=None, metadata=None), "pool-failed"),
        (
            in_kernel(make_pool(), mode=Mode.RO, metadata=Usage(100 * MIB, 100 * MIB)),
            "out-of-metadata",
        ),
    ],
)
def test_a_pool_that_nothing_else_cures_is_repaired_only_when_that_is_asked_for(
    pool: Pool, reason: str
) -> None:
    state = host_of(pool)
    assert (repair(state).reason, repair(state).up) == (reason, True)
    assert plan(state, goal=Recover()).actions == ()


@pytest.mark.parametrize(
    "pool",
    [
        make_pool(),
        in_kernel(make_pool(), mode=Mode.OUT_OF_DATA),
        in_kernel(ILL, suspended=True, needs_check=False, mode=Mode.RW),
        in_kernel(ILL, mode=Mode.ERROR, needs_check=False),
        in_vg(ILL, exported=True),
        in_vg(ILL, pvs=(replace(ILL.vg.pvs[0], missing=True),)),
        in_vg(ILL, shared=True),
    ],
)
def test_a_pool_that_is_well_or_not_to_be_changed_is_left_in_use(pool: Pool) -> None:
    planned = plan(host_of(pool))
    assert not [a for a in planned.actions if isinstance(a, RepairPool)]
    assert repair(host_of(ILL)).pool == pool.name, "with nothing else wrong it would be"


def test_a_pool_that_is_down_is_repaired_if_its_check_has_failed_and_else_brought_up() -> None:
    (first,) = plan(host_of(DOWN)).actions
    assert isinstance(first, Activate)
    second = repair(host_of(DOWN), CHECK_FAILED)
    assert (second.reason, second.up, second.metadata_target) == ("thin-check-failed", False, 0)
    (other,) = plan(host_of(DOWN), Past(refused={"vg/pool": "pool-table-refused"})).actions
    assert isinstance(other, Activate)


def test_only_the_pools_that_are_named_and_also_one_that_is_not_guarded() -> None:
    other = in_kernel(make_pool(vg=make_vg(name="other")), mode=Mode.RO)
    state = make_state(ILL, other)
    volumes = {pool.lv.uuid: PoolVolumes() for pool in state.pools}
    state = replace(state, host=replace(HOST, volumes=volumes))
    planned = plan(state, goal=replace(GOAL, pools=("other/pool",)))
    assert [action.pool for action in planned.actions] == ["other/pool"]
    unguarded = replace(make_settings(), pools=("nothing/*",))
    for pools, expected in (((), []), (("vg/pool",), ["vg/pool"])):
        goal = replace(GOAL, pools=pools)
        planned = make_plan(state, unguarded, Past(), goal)
        assert [action.pool for action in planned.actions] == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lvm": LvmConf(thin_check_missing=True)}, "thin-check-missing"),
        ({"lvm": LvmConf(thin_check="")}, "thin-check-missing"),
        ({"programs": frozenset(("thin_check",))}, "thin-check-missing"),
        ({"lvm": None}, "lvm-unreadable"),
        ({"volumes": {}}, "lvm-unreadable"),
    ],
)
def test_nothing_is_taken_out_of_use_that_could_not_be_repaired(
    changes: dict[str, object], code: str
) -> None:
    planned = plan(host_of(ILL, **changes))
    assert (planned.actions, [r.code for r in planned.refusals]) == ((), [code])
    assert planned.refusals[0].act is Act.REPAIR_POOL


def test_its_metadata_grows_with_it_where_it_is_full_and_the_group_has_room() -> None:
    full = in_kernel(make_pool(), mode=Mode.RO, metadata=Usage(100 * MIB, 100 * MIB))
    action = repair(host_of(full))
    assert action.metadata_target > 100 * MIB
    grow = f"--poolmetadatasize {action.metadata_target}b vg/pool"
    assert [line for line in words(action) if line.endswith(grow)]
    dry = plan(host_of(in_vg(full, pvs=(replace(full.vg.pvs[0], free=0),))))
    assert (dry.actions, [r.code for r in dry.refusals]) == ((), ["vg-dry"])
    assert repair(host_of(ILL)).metadata_target == 0


def test_the_steps_are_those_of_the_manual_and_in_its_order() -> None:
    state = with_docker(host_of(ILL, volumes={"uuid-vg-pool": PoolVolumes(active=("a", "b"))}))
    action = repair(state)
    assert lets_go(action)
    lines = words(action)
    order = [
        f"# check: there is room for 100.00 MiB as {COPY}",
        "systemctl stop docker.socket",
        "systemctl stop docker.service",
        "# check again: docker.socket, docker.service: stopped",
        " vg/a vg/b",
        "# remove what consumers left of thin devices in vg-pool: dmsetup remove NAME",
        "activation/monitoring=0' vg/pool",
        "vg/pool_tmeta",
        f"cp --sparse=always /dev/mapper/vg-pool_tmeta {COPY} && ",
        "vg/pool_tmeta",
        "clear-needs-check-flag\"]' vg/pool",
        "lvconvert --repair",
        " vg/a vg/b",
        "systemctl reset-failed docker.socket",
        "systemctl start docker.socket",
        "systemctl reset-failed docker.service",
        "systemctl start docker.service",
    ]
    assert len(lines) == len(order)
    for line, part in zip(lines, order, strict=True):
        assert part in line
    first, last = (i for i, line in enumerate(lines) if line.endswith("vg/pool_tmeta"))
    assert "--activate y --yes" in lines[first]
    assert "--activate n" in lines[last]
    assert lines[11].startswith("# if ")
    assert CODES["thin-check-failed"].clause in lines[11]


def test_who_did_not_run_is_not_started_and_who_has_another_pool_is_not_stopped() -> None:
    units = {"docker.service": UnitFacts("docker.service", active="failed")}
    action = repair(with_docker(host_of(ILL, units=units)))
    assert (action.units, action.starts) == (("docker.socket", "docker.service"), ())
    action = repair(with_docker(host_of(ILL), pool="vg-another"))
    assert (action.units, action.starts, lets_go(action)) == ((), (), True)


@pytest.mark.parametrize(
    ("pool", "met"),
    [
        (ILL, False),
        (DOWN, False),
        (make_pool(), True),
        (in_kernel(make_pool(), mode=Mode.OUT_OF_DATA), True),
        (in_kernel(make_pool(), suspended=True), False),
        (in_kernel(make_pool(), metadata=None), False),
    ],
)
def test_it_is_done_when_the_kernel_runs_the_pool_for_writing(pool: Pool, *, met: bool) -> None:
    action = repair(host_of(ILL))
    assert is_met(action, make_state(pool)) is met
    assert is_met(action, State((), ())) is None


def test_metadata_that_was_to_grow_and_did_not_is_not_done() -> None:
    action = replace(repair(host_of(ILL)), metadata_target=200 * MIB)
    assert is_met(action, make_state(make_pool())) is False
    assert is_met(action, make_state(make_pool(metadata_size=200))) is True


def test_it_is_the_same_after_a_power_cut() -> None:
    state = with_docker(host_of(ILL, volumes={"uuid-vg-pool": PoolVolumes(active=("a",))}))
    action = repair(state)
    assert load_action(dump_action(action)) == action


def test_what_a_power_cut_left_is_begun_anew_with_the_parts_that_are_up_by_then() -> None:
    action = repair(with_docker(host_of(ILL)))
    assert finish_for(action, 3, make_state(ILL)) == steps_for(action)
    parts = replace(DOWN, lv=replace(DOWN.lv, active_components=("pool_tmeta",)))
    again = finish_for(action, 3, make_state(parts))
    assert again == steps_for(replace(action, components=("pool_tmeta",)))
    assert finish_for(action, 3, State((), ())) == ()


def test_a_pool_that_a_boot_has_mended_is_not_taken_out_of_use_again() -> None:
    action = replace(repair(with_docker(host_of(ILL))), metadata_target=200 * MIB)
    rest = [str(step) for step in finish_for(action, 3, make_state(make_pool()))]
    assert not [line for line in rest if "stop" in line or "--activate n" in line]
    assert "--poolmetadatasize" in rest[0]
    assert rest[-1] == "systemctl start docker.service"


def test_before_anything_was_repaired_all_is_put_back_as_it_was() -> None:
    """As where there is no room for the copy, or someone has a volume open."""
    state = with_docker(host_of(ILL, volumes={"uuid-vg-pool": PoolVolumes(active=("a",))}))
    action = repair(state)
    tried = next(n for n, step in enumerate(steps_for(action)) if "lvconvert" in str(step))
    parts = replace(DOWN, lv=replace(DOWN.lv, active_components=("pool_tmeta",)))
    undo = [str(step) for step in undo_for(action, tried - 1, make_state(parts))]
    assert undo[0].endswith("vg/pool_tmeta")
    assert undo[1].endswith("vg/pool")
    assert "needs-check" not in undo[1], "the mark stays"
    assert undo[2].endswith("vg/a")
    assert undo[-1] == "systemctl start docker.service"
    still_up = [str(step) for step in undo_for(action, 2, make_state(ILL))]
    assert still_up[0].endswith("vg/a")
    assert still_up[1:] == undo[3:]


def test_a_pool_whose_check_or_repair_failed_stays_down_and_its_consumers_stopped() -> None:
    action = repair(with_docker(host_of(ILL)))
    tried = next(n for n, step in enumerate(steps_for(action)) if "lvconvert" in str(step))
    assert undo_for(action, tried, make_state(DOWN)) == ()
    was_down = replace(action, up=False)
    assert undo_for(was_down, 0, make_state(DOWN)) == ()


def test_what_was_said_last_of_each_pool_counts() -> None:
    def entry(action: Act, pool: str, reason: str) -> Entry:
        return Entry(
            code=reason, action=str(action), result="refused", trigger="start", vg="vg",
            pool=pool, disk="", reason=reason, message="",
        )  # fmt: skip

    history = [
        entry(Act.ACTIVATE, "vg/a", "thin-check-failed"),
        entry(Act.ACTIVATE, "vg/b", "thin-check-failed"),
        entry(Act.EXTEND_DATA, "vg/a", "vg-dry"),
        entry(Act.REPAIR_POOL, "vg/b", "pool-needs-check"),
    ]
    assert last_refusals(history) == {"vg/a": "thin-check-failed", "vg/b": "pool-needs-check"}
