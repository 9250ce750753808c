"""One verb a command: what they answer, typed. The agent's loop, entered by other doors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import ExtendByHand, Guard, Result
from dmguard.core.entry import Entry, Outcome
from dmguard.core.forecast import time_to
from dmguard.core.model import Trigger
from dmguard.core.plan import Plan, Rates, make_plan
from dmguard.core.sizing import policy_for
from dmguard.edge.files import BusyError, Lock
from dmguard.edge.retry import retry
from dmguard.loop.publish import is_alive, read_published
from dmguard.loop.record import read_history

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.model import Pool, State

_LOCK_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Report:
    """The host, what the agent makes of it, and what would be done next."""

    state: State
    plan: Plan
    rates: Rates
    published: dict[str, Any] | None
    recent: list[Entry]

    @property
    def alive(self) -> bool:
        return is_alive(self.published)

    def rate(self, pool: Pool) -> float | None:
        return self.rates.data.get(pool.lv.uuid)

    def time_to_full(self, pool: Pool) -> float | None:
        """Seconds until the data is full at the present rate, if nothing grew it."""
        data = pool.kernel.data if pool.kernel else None
        return None if data is None else time_to(data.total - data.used, self.rate(pool))


@dataclass(frozen=True, slots=True)
class Extended:
    """What `extend` did: each action with how it ended, or what was refused."""

    plan: Plan
    outcomes: tuple[tuple[Action, Outcome], ...] = ()


async def read_report(loop: Loop) -> Report:
    """The truth read now, and the agent's rates if it runs."""
    published = read_published(loop.paths)
    rates = Rates((published or {}).get("rates", {}) if is_alive(published) else {})
    state = await loop.observer.look(fresh=True)
    plan = make_plan(state, loop.settings, rates, Guard())
    return Report(state, plan, rates, published, read_history(loop.paths)[-5:])


async def extend(loop: Loop, goal: ExtendByHand, *, dry_run: bool) -> Extended:
    """Grow a pool by hand. BusyError if the lock does not come free in time."""
    if dry_run:
        state = await loop.observer.look(fresh=True)
        return Extended(make_plan(state, loop.settings, Rates(), goal))
    with await _lock(loop) as lock:
        await loop.executor.resume(lock)
        state = await loop.observer.look(fresh=True)
        plan = make_plan(state, loop.settings, Rates(), goal)
        outcomes: list[tuple[Action, Outcome]] = []
        for action in plan.actions:
            outcome = await loop.executor.carry_out(action, Trigger.COMMAND, lock)
            outcomes.append((action, outcome))
            if outcome.result is not Result.DONE:
                break
        await _record_refusals(loop, plan)
    return Extended(plan, tuple(outcomes))


async def _lock(loop: Loop) -> Lock:
    async def acquire() -> Lock:
        return Lock.acquire(loop.paths.lock)

    return await retry(acquire, on=(BusyError,), attempts=100, within_s=_LOCK_WAIT_S)


async def _record_refusals(loop: Loop, plan: Plan) -> None:
    for refusal in plan.refusals:
        vg = refusal.pool.partition("/")[0]
        await loop.recorder.record(
            Entry(
                code=refusal.code,
                action="extend-data",
                result=str(Result.REFUSED),
                trigger=str(Trigger.COMMAND),
                vg=vg,
                pool=refusal.pool,
                reason=refusal.code,
                message=refusal.message,
            )
        )


def pool_values(pool: Pool, report: Report, loop: Loop) -> dict[str, Any]:
    """One pool for --json. Unknown is null, never 0."""
    kernel, policy = pool.kernel, policy_for(pool, loop.settings)
    data = kernel.data if kernel else None
    metadata = kernel.metadata if kernel else None
    return {
        "name": pool.name,
        "guarded": loop.settings.guards(pool.name),
        "active": kernel is not None,
        "mode": str(kernel.mode) if kernel else None,
        "needs_check": kernel.needs_check if kernel else None,
        "errors_when_full": kernel.errors_when_full if kernel else None,
        "size": kernel.size if kernel else pool.lv.size,
        "data_used": data.used if data else None,
        "data_percent": round(data.percent, 2) if data else None,
        "metadata_size": pool.lv.metadata_size,
        "metadata_used": metadata.used if metadata else None,
        "metadata_percent": round(metadata.percent, 2) if metadata else None,
        "low_water": kernel.low_water if kernel else None,
        "chunk_size": pool.lv.chunk,
        "profile": pool.lv.profile,
        "data_threshold": policy.data_threshold,
        "metadata_threshold": policy.metadata_threshold,
        "max_size": policy.max_size,
        "fill_rate": report.rate(pool),
        "time_to_full": report.time_to_full(pool),
    }
