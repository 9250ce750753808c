"""`dmguard recover` does what is due until nothing is left of it, and nothing for ever."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from dmguard.app.guard.recover import Recovered, recover
from dmguard.app.wiring import Loop
from dmguard.core.goals import Recover
from dmguard.core.model import Pool, State
from dmguard.loop.memory import Memory
from dmguard.loop.walk import Done
from tests.unit.builders import in_kernel, make_pool, make_settings, make_state
from tests.unit.fakes import Bench, finish


def run(bench: Bench) -> Recovered:
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
    return asyncio.run(finish(bench, recover(loop, Recover(), dry_run=False)))


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
