"""What is about to be done, in a file: how a crash that falls into it is seen later."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import dump_action, load_action
from dmguard.core.codes import CODES
from dmguard.core.model import Trigger
from dmguard.core.steps import steps_for
from dmguard.edge.files import boot_id, read_own

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.core.actions import Action

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
INTENDED, RAN = "intended", "ran"
"""How far an act has come, as the intent file has it: `ran-2` is after its second step."""


def boundaries(action: Action) -> tuple[str, ...]:
    """Every point of an act between two effects outside, in order: where a crash can fall.

    The intent file is written at the first and after each step, and removed at the last.
    """
    steps = range(1, len(steps_for(action)) + 1)
    return (
        INTENDED,
        *(name for number in steps for name in (f"step-{number}", f"{RAN}-{number}")),
        "recorded",
        "cleared",
    )


def dump_intent(action: Action, trigger: Trigger, identity: str, phase: str) -> bytes:
    """The text of the file."""
    values = {"id": identity, "trigger": trigger, "phase": phase, "at": time.time()}
    values["boot"] = boot_id()
    values["action"] = dump_action(action)
    return json.dumps(values).encode()


def read_intent(path: Path) -> dict[str, Any] | None:
    """What the file has; None if there is none, and nothing for what is not understood."""
    try:
        values = json.loads(read_own(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s: %s", path, error)
        return {}
    return values if isinstance(values, dict) else {}


def load_intent(values: dict[str, Any]) -> tuple[Action, Trigger, str, int]:
    """The action, who had it done, its identity, and how many of its steps are known to be done.

    KeyError, TypeError or ValueError for one that is none.
    """
    # The kernel numbers disks anew at each boot, and 3 is another one's by then.
    is_of_this_boot = values.get("boot") == boot_id() != ""
    try:
        action = load_action(values["action"] if is_of_this_boot else _unnumbered(values["action"]))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values["id"], str) or not values["id"]:
        raise TypeError(f"{values['id']!r} is not an identity")
    if action.reason not in CODES:
        raise ValueError(f"unknown reason {action.reason!r}")
    _, _, ran = str(values.get("phase", "")).partition(f"{RAN}-")
    if ran and not _NUMBER.fullmatch(ran):
        raise ValueError(f"unknown phase {values['phase']!r}")
    return action, Trigger(values["trigger"]), values["id"], int(ran or 0)


def _unnumbered(value: Any) -> Any:
    """The same without the sequence numbers of disks."""
    if isinstance(value, dict):
        return {key: None if key == "diskseq" else _unnumbered(its) for key, its in value.items()}
    return [_unnumbered(its) for its in value] if isinstance(value, list) else value
