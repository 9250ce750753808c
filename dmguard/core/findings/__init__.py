"""What is wrong on this host: one rule a file, read by every command and by the agent.

Seeing never acts. A finding has a stable code and the evidence in its sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with `subject` (a `vg/pool`, or a VG or device)."""

    code: str
    subject: str
    message: str

    @property
    def key(self) -> tuple[str, str]:
        """Two findings of one key are the same finding, with other numbers."""
        return (self.code, self.subject)


def find_all(state: State, settings: Settings) -> tuple[Finding, ...]:
    """All findings, in the order of the rules."""
    from dmguard.core.findings import (
        ceiling,
        consumer,
        disks,
        dry,
        forbidden,
        full,
        loops,
        mismatch,
        stranger,
    )

    rules: tuple[Callable[[State, Settings], Iterator[Finding]], ...] = (
        forbidden.find,
        full.find,
        dry.find,
        ceiling.find,
        mismatch.find,
        stranger.find,
        loops.find,
        consumer.find,
        disks.find,
    )
    return tuple(finding for rule in rules for finding in rule(state, settings))
