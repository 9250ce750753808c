"""The lines of a command, on standard output and standard error."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmguard.core.entry import Entry


def say(text: str = "") -> None:
    # What was no UTF-8 in a file or a name cannot be written there, other than to standard error.
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")


def complain(text: str) -> None:
    sys.stderr.write(f"dmguard: {text}\n")


def say_json(values: dict[str, Any]) -> None:
    say(json.dumps({"schema": 1, **values}, indent=2))


def say_history(entries: Sequence[Entry]) -> None:
    for entry in entries:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
        say(f"{at}  {entry.result:<8} {entry.message} [{entry.reason}, {entry.trigger}]")
