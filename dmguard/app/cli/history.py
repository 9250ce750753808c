"""dmguard history: what was done, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "history",
        help="what was done, and why",
        description="Show what dmguard did, refused and reported on this host, oldest first. It is"
        " kept in /var/lib/dmguard and needs no journal.",
    )
    parser.add_argument("pool", nargs="?", metavar="VG/POOL", help="only this pool")
    parser.add_argument("--last", type=int, default=50, metavar="N", help="how many (default 50)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    from dmguard.app.say import say, say_history, say_json
    from dmguard.loop.record import Paths, read_history

    entries = [
        entry
        for entry in read_history(Paths())
        if options.pool is None or entry.pool == options.pool
    ]
    entries = entries[-options.last :] if options.last > 0 else entries
    if options.json:
        say_json({"entries": [entry.as_values() for entry in entries]})
    elif entries:
        say_history(entries)
    else:
        say("nothing yet")
    return 0
