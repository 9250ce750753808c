"""One act, refusal or alert, as the journal and the history have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dmguard.core.codes import CODES, Code
from dmguard.core.typed import check_types

LATEST = 1e11
"""Seconds since 1970 that any calendar can tell."""


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
    """The reverse of Entry.as_values; TypeError or ValueError for anything else."""
    entry = Entry(**values)
    check_types(entry)
    if not 0 <= entry.at < LATEST:
        raise ValueError(f"at: {entry.at!r} is no time")
    return entry
