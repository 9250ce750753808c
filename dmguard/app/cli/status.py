"""dmguard status: VGs, pools and what comes next, on one screen."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dmguard.app.guard.report import Report
    from dmguard.app.wiring import Loop

_CLEAR = "\x1b[H\x1b[2J"
_EVERY_S = 2.0


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "status",
        help="VGs, pools, fill rates, and what is done next",
        description="Show the volume groups, the thin pools with their usage, state and fill rate,"
        " what dmguard will do next, and its recent acts.",
    )
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    import asyncio

    from dmguard.app.guard.report import read_report
    from dmguard.app.wiring import open_loop
    from dmguard.edge.config import load_settings

    with open_loop(load_settings()) as loop:
        while True:
            report = await read_report(loop)
            if options.watch and not options.json:
                sys.stdout.write(_CLEAR if sys.stdout.isatty() else "\n")
            _say_json(report, loop) if options.json else _say(report, loop)
            sys.stdout.flush()
            if not options.watch:
                return 0
            await asyncio.sleep(_EVERY_S)


def _say(report: Report, loop: Loop) -> None:
    from dmguard.app.guard.report import ruled_disks
    from dmguard.app.loops import loop_table
    from dmguard.app.render import consumer_values, disk_table, pool_table, say_plan, vg_table
    from dmguard.app.say import say, say_history

    guarded = [pool for pool in report.state.pools if loop.settings.guards(pool.name)]
    say(_agent_line(report))
    if not report.state.pools and not report.state.bare:
        say("no thin pools on this host")
        return
    if report.state.pools:
        used = {pool.vg.uuid for pool in report.state.pools}
        say("\n" + vg_table([vg for vg in report.state.vgs if vg.uuid in used]))
        say("\n" + pool_table(guarded, report))
    if report.state.bare:
        say("\n" + loop_table(report.state.bare))
    for user in consumer_values(report.state):
        say(f"\n{user['name']} keeps its data in {user['pool'] or user['dm_name']}")
    ruled = ruled_disks(report, loop)
    if ruled:
        say("\n" + disk_table(ruled))
    others = len(report.state.pools) - len(guarded)
    if others:
        say(f"and {others} that guard.pools does not match")
    say("\nNext:")
    say_plan(report.plan.actions, report.plan.findings, commands=False)
    if report.recent:
        say("\nRecent acts:")
        say_history(report.recent)


def _agent_line(report: Report) -> str:
    if not report.alive or report.published is None:
        return "The agent is not running: systemctl start dmguard"
    sources = report.published.get("sources", {})
    shown = ", ".join(f"{name} {health}" for name, health in sources.items())
    at = report.published.get("started", 0)
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    return f"Guarding since {started}; sources: {shown}"


def _say_json(report: Report, loop: Loop) -> None:
    from dmguard.app.guard.report import pool_values, ruled_disks
    from dmguard.app.loops import loop_values
    from dmguard.app.render import consumer_values, disk_values, finding_values, plan_values
    from dmguard.app.say import say_json

    say_json(
        {
            "agent": report.published if report.alive else None,
            "vgs": [
                {
                    "name": vg.name,
                    "uuid": vg.uuid,
                    "size": vg.size,
                    "free": vg.free,
                    "extent_size": vg.extent,
                    "pvs": len(vg.pvs),
                    "missing_pvs": len(vg.missing),
                }
                for vg in report.state.vgs
            ],
            "pools": [pool_values(pool, report, loop) for pool in report.state.pools],
            "loops": [loop_values(pool) for pool in report.state.bare],
            "consumers": consumer_values(report.state),
            "disks": [disk_values(verdict) for verdict in ruled_disks(report, loop)],
            "next": plan_values(report.plan.actions),
            "findings": finding_values(report.plan.findings),
            "recent": [entry.as_values() for entry in report.recent],
        }
    )
