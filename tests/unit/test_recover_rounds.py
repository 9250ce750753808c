"""`dmguard recover` does what is due until nothing is left of it, and nothing for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dmguard.app.guard.recover import Recovered, recover
from dmguard.app.wiring import Loop
from dmguard.core.actions import RepairPool, Result
from dmguard.core.goals import Recover
from dmguard.core.host import Host, LvmConf, PoolVolumes
from dmguard.core.model import Mode, Pool, State
from dmguard.loop.memory import Memory
from dmguard.loop.walk import Done
from tests.unit.builders import in_kernel, make_pool, make_settings, make_state
from tests.unit.fakes import Bench, finish

Agree = Callable[[tuple[RepairPool, ...]], bool]


def run(bench: Bench, goal: Recover = Recover(), agree: Agree | None = None) -> Recovered:  # noqa: B008 - frozen
    loop = Loop(
        settings=make_settings(),
        paths=bench.paths,
        runner=cast("Any", None),
        observer=bench.observer,  # type: ignore[arg-type] # the bench's own
        recorder=bench.recorder,
        executor=bench.executor,
        memory=Memory(),
        reconciler=cast("Any", None),
        books=bench.books,
    )
    more = {} if agree is None else {"agree": agree}
    return asyncio.run(finish(bench, recover(loop, goal, dry_run=False, **more)))


def does(bench: Bench, *states: State) -> None:
    """The bench's hand makes the host one of these after the other, then stays with the last."""
    left = list(states)

    def do() -> Done:
        bench.observer.state = left.pop(0) if len(left) > 1 else left[0]
        return Done(ok=True)

    bench.does = do


def unmarked(pool: Pool) -> Pool:
    return in_kernel(pool, low_water=0)


def test_what_is_done_and_undone_by_another_is_not_done_again(tmp_path: Path) -> None:
    """As a mark that another agent sets back at once."""
    bench = Bench(tmp_path, make_state(unmarked(make_pool(50))))
    look = bench.observer.look

    async def undone(**how: Any) -> State:
        bench.observer.state = make_state(unmarked(make_pool(50)))
        return await look(**how)

    bench.observer.look = undone  # type: ignore[method-assign] # the host of just this test
    does(bench, make_state(make_pool(50)))
    recovered = run(bench)
    assert [str(action.act) for action, _ in recovered.outcomes] == ["refresh"]


@pytest.mark.parametrize("steps", [1, 3])
def test_a_pool_that_is_above_its_threshold_after_a_growth_is_grown_again(
    tmp_path: Path, steps: int
) -> None:
    sizes = [12_000, 14_400, 17_280][:steps]
    bench = Bench(tmp_path, make_state(make_pool(80)))
    still = [make_state(make_pool(78, size=size)) for size in sizes[:-1]]
    does(bench, *still, make_state(make_pool(60, size=sizes[-1])))
    recovered = run(bench)
    assert [str(action.act) for action, _ in recovered.outcomes] == ["extend-data"] * steps
    assert not recovered.failed


OFFLINE = Recover(offline="20261128T150000Z")


def ill() -> State:
    state = make_state(in_kernel(make_pool(), mode=Mode.RO, needs_check=True))
    host = Host(
        lvm=LvmConf(),
        programs=frozenset(("thin_repair",)),
        volumes={"uuid-vg-pool": PoolVolumes()},
    )
    return replace(state, host=host)


@pytest.mark.parametrize("answer", [True, False])
def test_nothing_is_taken_out_of_use_unless_that_is_agreed_to(
    tmp_path: Path, *, answer: bool
) -> None:
    bench = Bench(tmp_path, ill())
    asked: list[str] = []

    def agree(repairs: tuple[RepairPool, ...]) -> bool:
        asked.extend(repair.pool for repair in repairs)
        return answer

    does(bench, ill(), make_state(make_pool()))
    recovered = run(bench, OFFLINE, agree)
    acts = [(str(action.act), str(outcome.result)) for action, outcome in recovered.outcomes]
    assert asked == ["vg/pool"]
    assert acts == ([("repair-pool", "done")] if answer else [])
    assert bool(bench.steps) is answer


def test_a_repair_that_does_not_succeed_is_not_begun_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ill())
    asked: list[int] = []

    def agree(repairs: tuple[RepairPool, ...]) -> bool:
        asked.append(len(repairs))
        return True

    bench.does = lambda: Done(ok=False, complaint="words", code="pool-not-repaired")
    recovered = run(bench, OFFLINE, agree)
    (outcome,) = (outcome for _, outcome in recovered.outcomes)
    assert (str(outcome.result), outcome.reason) == ("failed", "pool-not-repaired")
    assert (asked, recovered.failed) == ([1], True)


def test_a_pool_that_lvm_does_not_bring_up_for_its_check_is_repaired_in_the_same_run(
    tmp_path: Path,
) -> None:
    down = replace(ill(), pools=(replace(make_pool(), kernel=None),))
    bench = Bench(tmp_path, down)
    checked = False

    def do() -> Done:
        nonlocal checked
        if not checked:
            checked = True
            return Done(ok=False, complaint="Check failed", code="thin-check-failed")
        bench.observer.state = make_state(make_pool())
        return Done(ok=True)

    bench.does = do
    recovered = run(bench, OFFLINE)
    acts = [(str(action.act), outcome.reason) for action, outcome in recovered.outcomes]
    assert acts == [("activate", "thin-check-failed"), ("repair-pool", "thin-check-failed")]
    assert recovered.outcomes[1][1].result == Result.DONE

    # It is known at the next time, without a check that may take minutes.
    bench = Bench(tmp_path, down)
    bench.paths.history.unlink()
    checked = False
    bench.does = do
    run(bench)
    bench = Bench(tmp_path, down)
    does(bench, down, make_state(make_pool()))
    recovered = run(bench, OFFLINE)
    assert [str(action.act) for action, _ in recovered.outcomes] == ["repair-pool"]
