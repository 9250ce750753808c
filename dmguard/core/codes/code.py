"""The shape of one row of the table of codes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """syslog(3) priorities, as far as dmguard uses them."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(frozen=True, slots=True)
class Code:
    """One row: `message_id` is the journal's MESSAGE_ID."""

    code: str
    message_id: str
    severity: Severity
    title: str
    cause: str
    danger: str
    cure: str

    @property
    def clause(self) -> str:
        """The title within a sentence."""
        return self.title[:1].lower() + self.title[1:]
