"""What the bench tells of processes that do nothing, and of whom it measures."""

from __future__ import annotations

from tests.bench.guards import CRON, DMEVENTD, dmguard
from tests.bench.idle import EXECUTOR, told
from tests.bench.plan import Plan

MIB = 1 << 20
NONE = {"processes": 0, "resident": 0, "locked": 0, "cpu": 0.0, "switches": 0, "parents": 0}


def process(resident: int, cpu: float) -> dict[str, float]:
    return {
        "processes": 1,
        "resident": resident * MIB,
        "locked": 2 * MIB,
        "cpu": cpu,
        "switches": 3,
        "parents": 0,
    }


def test_an_executor_is_told_apart_from_the_agent_and_together_with_it() -> None:
    seen = {"dmguard": process(20, 0.5), EXECUTOR: process(60, 0.25), "forks": 3}
    found = {what: (unit, value) for what, unit, value in told(seen, "dmguard", 60)}
    assert found == {
        "resident": ("MiB", 20.0),
        "resident, executor": ("MiB", 60.0),
        "resident with executor": ("MiB", 80.0),
        "locked": ("MiB", 2.0),
        "CPU an hour": ("s", 30.0),
        "CPU an hour with executor": ("s", 45.0),
        "switches an hour": ("", 180.0),
        "processes started": ("", 3),
    }


def test_who_has_no_executor_has_nothing_told_of_one() -> None:
    seen = {"dmeventd": process(25, 0.0), EXECUTOR: NONE, "forks": 2}
    found = {what: value for what, _, value in told(seen, "dmeventd", 60)}
    assert "resident, executor" not in found
    # So that dmguard's has something to be compared with.
    assert found["resident with executor"] == found["resident"] == 25.0


def test_a_process_is_a_guards_only_if_it_has_had_a_child() -> None:
    for parents, started in ((0, 0), (1, 2)):
        agent = process(20, 0.5) | {"parents": parents}
        seen = {"dmguard": agent, EXECUTOR: NONE, "forks": 2}
        found = {what: value for what, _, value in told(seen, "dmguard", 60)}
        assert found["processes started"] == started


def test_only_who_is_chosen_is_measured() -> None:
    guards = (DMEVENTD, dmguard(), CRON)
    chosen = Plan(rounds=2, guards=frozenset({"cron", "dmguard", "another"})).turns(guards)
    order = [(number, guard.name) for number, guard in chosen]
    assert order == [(0, "dmguard"), (0, "cron"), (1, "cron"), (1, "dmguard")]
    assert list(Plan(guards=frozenset({"another"})).turns(guards)) == []
    assert len(list(Plan(rounds=1).turns(guards))) == 3
