"""dmguard loop: Docker's pools on loop devices, shown and grown."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.app.guard.extend import Acted
    from dmguard.core.goals import Size


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("loop", help="pools on loop devices")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    status = verbs.add_parser(
        "status",
        help="pools on loop devices, and the files below them",
        description="Show every thin pool that lies on loop devices, as Docker makes one when it is"
        " given no other, with its usage, its files, and what their file systems have free.",
    )
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(execute=_status)
    resize = verbs.add_parser(
        "resize",
        help="grow such a pool while it is in use",
        description="Grow the data of a pool on loop devices, its metadata, or both, with the file"
        " below. Nobody has to be stopped. SIZE is an integer and B, KiB, MiB, GiB or TiB; +SIZE"
        " adds to the present size. What does not fit into the file system is refused. If the"
        " kernel does not take the new table the pool goes on with the old one.",
    )
    resize.add_argument("data", nargs="?", type=_size, metavar="SIZE", help="of the data")
    resize.add_argument("--metadata", type=_size, metavar="SIZE", help="of the metadata")
    resize.add_argument(
        "--pool", default="", metavar="NAME", help="docker, or a device-mapper name"
    )
    resize.add_argument(
        "-n", "--dry-run", action="store_true", help="print the commands and change nothing"
    )
    resize.add_argument("--json", action="store_true", help="one JSON object")
    resize.set_defaults(execute=_resize, usage_error=resize.error)


def _size(text: str) -> Size:
    from dmguard.core.goals import Size
    from dmguard.core.units import parse_size

    try:
        return Size(parse_size(text.removeprefix("+")), relative=text.startswith("+"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, or +SIZE") from error


def _status(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_show(options))


async def _show(options: argparse.Namespace) -> int:
    from dmguard.app.loops import loop_table, loop_values
    from dmguard.app.say import say, say_json
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.config import load_settings

    with open_loop(load_settings(), reach=Reach(disks=False)) as loop:
        state = await loop.observer.look()
    pools = [pool for pool in state.bare if pool.is_loop]
    if options.json:
        say_json({"pools": [loop_values(pool) for pool in pools], **_acted(None)})
        return 0
    if not pools:
        say("no thin pool on loop devices")
        return 0
    say(loop_table(pools))
    return 0


def _resize(options: argparse.Namespace) -> int:
    import asyncio

    if options.data is None and options.metadata is None:
        options.usage_error("say how much: SIZE, --metadata SIZE, or both")
    return asyncio.run(_grow(options))


async def _grow(options: argparse.Namespace) -> int:
    from dmguard.app.cli import exit_of_growth
    from dmguard.app.guard.extend import extend
    from dmguard.app.loops import loop_values
    from dmguard.app.render import say_acted
    from dmguard.app.say import say_json
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.core.goals import ResizeLoop
    from dmguard.edge.config import load_settings

    goal = ResizeLoop(options.pool, data=options.data, metadata=options.metadata)
    with open_loop(load_settings(), reach=Reach(disks=False)) as loop:
        acted = await extend(loop, goal, dry_run=options.dry_run)
        state = loop.observer.glance()
    pools = [pool for pool in state.bare if pool.is_loop]
    if options.json:
        say_json({"pools": [loop_values(pool) for pool in pools], **_acted(acted)})
    else:
        say_acted(acted)
    return exit_of_growth(acted)


def _acted(acted: Acted | None) -> dict[str, Any]:
    from dmguard.app.render import outcome_values, plan_values, refusal_values

    return {
        "planned": plan_values(acted.plan.actions) if acted else [],
        "done": outcome_values(acted.outcomes) if acted else [],
        "refused": refusal_values(acted.plan.refusals) if acted else [],
    }
