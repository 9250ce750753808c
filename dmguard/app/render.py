"""What a person reads of pools, disks and actions, and the values of the same for --json."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dmguard.app.say import complain, say
from dmguard.core.actions import subject
from dmguard.core.codes import CODES
from dmguard.core.complaints import LASTING
from dmguard.core.outcome import describe, told
from dmguard.core.steps import every_step
from dmguard.core.units import format_seconds, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmguard.app.guard.extend import Acted
    from dmguard.app.guard.recover import Recovered
    from dmguard.app.guard.report import Report
    from dmguard.core.actions import Action
    from dmguard.core.findings import Finding
    from dmguard.core.model import Pool, State, Vg
    from dmguard.core.outcome import Outcome
    from dmguard.core.plan import Refusal
    from dmguard.core.verdict import Verdict

    Outcomes = Sequence[tuple[Action, Outcome]]


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] | None = None
) -> str:
    """Columns as wide as they need; those in `right` to the right, or all but the first."""
    right = range(1, len(head)) if right is None else right
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    shown = (
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join(shown)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} %"


def vg_table(vgs: Sequence[Vg]) -> str:
    rows = [
        [
            vg.name,
            format_size(vg.size),
            format_size(vg.free),
            str(len(vg.pvs)),
            f"{len(vg.missing)} missing" if vg.missing else "complete",
        ]
        for vg in vgs
    ]
    return table(["VG", "SIZE", "FREE", "PVS", "STATE"], rows)


def pool_table(pools: Sequence[Pool], report: Report) -> str:
    rows = []
    for pool in pools:
        kernel = pool.kernel
        data = kernel.data.percent if kernel and kernel.data else None
        metadata = kernel.metadata.percent if kernel and kernel.metadata else None
        rate = report.rate(pool)
        rows.append(
            [
                pool.name,
                format_size(kernel.size if kernel else pool.lv.size),
                percent(data),
                percent(metadata),
                _mode(pool),
                "-" if rate is None else f"{format_size(int(rate))}/s",
                format_seconds(report.time_to_full(pool)),
            ]
        )
    return table(["POOL", "SIZE", "DATA", "METADATA", "STATE", "RATE", "FULL IN"], rows)


def _mode(pool: Pool) -> str:
    if pool.kernel is None:
        return "inactive"
    return f"{pool.kernel.mode}{' needs_check' if pool.kernel.needs_check else ''}"


def say_plan(actions: Sequence[Action], findings: Sequence[Finding], *, commands: bool) -> None:
    for action in actions:
        say(f"{subject(action)}: {describe(action)}")
        if commands:
            for step in every_step(action):
                say(f"    {step}")
    for finding in findings:
        say(f"{finding.message} [{finding.code}]")
    if not actions and not findings:
        say("nothing to do")


def say_start(action: Action) -> None:
    """What is about to be done, for whoever waits for it."""
    say(f"{subject(action)}: {action.words().verbs[2]} {action.words().what} …")
    sys.stdout.flush()


def say_outcomes(outcomes: Outcomes) -> None:
    """What was done, in the order in which it was."""
    for action, outcome in outcomes:
        say(told(action, outcome))


def say_acted(acted: Acted) -> None:
    """What a command did, or would do, and what it refused."""
    say_outcomes(acted.outcomes)
    if not acted.outcomes and acted.plan.actions:
        say_plan(acted.plan.actions, (), commands=True)
    say_refusals(acted.plan.refusals)


def say_refusals(refusals: Sequence[Refusal]) -> None:
    """What was asked for and is not done, on standard error."""
    for refusal in refusals:
        complain(f"{refusal.message} [{refusal.code}]")


def say_findings(findings: Sequence[Finding], actions: Sequence[Action]) -> None:
    """Each finding with its evidence, and what cures it: an action, or what a person has to do."""
    for finding in findings:
        say(f"{finding.message} [{finding.code}]")
        cures = [action for action in actions if is_cure(action, finding)]
        for action in cures:
            say(f"    cure: {describe(action)}")
        if not cures:
            say(f"    to do: {CODES[finding.code].cure}")


def is_cure(action: Action, finding: Finding) -> bool:
    """Is the action one against this finding?

    To keep a pool's mark is none: it is done by the way, and nothing is told for want of it. What
    LVM refuses for a lasting reason is not cured by asking it again.
    """
    if action.reason == "low-water" or finding.code in LASTING:
        return False
    if action.pool:
        return action.pool == finding.subject
    if finding.subject.startswith("/dev/"):
        return action.disk == finding.subject
    return action.vg == finding.subject.partition("/")[0]


def plan_values(actions: Sequence[Action]) -> list[dict[str, Any]]:
    from dmguard.core.actions import dump_action

    return [
        {
            **dump_action(action),
            "pool": action.pool,
            "disk": action.disk,
            "why": describe(action),
            "commands": [str(step) for step in every_step(action)],
        }
        for action in actions
    ]


def outcome_values(outcomes: Outcomes) -> list[dict[str, Any]]:
    return [
        {
            "act": str(action.act),
            "pool": action.pool,
            "disk": action.disk,
            "result": str(outcome.result),
            "reason": outcome.reason,
            "detail": outcome.detail,
        }
        for action, outcome in outcomes
    ]


def recovered_values(recovered: Recovered) -> dict[str, Any]:
    """What was wrong, what was to be done and was done about it, and what is left."""
    return {
        "findings": finding_values(recovered.before.findings),
        "planned": plan_values(recovered.before.actions),
        "done": outcome_values(recovered.outcomes),
        "left": finding_values(recovered.after.findings),
        "refused": refusal_values(recovered.after.refusals),
    }


def refusal_values(refusals: Sequence[Refusal]) -> list[dict[str, str]]:
    return [{"subject": r.subject, "code": r.code, "message": r.message} for r in refusals]


def finding_values(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"code": f.code, "subject": f.subject, "message": f.message} for f in findings]


def consumer_values(state: State) -> list[dict[str, str | None]]:
    """Who keeps its data where; `pool` is None for one that is none of LVM's, or not there."""
    pools = {pool.dm_name: pool.name for pool in state.pools}
    return [
        {"name": c.name, "dm_name": c.dm_name, "pool": pools.get(c.dm_name)}
        for c in state.consumers
    ]


