"""What came of it, in words and as an entry: of an action, a refusal, a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, Action, Result, subject
from dmguard.core.codes import CODES
from dmguard.core.complaints import LASTING
from dmguard.core.entry import Entry

if TYPE_CHECKING:
    from dmguard.core.findings import Finding
    from dmguard.core.model import Trigger
    from dmguard.core.plan import Refusal


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
        numbers=action.numbers(),
    )


def told(action: Action, outcome: Outcome) -> str:
    """One line for a person: what came of it, and the code of why it was not done."""
    why = "" if outcome.result is Result.DONE else f" [{outcome.reason}]"
    return f"{subject(action)}: {describe(action, outcome)}{why}"


_NOT_DONE = (
    "act-interrupted",
    "vg-busy",
    "disk-changed",
    "disk-refused-by-lvm",
    "file-changed",
    "undo-failed",
    "data-not-movable",
    "loop-changed",
    "loop-no-space",
    "raw-no-pool",
    "pool-open",
    "pool-not-repaired",
    "metadata-not-copied",
    *LASTING,
)


def _act_code(action: Action, outcome: Outcome) -> str:
    if outcome.result is Result.DONE:
        return action.done
    return outcome.reason if outcome.reason in _NOT_DONE else "act-failed"


def describe(action: Action, outcome: Outcome | None = None) -> str:
    """An action in words with its numbers; what it will do when there is no outcome yet."""
    (verbs, what), why = action.words(), action.why()
    if outcome is None:
        return f"{verbs[0]} {what} ({why})"
    if outcome.result is Result.DONE:
        took = "" if outcome.seconds is None else f", {outcome.seconds:.1f} s"
        note = "" if outcome.reason == action.reason else f"; {CODES[outcome.reason].clause}"
        return f"{verbs[1]} {what} ({why}{took}){note}"
    detail = outcome.detail or CODES[outcome.reason].clause
    return f"{verbs[2]} {what} did not succeed: {detail}"


def _place(subject: str, code: str) -> tuple[str, str]:
    """The VG and the pool that a subject names; empty when it is no pool.

    One that is none of LVM's goes by its device-mapper name, which no code of a VG is about.
    """
    vg, _, lv = subject.partition("/")
    if not lv and code.startswith(_OF_POOLS):
        return ("", subject)
    return (vg, subject) if vg and lv else ("", "")


_OF_POOLS = ("pool-", "out-of-", "loop-", "raw-", "metadata-", "not-larger", "no-such-pool")


def _is_node(subject: str) -> bool:
    return subject.startswith("/dev/")


def refusal_entry(refusal: Refusal, trigger: Trigger | str) -> Entry:
    """The entry of something that was asked for by hand and refused."""
    vg, pool = _place(refusal.subject, refusal.code)
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
    "loop-no-space": Act.GROW_LOOP,
    "loop-not-grown": Act.GROW_LOOP,
    "raw-missing": Act.ACTIVATE_RAW,
    "raw-no-pool": Act.ACTIVATE_RAW,
    "raw-block-size": Act.ACTIVATE_RAW,
    "raw-too-small": Act.ACTIVATE_RAW,
    "raw-taken": Act.ACTIVATE_RAW,
    "metadata-ceiling": Act.EXTEND_METADATA,
    "out-of-metadata": Act.EXTEND_METADATA,
    "pool-inactive": Act.ACTIVATE,
    "consumer-down": Act.START_UNIT,
}
_GROWTH = ("vg-dry", "pool-ceiling", "out-of-data", "out-of-data-errors")


def finding_entry(finding: Finding, trigger: Trigger | str, *, cleared: bool = False) -> Entry:
    """The entry of a finding that is new, or gone."""
    vg, pool = _place(finding.subject, finding.code)
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
