"""A disk that a claim rule is for and that is not claimed, with the first reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.codes import CODES
from dmguard.core.findings import Finding
from dmguard.core.verdict import judge, rules_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings
    from dmguard.core.verdict import Reason

_SILENT = ("disk-in-vg", "disk-ignored", "disk-not-ready", "disk-not-probed")


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for disk in state.disks:
        if not rules_for(disk, settings):
            continue
        verdict = judge(disk, state, settings)
        if verdict.rule is None or not verdict.reasons:
            continue
        reason = _telling(verdict.reasons)
        if reason.code in _SILENT:
            continue
        more = f" ({reason.detail})" if reason.detail else ""
        yield Finding(
            reason.code,
            disk.node,
            f"{disk.node}, {disk.identity}: not claimed for {verdict.vg}:"
            f" {CODES[reason.code].clause}{more}",
        )


def _telling(reasons: tuple[Reason, ...]) -> Reason:
    """What the disk itself is refused for, before what its volume group is in the way with.

    The group's state comes and goes. What is on a disk is not gone for that.
    """
    own = (r for r in reasons if not r.code.startswith("vg-") and r.code != "disk-not-probed")
    return next(own, reasons[0])
