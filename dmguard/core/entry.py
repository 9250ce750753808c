"""One act, refusal or alert, as the journal and the history have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dmguard.core.actions import (
    Act,
    Action,
    Activate,
    Claim,
    Extend,
    Refresh,
    ResizePv,
    RestorePv,
    Result,
    StartUnit,
    subject,
)
from dmguard.core.codes import CODES, Code
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.findings import Finding
    from dmguard.core.model import Trigger
    from dmguard.core.plan import Refusal


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
    disk: str = ""
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
            "DMGUARD_DISK": self.disk,
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
    return Entry(
        code=_act_code(action, outcome),
        action=str(action.act),
        result=str(outcome.result),
        trigger=str(trigger),
        vg=action.vg,
        pool=action.pool,
        disk=action.disk,
        reason=outcome.reason,
        message=f"{subject(action)}: {describe(action, outcome)}",
        numbers=_numbers(action),
    )


def _numbers(action: Action) -> dict[str, int]:
    match action:
        case Extend():
            numbers = {"size": action.size, "target": action.target, "vg_free": action.free}
            return numbers | ({} if action.used is None else {"used": action.used})
        case Refresh():
            return {"size": action.size, "low_water": action.low_water}
        case ResizePv():
            return {"size": action.size, "target": action.target}
        case Claim() | RestorePv() | Activate():
            return {"size": action.size}
        case StartUnit():
            return {}


_NOT_DONE = ("act-interrupted", "vg-busy", "disk-changed", "disk-refused-by-lvm")
_DONE = {
    Act.EXTEND_DATA: "data-extended",
    Act.EXTEND_METADATA: "metadata-extended",
    Act.REFRESH: "refreshed",
    Act.CLAIM_DISK: "disk-claimed",
    Act.RESIZE_PV: "pv-resized",
    Act.RESTORE_PV: "pv-restored",
    Act.ACTIVATE: "pool-activated",
    Act.START_UNIT: "unit-started",
}


def _act_code(action: Action, outcome: Outcome) -> str:
    if outcome.result is Result.DONE:
        return _DONE[action.act]
    return outcome.reason if outcome.reason in _NOT_DONE else "act-failed"


def describe(action: Action, outcome: Outcome | None = None) -> str:
    """An action in words with its numbers; what it will do when there is no outcome yet."""
    verbs, what, why = _words(action)
    if outcome is None:
        return f"{verbs[0]} {what} ({why})"
    if outcome.result is Result.DONE:
        took = "" if outcome.seconds is None else f", {outcome.seconds:.1f} s"
        note = "" if outcome.reason == action.reason else f"; {CODES[outcome.reason].clause}"
        return f"{verbs[1]} {what} ({why}{took}){note}"
    detail = outcome.detail or CODES[outcome.reason].clause
    return f"{verbs[2]} {what} did not succeed: {detail}"


_Verbs = tuple[str, str, str]


def _words(action: Action) -> tuple[_Verbs, str, str]:
    """Three forms of the verb, its object, and the reason."""
    why = CODES[action.reason].clause
    match action:
        case Extend():
            sizes = f"{format_size(action.size)} to {format_size(action.target)}"
            verbs = ("extend", "extended", "extending")
            return verbs, f"{action.resource} from {sizes}", _why(action)
        case Refresh():
            verbs = ("refresh", "refreshed", "refreshing")
            mark = f"its low water mark at {action.low_water} chunks free"
            return verbs, f"live table, {mark}", why
        case Claim():
            verbs = ("add", "added", "adding")
            return verbs, f"{format_size(action.size)} to {action.vg}, {action.identity}", why
        case ResizePv():
            sizes = f"{format_size(action.size)} to that of its disk, {format_size(action.target)}"
            return ("resize", "resized", "resizing"), f"PV of {action.vg} from {sizes}", why
        case RestorePv():
            verbs = ("take back", "took back", "taking back")
            return verbs, f"PV of {action.vg}, {action.pv_uuid}", why
        case Activate():
            first = f", {', '.join(action.components)} put down first" if action.components else ""
            return ("activate", "activated", "activating"), f"pool{first}", why
        case StartUnit():
            again = "restart" if action.restart else "start"
            verbs = (again, f"{again}ed", f"{again}ing")
            return verbs, f"consumer of {action.pool}", why


def _why(action: Extend) -> str:
    if action.used is None or not action.size:
        used = "an unknown part was in use"
    else:
        used = f"{100 * action.used / action.size:.2f} % was in use"
    asked = "asked for; " if action.reason == "asked" else ""
    return f"{asked}{used}, {action.vg} had {format_size(action.free)} free"


def _place(subject: str) -> tuple[str, str]:
    """The VG and the `vg/pool` that a subject names; empty when it is no pool."""
    vg, _, lv = subject.partition("/")
    return (vg, subject) if vg and lv else ("", "")


def _is_node(subject: str) -> bool:
    return subject.startswith("/dev/")


def refusal_entry(refusal: Refusal, trigger: Trigger | str) -> Entry:
    """The entry of something that was asked for by hand and refused."""
    vg, pool = _place(refusal.subject)
    return Entry(
        code=refusal.code,
        action=str(refusal.act),
        result=str(Result.REFUSED),
        trigger=str(trigger),
        vg=vg,
        pool=pool,
        disk="" if pool else refusal.subject,
        reason=refusal.code,
        message=refusal.message,
    )


_ABOUT = {
    "metadata-ceiling": Act.EXTEND_METADATA,
    "pool-inactive": Act.ACTIVATE,
    "consumer-down": Act.START_UNIT,
}
_GROWTH = ("vg-dry", "pool-ceiling", "out-of-data", "out-of-data-errors")


def finding_entry(finding: Finding, trigger: Trigger | str, *, cleared: bool = False) -> Entry:
    """The entry of a finding that is new, or gone."""
    vg, pool = _place(finding.subject)
    message = finding.message
    if cleared:
        message = f"{finding.subject}: no longer: {CODES[finding.code].clause}"
    return Entry(
        code="finding-cleared" if cleared else finding.code,
        action=_about(finding),
        result=str(Result.DONE if cleared else Result.REFUSED),
        trigger=str(trigger),
        vg=vg,
        pool=pool,
        disk=finding.subject if _is_node(finding.subject) else "",
        reason=finding.code,
        message=message,
    )


def _about(finding: Finding) -> str:
    if _is_node(finding.subject):
        return str(Act.CLAIM_DISK)
    if finding.code in _GROWTH:
        return str(Act.EXTEND_DATA)
    return str(_ABOUT.get(finding.code, "watch"))