def disk_table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        [
            verdict.disk.node,
            format_size(verdict.disk.size),
            verdict_word(verdict),
            verdict.disk.identity,
            verdict_reasons(verdict),
        ]
        for verdict in verdicts
    ]
    return table(["DISK", "SIZE", "VERDICT", "IDENTITY", "REASONS"], rows, right=(1,))


_IN_USE = frozenset(("disk-in-vg", "disk-in-other-vg", "disk-part-in-vg"))


def verdict_word(verdict: Verdict) -> str:
    """The verdict in a word or two."""
    codes = [reason.code for reason in verdict.reasons]
    if verdict.claimable:
        return f"for {verdict.vg}"
    if _IN_USE.intersection(codes):
        return "in use"
    if codes == ["disk-no-rule"]:
        return "no rule"
    return "asks" if codes == ["disk-ask"] else "refused"


def verdict_reasons(verdict: Verdict) -> str:
    """Each reason's code with its evidence."""
    return "; ".join(
        f"{reason.code} ({reason.detail})" if reason.detail else reason.code
        for reason in verdict.reasons
    )


def disk_values(verdict: Verdict) -> dict[str, Any]:
    disk = verdict.disk
    return {
        "disk": disk.node,
        "identity": disk.identity,
        "kind": str(disk.kind),
        "size": disk.size,
        "sector_size": disk.sector,
        "path": disk.path,
        "serial": disk.serial,
        "wwn": disk.wwn,
        "model": disk.model,
        "vendor": disk.vendor,
        "bus": disk.bus,
        "rotational": disk.rotational,
        "links": list(disk.links),
        "vg": verdict.vg,
        "verdict": verdict_word(verdict).partition(" ")[0]
        if verdict.claimable
        else verdict_word(verdict),
        "claimable": verdict.claimable,
        "reasons": [{"code": r.code, "detail": r.detail} for r in verdict.reasons],
    }
