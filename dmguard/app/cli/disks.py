"""dmguard disks: every block device, with its verdict and the reasons."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dmguard.core.verdict import Verdict


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "disks",
        help="every block device: may it be claimed, and why not",
        description="List the host's disks with what identifies them, the verdict of the claim"
        " rules, and every reason that stands in the way. Looks closely at each disk that might be"
        " blank, and changes nothing. See dmguard-claim(7).",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.disks import judge_all
    from dmguard.app.render import say, say_json, table
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.core.units import format_size
    from dmguard.edge.config import load_settings

    with open_loop(load_settings(), reach=Reach(every=True)) as loop:
        verdicts = await judge_all(loop)
    if options.json:
        say_json({"disks": [_values(verdict) for verdict in verdicts]})
        return 0
    rows = [
        [v.disk.node, format_size(v.disk.size), word(v), v.disk.identity, reasons(v)]
        for v in verdicts
    ]
    say(table(["DISK", "SIZE", "VERDICT", "IDENTITY", "REASONS"], rows, right=(1,)))
    return 0


def word(verdict: Verdict) -> str:
    """The verdict in a word or two."""
    codes = [reason.code for reason in verdict.reasons]
    if verdict.claimable:
        return f"for {verdict.vg}"
    if "disk-in-vg" in codes or "disk-in-other-vg" in codes:
        return "in use"
    if codes == ["disk-no-rule"]:
        return "no rule"
    return "asks" if codes == ["disk-ask"] else "refused"


def reasons(verdict: Verdict) -> str:
    """Each reason's code with its evidence."""
    return "; ".join(
        f"{reason.code} ({reason.detail})" if reason.detail else reason.code
        for reason in verdict.reasons
    )


def _values(verdict: Verdict) -> dict[str, Any]:
    disk = verdict.disk
    return {
        "disk": disk.node,
        "identity": disk.identity,
        "kind": str(disk.kind),
        "size": disk.size,
        "sector_size": disk.sector,
        "path": disk.path,
        "serial": disk.serial,
        "wwn": disk.wwn,
        "model": disk.model,
        "vendor": disk.vendor,
        "bus": disk.bus,
        "rotational": disk.rotational,
        "links": list(disk.links),
        "vg": verdict.vg,
        "verdict": word(verdict).partition(" ")[0] if verdict.claimable else word(verdict),
        "claimable": verdict.claimable,
        "reasons": [{"code": r.code, "detail": r.detail} for r in verdict.reasons],
    }
