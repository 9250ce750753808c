"""argv → verb → render. One file a command; each adds its parser and has `execute`."""

from __future__ import annotations

import argparse
import os
import sys
from enum import IntEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dmguard import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dmguard.app.guard.extend import Acted
    from dmguard.core.outcome import Outcome

COMMANDS = (
    "run",
    "activate",
    "status",
    "plan",
    "extend",
    "recover",
    "doctor",
    "disks",
    "claim",
    "ignore",
    "loop",
    "setup",
    "history",
    "explain",
    "config",
)
FOR_ANYONE = ("history", "explain", "config")
NEED_ROOT = tuple(name for name in COMMANDS if name not in FOR_ANYONE)


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_MATCH = 3
    REFUSED = 4
    BUSY = 75


def exit_of(outcomes: Iterable[Outcome]) -> Exit:
    """The exit code of what was done: the worst of it."""
    from dmguard.core.actions import Result

    bad = [outcome for outcome in outcomes if outcome.result is not Result.DONE]
    if not bad:
        return Exit.DONE
    if any(outcome.reason == "vg-busy" for outcome in bad):
        return Exit.BUSY
    refused = all(outcome.result is Result.REFUSED for outcome in bad)
    return Exit.REFUSED if refused else Exit.FAILED


def exit_of_growth(acted: Acted) -> Exit:
    """Of a growth by hand: a pool that has the size already is as it was asked for."""
    failed = exit_of(outcome for _, outcome in acted.outcomes)
    if failed:
        return failed
    codes = {refusal.code for refusal in acted.plan.refusals}
    if "no-such-pool" in codes:
        return Exit.NO_MATCH
    return Exit.REFUSED if codes - {"not-larger"} else Exit.DONE


class _Help(argparse.HelpFormatter):
    """As wide as the terminal, like argparse's own. That one asks shutil, at each option that it is
    told of, and so every command would load shutil and all the kinds of compression that it knows.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (AttributeError, ValueError, OSError):  # closed, replaced, or no terminal
        return 80


class _Parser(argparse.ArgumentParser):
    """Those of the verbs are made of it, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)


def build_parser(verbs: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with these verbs; man page and completions are made from the whole."""
    parser = _Parser(
        prog="dmguard",
        description="Keeps LVM thin pools alive: grows them before their writers feel it.",
    )
    parser.add_argument("--version", action="version", version=f"dmguard {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in verbs:
        import_module(f"dmguard.app.cli.{name}").add_parser(commands)
    return parser


def _asked(words: Sequence[str]) -> Sequence[str]:
    """The verbs that these words can be about: one alone if it comes first.

    To import the others would be most of a short command's time. What lists all verbs, as help
    and errors do, gets all.
    """
    first = words[0] if words else ""
    if first == "--version":
        return ()
    return (first,) if first in COMMANDS else COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; every error that is foreseen is one line on standard error."""
    words = sys.argv[1:] if argv is None else argv
    # asyncio does without ssl where there is none, as here: nobody is spoken to by TLS. It would
    # load OpenSSL: 5 MiB that the agent keeps locked, and a tenth of the time before Docker.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # an import raises ImportError
    try:
        status = _run(build_parser(_asked(words)).parse_args(words))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone: what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    return status


def _run(options: argparse.Namespace) -> int:
    from dmguard.app.say import complain

    if options.command in NEED_ROOT and os.geteuid() != 0:
        complain(f"{options.command} must be run as root")
        return Exit.FAILED
    try:
        return int(options.execute(options))
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # What is foreseen is asked only now: to import it all is most of a short command's time.
        code = _exit_of_error(error)
        if code is None:
            raise
        complain(str(error))
        return code


def _exit_of_error(error: Exception) -> Exit | None:
    """The exit code of an error that is foreseen; None for any other, which is a fault of ours."""
    from dmguard.edge.config import ConfigError
    from dmguard.edge.files import BusyError
    from dmguard.loop.reconcile import UNREADABLE

    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, BusyError):
        return Exit.BUSY
    return Exit.FAILED if isinstance(error, UNREADABLE) else None
