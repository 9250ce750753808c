"""What is wrong around the pools: LVM's own settings, what a pool lacks, who uses it and how.

Told by `dmguard doctor` alone: it needs the host's files and settings, which the agent does not
read. One file a kind of thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.codes import AROUND, CODES, Severity
from dmguard.core.findings import Finding, find_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def examine(state: State, settings: Settings) -> tuple[Finding, ...]:
    """Everything that is wrong: what the agent tells of, too. What counts first, the gravest of it
    before all.
    """
    found = (*find_all(state, settings), *find_around(state, settings))
    return tuple(sorted(found, key=lambda f: (not counts(f), CODES[f.code].severity)))


def find_around(state: State, settings: Settings) -> Iterator[Finding]:
    """What the host's files and settings show, in the order of the rules."""
    from dmguard.core.findings.host import (
        activation,
        consumers,
        devices,
        docker,
        growth,
        loops,
        options,
        room,
        volumes,
    )

    rules: tuple[Callable[[State, Settings, Host], Iterator[Finding]], ...] = (
        growth.find,
        room.find,
        activation.find,
        devices.find,
        consumers.find,
        docker.find,
        options.find,
        loops.find,
        volumes.find,
    )
    if state.host is not None:
        for rule in rules:
            yield from rule(state, settings, state.host)


_OWN = {row.code for row in AROUND}


def is_around(code: str) -> bool:
    """Is it a code of what is found here, and not by the agent?"""
    return code in _OWN


def counts(finding: Finding) -> bool:
    """Must something be done about it? What merely is so is told, and does not count; nor does a
    disk that was not claimed.
    """
    is_verdict = finding.subject.startswith("/dev/") and not is_around(finding.code)
    return CODES[finding.code].severity <= Severity.WARNING and not is_verdict
