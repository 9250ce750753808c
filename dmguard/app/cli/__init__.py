"""argv → verb → render. One file a command; each adds its parser and has `execute`."""

from __future__ import annotations

import argparse
import sys
from enum import IntEnum
from importlib import import_module
from typing import TYPE_CHECKING

from dmguard import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("run", "status", "plan", "extend", "history", "explain", "config")


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_MATCH = 3
    REFUSED = 4
    BUSY = 75


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
    from dmguard.app.render import complain
    from dmguard.edge.config import ConfigError
    from dmguard.edge.files import BusyError
    from dmguard.loop.reconcile import UNREADABLE

    options = build_parser().parse_args(argv)
    try:
        return int(options.execute(options))
    except ConfigError as error:
        complain(str(error))
        return Exit.USAGE
    except BusyError as error:
        complain(str(error))
        return Exit.BUSY
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return Exit.FAILED
    except UNREADABLE as error:
        complain(str(error))
        return Exit.FAILED
    except KeyboardInterrupt:
        return 130
