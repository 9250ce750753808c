"""dmguard activate: bring guarded pools up, and wait for disks that are late."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.app.guard.activate import Activated


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "activate",
        help="bring pools up, and wait for disks that are late",
        description="Activate the guarded thin pools, or those that are named, and verify through"
        " the kernel that they are up. Disks that are late are waited for: for activate.timeout"
        " from the first activation of this boot, or for S seconds from now. Ends with 0 only if"
        " all are up. The service dmguard-activate.service runs this before docker, containerd"
        " and isulad. A pool that LVM is told not to activate by itself is left alone unless it is"
        " named, here or in guard.pools, or a program of this host is configured for it.",
    )
    parser.add_argument("pools", nargs="*", metavar="VG/POOL", help="these pools, whatever guards")
    parser.add_argument(
        "--timeout", type=_seconds, metavar="S", help="seconds, or a duration as 2min; from now"
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the LVM commands and change nothing"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def _seconds(text: str) -> float:
    from dmguard.core.units import parse_duration

    try:
        return float(int(text)) if text.isdecimal() else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.activate import activate
    from dmguard.app.render import say_plan
    from dmguard.app.say import say, say_json
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.core.goals import ActivateAll
    from dmguard.core.model import Trigger
    from dmguard.core.plan import Past, make_plan
    from dmguard.edge.config import load_settings
    from dmguard.loop.record import Paths

    # Run by the service manager it is part of a start; else somebody typed it.
    trigger = Trigger.START if "NOTIFY_SOCKET" in os.environ else Trigger.COMMAND
    pools = tuple(options.pools)
    paths = Paths(door="activate")
    with open_loop(load_settings(), paths=paths, reach=Reach(disks=False)) as loop:
        if options.dry_run:
            state = await loop.observer.look(fresh=True)
            plan = make_plan(state, loop.settings, Past(), ActivateAll(pools))
            if options.json:
                say_json(_values(None, plan.actions))
            else:
                say_plan(plan.actions, (), commands=True)
            return Exit.DONE
        result = await activate(loop, pools, timeout_s=options.timeout, trigger=trigger)
    if options.json:
        say_json(_values(result, ()))
    else:
        for line in _lines(result):
            say(line)
    return Exit.DONE if result.complete else Exit.FAILED


def _lines(result: Activated) -> list[str]:
    from dmguard.core.outcome import told

    lines = [told(action, outcome) for action, outcome in result.outcomes]
    acted = {action.pool for action, _ in result.outcomes}
    lines += [f"{name}: active" for name in result.up if name not in acted]
    lines += [f"{name}: its disks did not come in time" for name in result.late]
    lines += [
        f"{name}: not active" for name in (*result.down, *result.blocked) if name not in acted
    ]
    return lines or ["no pool is to be activated"]


def _values(result: Activated | None, actions: Any) -> dict[str, Any]:
    from dmguard.app.render import outcome_values, plan_values

    return {
        "planned": plan_values(actions),
        "done": outcome_values(result.outcomes) if result else [],
        "up": list(result.up) if result else [],
        "late": list(result.late) if result else [],
        "down": [*result.down, *result.blocked] if result else [],
    }
