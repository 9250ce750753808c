"""dmguard extend: grow a pool by hand, through the agent's own executor."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.app.guard.extend import Acted
    from dmguard.core.goals import Size


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "extend",
        help="grow a pool by hand",
        description="Grow a thin pool's data, its metadata, or both. SIZE is an integer and B, KiB,"
        " MiB, GiB or TiB; +SIZE adds to the present size; max takes what the volume group has"
        " beyond the reserve and the pool's max_size allows. What does not fit is refused whole.",
    )
    parser.add_argument("pool", metavar="VG/POOL", help="the pool")
    parser.add_argument("--data", type=_size, metavar="SIZE", help="SIZE, +SIZE or max")
    parser.add_argument("--metadata", type=_size, metavar="SIZE", help="SIZE, +SIZE or max")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the LVM commands and change nothing"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute, usage_error=parser.error)


def _size(text: str) -> Size:
    from dmguard.core.goals import Size
    from dmguard.core.units import parse_size

    if text == "max":
        return Size(None)
    try:
        return Size(parse_size(text.removeprefix("+")), relative=text.startswith("+"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, +SIZE or max") from error


def execute(options: argparse.Namespace) -> int:
    import asyncio

    if options.data is None and options.metadata is None:
        options.usage_error("say how much: --data SIZE, --metadata SIZE, or both")
    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.cli import exit_of_growth
    from dmguard.app.guard.extend import extend
    from dmguard.app.render import say_acted
    from dmguard.app.wiring import open_loop
    from dmguard.core.goals import ExtendByHand
    from dmguard.edge.config import load_settings

    goal = ExtendByHand(options.pool, data=options.data, metadata=options.metadata)
    with open_loop(load_settings()) as loop:
        extended = await extend(loop, goal, dry_run=options.dry_run)
    _say_json(extended) if options.json else say_acted(extended)
    return exit_of_growth(extended)


def _say_json(extended: Acted) -> None:
    from dmguard.app.render import plan_values
    from dmguard.app.say import say_json

    say_json(
        {
            "planned": plan_values(extended.plan.actions),
            "done": [
                {"act": str(action.act), "pool": action.pool, "result": str(outcome.result)}
                | {"reason": outcome.reason, "detail": outcome.detail}
                for action, outcome in extended.outcomes
            ],
            "refused": [
                {"pool": refusal.subject, "code": refusal.code, "message": refusal.message}
                for refusal in extended.plan.refusals
            ],
        }
    )
