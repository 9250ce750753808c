"""dmguard plan: what would be done now, and why; changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "plan",
        help="what would be done now, and why; changes nothing",
        description="Show what the agent would do at this moment, with the exact LVM commands, and"
        " what stands in the way of more. Changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.report import read_report
    from dmguard.app.render import finding_values, plan_values, say_plan
    from dmguard.app.say import say_json
    from dmguard.app.wiring import open_loop
    from dmguard.edge.config import load_settings

    with open_loop(load_settings()) as loop:
        plan = (await read_report(loop)).plan
    if options.json:
        say_json({"next": plan_values(plan.actions), "findings": finding_values(plan.findings)})
    else:
        say_plan(plan.actions, plan.findings, commands=True)
    return 0
