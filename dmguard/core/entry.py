"""One act, refusal or alert, as the journal and the history have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import Action, Extend, Result
from dmguard.core.codes import CODES, Code
from dmguard.core.model import Resource
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.findings import Finding
    from dmguard.core.model import Trigger


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, in the words of the contract. `code` is the row that explains it."""

    code: str
    action: str
    result: str
    trigger: str
    vg: str
    pool: str
    reason: str
    message: str
    id: str = ""
    at: float = 0.0
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def row(self) -> Code:
        return CODES[self.code]

    def as_values(self) -> dict[str, Any]:
        """For the history and for --json; load_entry reads it back."""
        return asdict(self)

    def as_fields(self) -> dict[str, str]:
        """The journal's fields beside MESSAGE."""
        fields = {
            "MESSAGE_ID": self.row.message_id,
            "PRIORITY": str(int(self.row.severity)),
            "DMGUARD_ACTION": self.action,
            "DMGUARD_RESULT": self.result,
            "DMGUARD_TRIGGER": self.trigger,
            "DMGUARD_VG": self.vg,
            "DMGUARD_POOL": self.pool,
            "DMGUARD_REASON": self.reason,
            "DMGUARD_ID": self.id,
        }
        fields |= {f"DMGUARD_{name.upper()}": str(value) for name, value in self.numbers.items()}
        return {name: value for name, value in fields.items() if value}


def load_entry(values: dict[str, Any]) -> Entry:
    """The reverse of Entry.as_values; TypeError for anything else."""
    return Entry(**values)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended: `reason` is a code, `detail` a command's own words, if any."""

    result: Result
    reason: str
    detail: str = ""
    seconds: float | None = None


def act_entry(action: Action, outcome: Outcome, trigger: Trigger | str) -> Entry:
    """The entry of an action that was tried."""
    numbers = {"size": action.size}
    if isinstance(action, Extend):
        numbers |= {"target": action.target, "vg_free": action.free}
        if action.used is not None:
            numbers["used"] = action.used
    else:
        numbers["low_water"] = action.low_water
    return Entry(
        code=_act_code(action, outcome),
        action=str(action.act),
        result=str(outcome.result),
        trigger=str(trigger),
        vg=action.vg,
        pool=action.pool,
        reason=outcome.reason,
        message=f"{action.pool}: {describe(action, outcome)}",
        numbers=numbers,
    )


_NOT_DONE = ("act-interrupted", "vg-busy")


def _act_code(action: Action, outcome: Outcome) -> str:
    if outcome.result is not Result.DONE:
        return outcome.reason if outcome.reason in _NOT_DONE else "act-failed"
    if not isinstance(action, Extend):
        return "refreshed"
    return f"{action.resource}-extended"


def describe(action: Action, outcome: Outcome | None = None) -> str:
    """An action in words with its numbers; what it will do when there is no outcome yet."""
    if isinstance(action, Extend):
        what = f"{action.resource} from {format_size(action.size)} to {format_size(action.target)}"
        verbs = ("extend", "extended", "extending")
        why = _why(action)
    else:
        what = f"live table, its low water mark at {action.low_water} chunks free"
        verbs = ("refresh", "refreshed", "refreshing")
        why = CODES[action.reason].clause
    if outcome is None:
        return f"{verbs[0]} {what} ({why})"
    if outcome.result is Result.DONE:
        took = "" if outcome.seconds is None else f", {outcome.seconds:.1f} s"
        note = "" if outcome.reason == action.reason else f"; {CODES[outcome.reason].clause}"
        return f"{verbs[1]} {what} ({why}{took}){note}"
    detail = outcome.detail or CODES[outcome.reason].clause
    return f"{verbs[2]} {what} did not succeed: {detail}"


def _why(action: Extend) -> str:
    if action.used is None or not action.size:
        used = "an unknown part was in use"
    else:
        used = f"{100 * action.used / action.size:.2f} % was in use"
    asked = "asked for; " if action.reason == "asked" else ""
    return f"{asked}{used}, {action.vg} had {format_size(action.free)} free"


_ABOUT = {"metadata-ceiling": f"extend-{Resource.METADATA}"}
_GROWTH = ("vg-dry", "pool-ceiling", "out-of-data", "out-of-data-errors")


def finding_entry(finding: Finding, trigger: Trigger | str, *, cleared: bool = False) -> Entry:
    """The entry of a finding that is new, or gone."""
    growth = f"extend-{Resource.DATA}"
    vg, _, lv = finding.subject.partition("/")
    message = finding.message
    if cleared:
        message = f"{finding.subject}: no longer: {CODES[finding.code].clause}"
    return Entry(
        code="finding-cleared" if cleared else finding.code,
        action=_ABOUT.get(finding.code, growth if finding.code in _GROWTH else "watch"),
        result=str(Result.DONE if cleared else Result.REFUSED),
        trigger=str(trigger),
        vg=vg if lv else "",
        pool=finding.subject if lv else "",
        reason=finding.code,
        message=message,
    )
