"""dmguard explain: what a code means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from dmguard.core.codes import Code


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
    from dmguard.app.say import complain, say, say_json
    from dmguard.core.codes import CODES

    if options.code is None:
        rows = list(CODES.values())
        if options.json:
            say_json({"codes": [_values(row) for row in rows]})
        else:
            width = max(len(row.code) for row in rows)
            for row in rows:
                say(f"{row.code:<{width}}  {row.title}")
        return Exit.DONE
    if options.code not in CODES:
        complain(f"no such code: {options.code}; {_hint(options.code, CODES)}")
        return Exit.NO_MATCH
    row = CODES[options.code]
    if options.json:
        say_json(_values(row))
        return Exit.DONE
    say(f"{row.code}: {row.title}\n")
    for head, text in (("Cause", row.cause), ("Danger", row.danger), ("Cure", row.cure)):
        say(f"{head + ':':<8} {text}")
    return Exit.DONE


def _hint(code: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(code, known, n=1)
    return f"did you mean {near[0]}?" if near else "dmguard explain lists them"


def _values(row: Code) -> dict[str, Any]:
    return {
        "code": row.code,
        "message_id": row.message_id,
        "priority": int(row.severity),
        "title": row.title,
        "cause": row.cause,
        "danger": row.danger,
        "cure": row.cure,
    }
