"""dmguard disks: every block device, with its verdict and the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "disks",
        help="every block device: may it be claimed, and why not",
        description="List the host's disks with what identifies them, the verdict of the claim"
        " rules, and every reason that stands in the way. Looks closely at each disk that might be"
        " blank, and changes nothing. See dmguard-claim(7).",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.disks import judge_all
    from dmguard.app.render import disk_table, disk_values
    from dmguard.app.say import say, say_json
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.config import load_settings

    with open_loop(load_settings(), reach=Reach(every=True)) as loop:
        verdicts = await judge_all(loop)
    if options.json:
        say_json({"disks": [disk_values(verdict) for verdict in verdicts]})
    else:
        say(disk_table(verdicts))
    return 0
