"""What a person reads: tables and sentences on standard output. --json is one object."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from dmguard.core.entry import describe
from dmguard.core.steps import steps_for
from dmguard.core.units import format_seconds, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmguard.app.guard import Report
    from dmguard.core.actions import Action
    from dmguard.core.entry import Entry
    from dmguard.core.findings import Finding
    from dmguard.core.model import Pool, Vg


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    sys.stderr.write(f"dmguard: {text}\n")


def say_json(values: dict[str, Any]) -> None:
    say(json.dumps({"schema": 1, **values}, indent=2))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the first to the left, numbers to the right."""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    shown = (
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join(shown)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} %"


def vg_table(vgs: Sequence[Vg]) -> str:
    rows = [
        [
            vg.name,
            format_size(vg.size),
            format_size(vg.free),
            str(len(vg.pvs)),
            f"{len(vg.missing)} missing" if vg.missing else "complete",
        ]
        for vg in vgs
    ]
    return table(["VG", "SIZE", "FREE", "PVS", "STATE"], rows)


def pool_table(pools: Sequence[Pool], report: Report) -> str:
    rows = []
    for pool in pools:
        kernel = pool.kernel
        data = kernel.data.percent if kernel and kernel.data else None
        metadata = kernel.metadata.percent if kernel and kernel.metadata else None
        rate = report.rate(pool)
        rows.append(
            [
                pool.name,
                format_size(kernel.size if kernel else pool.lv.size),
                percent(data),
                percent(metadata),
                _mode(pool),
                "-" if rate is None else f"{format_size(int(rate))}/s",
                format_seconds(report.time_to_full(pool)),
            ]
        )
    return table(["POOL", "SIZE", "DATA", "METADATA", "STATE", "RATE", "FULL IN"], rows)


def _mode(pool: Pool) -> str:
    if pool.kernel is None:
        return "inactive"
    return f"{pool.kernel.mode}{' needs_check' if pool.kernel.needs_check else ''}"


def say_plan(actions: Sequence[Action], findings: Sequence[Finding], *, commands: bool) -> None:
    for action in actions:
        say(f"{action.pool}: {describe(action)}")
        if commands:
            for step in steps_for(action):
                say(f"    {step}")
    for finding in findings:
        say(f"{finding.message} [{finding.code}]")
    if not actions and not findings:
        say("nothing to do")


def say_history(entries: Sequence[Entry]) -> None:
    for entry in entries:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
        say(f"{at}  {entry.result:<8} {entry.message} [{entry.reason}, {entry.trigger}]")


def plan_values(actions: Sequence[Action]) -> list[dict[str, Any]]:
    from dmguard.core.actions import dump_action

    return [
        {
            **dump_action(action),
            "pool": action.pool,
            "why": describe(action),
            "commands": [str(step) for step in steps_for(action)],
        }
        for action in actions
    ]


def finding_values(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"code": f.code, "subject": f.subject, "message": f.message} for f in findings]
