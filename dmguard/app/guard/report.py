"""What `status` and `plan` tell: the host, what would be done next, and the agent's health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.app.guard.look import look_at_all
from dmguard.core.forecast import time_to
from dmguard.core.goals import Guard
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.sizing import policy_for
from dmguard.core.verdict import judge
from dmguard.loop.publish import is_alive, read_published
from dmguard.loop.record import read_history

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.entry import Entry
    from dmguard.core.model import Pool, State
    from dmguard.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """The host, what the agent makes of it, and what would be done next."""

    state: State
    plan: Plan
    past: Past
    published: dict[str, Any] | None
    recent: list[Entry]

    @property
    def alive(self) -> bool:
        return is_alive(self.published)

    def rate(self, pool: Pool) -> float | None:
        return self.past.data.get(pool.lv.uuid)

    def time_to_full(self, pool: Pool) -> float | None:
        """Seconds until the data is full at the present rate, if nothing grew it."""
        data = pool.kernel.data if pool.kernel else None
        return None if data is None else time_to(data.total - data.used, self.rate(pool))


async def read_report(loop: Loop) -> Report:
    """The truth read now, and the agent's rates if it runs."""
    published = read_published(loop.paths)
    past = Past((published or {}).get("rates", {}) if is_alive(published) else {})
    state = await look_at_all(loop)
    plan = make_plan(state, loop.settings, past, Guard())
    return Report(state, plan, past, published, read_history(loop.paths)[-5:])


def ruled_disks(report: Report, loop: Loop) -> tuple[Verdict, ...]:
    """The disks that a claim rule is for."""
    verdicts = (judge(disk, report.state, loop.settings) for disk in report.state.disks)
    return tuple(verdict for verdict in verdicts if verdict.rule is not None)


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
