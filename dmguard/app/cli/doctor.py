"""dmguard doctor: what on this host would make a pool stop, and what cures it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dmguard.app.guard.doctor import Order
    from dmguard.app.guard.recover import Recovered
    from dmguard.core.actions import Action
    from dmguard.core.findings import Finding
    from dmguard.core.plan import Plan


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="what on this host would make a pool stop, with the cure",
        description="Look at the whole host: pools, disks, LVM's own settings and profiles,"
        " dmeventd, who uses the pools, how they are configured and whether they start behind"
        " their pools. Each finding is told with its evidence, what it leads to, and its cure."
        " With --fix what is safe is done: all that recover does, and LVM profiles, monitoring,"
        " the low water mark, the spare, the activation skip flag, and values in Docker's"
        " configuration with which it cannot start. Ends with 0 when nothing is left that"
        " something must be done about, 1 when a cure failed, 4 when something was found, or left"
        " alone for safety.",
    )
    parser.add_argument("--fix", action="store_true", help="do what is safe")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the commands and change nothing"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.doctor import cure, examine, orders
    from dmguard.app.withbus import open_with_bus

    async with open_with_bus() as loop:
        acts = options.fix and not options.dry_run
        seen = await (cure(loop) if acts else examine(loop))
        found = orders(seen.state, loop.settings)
    if options.json:
        _say_json(seen, found)
    else:
        _say(seen, found, acts=acts, commands=options.dry_run)
    return _exit_code(seen)


def _say_json(seen: Recovered, found: tuple[Order, ...]) -> None:
    from dmguard.app.render import outcome_values, plan_values
    from dmguard.app.say import say_json

    say_json(
        {
            "findings": [_values(finding, seen.before) for finding in seen.before.findings],
            "planned": plan_values(seen.before.actions),
            "done": outcome_values(seen.outcomes),
            "left": [_values(finding, seen.after) for finding in seen.after.findings],
            "consumers": [
                {"name": o.name, "unit": o.unit, "pool": o.pool, "ordered": o.ordered}
                for o in found
            ],
        }
    )


def _values(finding: Finding, plan: Plan) -> dict[str, Any]:
    from dmguard.core.codes import CODES
    from dmguard.core.findings.host import counts

    row = CODES[finding.code]
    return {
        "code": finding.code,
        "subject": finding.subject,
        "message": finding.message,
        "severity": row.severity.name.lower(),
        "counts": counts(finding),
        "title": row.title,
        "danger": row.danger,
        "cure": row.cure,
        "fixable": bool(_cures(finding, plan.actions)),
    }


def _say(seen: Recovered, found: tuple[Order, ...], *, acts: bool, commands: bool) -> None:
    from dmguard.app.render import say_outcomes, say_plan
    from dmguard.app.say import say

    if acts:
        say_outcomes(seen.outcomes)
    for order in found:
        say(_sentence(order))
    plan = seen.after
    if not plan.findings:
        say("nothing is wrong")
    told: list[Action] = []
    # What counts comes first, and the gravest of it before all.
    for number, (severity, findings) in enumerate(groupby(plan.findings, _heading)):
        if number or found or seen.outcomes:
            say()
        say(f"{severity}:")
        for finding in findings:
            cures = _cures(finding, plan.actions)
            _say_finding(finding, cures, commands=commands)
            told += cures
    rest = [action for action in plan.actions if action not in told]
    if commands and rest:
        say("\nDone by the way:")
        say_plan(rest, (), commands=True)


def _heading(finding: Finding) -> str:
    from dmguard.core.codes import CODES, Severity
    from dmguard.core.findings.host import counts

    if not counts(finding):
        return "To be known"
    return "Critical" if CODES[finding.code].severity <= Severity.ERROR else "To be cured"


def _say_finding(finding: Finding, cures: tuple[Action, ...], *, commands: bool) -> None:
    from dmguard.app.say import say
    from dmguard.core.codes import CODES
    from dmguard.core.outcome import describe
    from dmguard.core.steps import every_step

    row = CODES[finding.code]
    say(f"{finding.message} [{finding.code}]")
    say(f"    {row.title}. {row.danger}")
    for action in cures:
        say(f"    dmguard doctor --fix: {describe(action)}")
        for step in every_step(action) if commands else ():
            say(f"        {step}")
    if not cures:
        say(f"    {row.cure}")


def _cures(finding: Finding, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """What is planned against this very finding."""
    from dmguard.app.render import is_cure
    from dmguard.core.actions import subject
    from dmguard.core.findings.host import is_around

    if is_around(finding.code):
        return tuple(
            action
            for action in actions
            if action.reason == finding.code and subject(action) == finding.subject
        )
    return tuple(a for a in actions if not is_around(a.reason) and is_cure(a, finding))


def _sentence(order: Order) -> str:
    pool = order.pool or "a pool that LVM does not list"
    how = {
        True: "starts behind dmguard-activate.service",
        False: "does not start behind dmguard-activate.service",
        None: "systemd does not tell how it starts",
    }
    return f"{order.unit}, {pool}: {how[order.ordered]}"


def _exit_code(seen: Recovered) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.doctor import left

    if seen.failed:
        return Exit.FAILED
    return Exit.REFUSED if left(seen.after) else Exit.DONE
