"""argv → verb → render. One file a command; each adds its parser and has `execute`."""

from __future__ import annotations

import argparse
import os
import sys
from enum import IntEnum
from importlib import import_module
from typing import TYPE_CHECKING

from dmguard import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dmguard.app.guard.extend import Acted
    from dmguard.core.entry import Outcome

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


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; man page and completions are made from it."""
    parser = argparse.ArgumentParser(
        prog="dmguard",
        description="Keeps LVM thin pools alive: grows them before their writers feel it.",
    )
    parser.add_argument("--version", action="version", version=f"dmguard {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"dmguard.app.cli.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; every error that is foreseen is one line on standard error."""
    try:
        status = _run(build_parser().parse_args(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone: what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    return status


def _run(options: argparse.Namespace) -> int:
    from dmguard.app.render import complain
    from dmguard.edge.config import ConfigError
    from dmguard.edge.files import BusyError
    from dmguard.loop.reconcile import UNREADABLE

    if options.command in NEED_ROOT and os.geteuid() != 0:
        complain(f"{options.command} must be run as root")
        return Exit.FAILED
    try:
        return int(options.execute(options))
    except BrokenPipeError:
        raise
    except (ConfigError, BusyError, *UNREADABLE) as error:
        complain(str(error))
        if isinstance(error, ConfigError):
            return Exit.USAGE
        return Exit.BUSY if isinstance(error, BusyError) else Exit.FAILED
    except KeyboardInterrupt:
        return 130
