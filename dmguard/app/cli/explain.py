"""dmguard explain: what a code means."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from dmguard.core.codes import CODES

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="what a code means",
        description="Explain a code from dmguard's entries: its cause, its danger and its cure."
        " Without a code, list them all.",
    )
    parser.add_argument("code", nargs="?", metavar="CODE", help="as in DMGUARD_REASON")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.render import complain, say, say_json

    if options.code is None:
        rows = list(CODES.values())
        if options.json:
            say_json({"codes": [_values(row.code) for row in rows]})
        else:
            width = max(len(row.code) for row in rows)
            for row in rows:
                say(f"{row.code:<{width}}  {row.title}")
        return Exit.DONE
    if options.code not in CODES:
        near = difflib.get_close_matches(options.code, CODES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; dmguard explain lists them"
        complain(f"no such code: {options.code}{hint}")
        return Exit.NO_MATCH
    if options.json:
        say_json(_values(options.code))
        return Exit.DONE
    row = CODES[options.code]
    say(f"{row.code}: {row.title}\n")
    for head, text in (("Cause", row.cause), ("Danger", row.danger), ("Cure", row.cure)):
        say(f"{head + ':':<8} {text}")
    return Exit.DONE


def _values(code: str) -> dict[str, Any]:
    row = CODES[code]
    return {
        "code": row.code,
        "message_id": row.message_id,
        "priority": int(row.severity),
        "title": row.title,
        "cause": row.cause,
        "danger": row.danger,
        "cure": row.cure,
    }
