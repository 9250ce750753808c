"""dmguard ignore: leave a disk alone, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "ignore",
        help="never claim this disk",
        description="Leave a disk alone, whatever rule matches it, until it is claimed by hand. It"
        " is told by its WWN, else its serial, else its path, so that it is known again after a"
        " reboot.",
    )
    parser.add_argument("disk", metavar="DISK", help="a whole disk, or a link to one")
    parser.add_argument("-n", "--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.disks import ignore
    from dmguard.app.say import complain, say, say_json
    from dmguard.app.wiring import open_loop
    from dmguard.edge.config import load_settings

    with open_loop(load_settings()) as loop:
        ignored = await ignore(loop, options.disk, dry_run=options.dry_run)
    if options.json:
        say_json({"disk": ignored.disk, "identity": ignored.identity})
    elif ignored.refusal is not None:
        complain(f"{ignored.refusal.message} [{ignored.refusal.code}]")
    else:
        say(f"{ignored.disk}, {ignored.identity}: left alone from now on")
    return Exit.NO_MATCH if ignored.refusal else Exit.DONE
