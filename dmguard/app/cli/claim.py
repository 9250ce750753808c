"""dmguard claim: make one disk a PV of a volume group, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dmguard.app.guard.extend import Acted


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "claim",
        help="add one blank disk to a volume group",
        description="Add a blank, unused disk to a volume group through the agent's own executor."
        " No rule is needed, and a disk that is ignored or was taken out is taken; every check of"
        " the disk itself holds: a disk with anything on it is refused. See dmguard-claim(7).",
    )
    parser.add_argument("disk", metavar="DISK", help="a whole disk, or a link to one")
    parser.add_argument("--vg", required=True, metavar="VG", help="the volume group")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the LVM commands and change nothing"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    return asyncio.run(_execute(options))


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.disks import claim
    from dmguard.app.render import outcome_values, plan_values, refusal_values, say_acted
    from dmguard.app.say import say_json
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.core.goals import ClaimByHand
    from dmguard.edge.config import load_settings

    goal = ClaimByHand(options.disk, options.vg)
    with open_loop(load_settings(), reach=Reach(every=True)) as loop:
        claimed = await claim(loop, goal, dry_run=options.dry_run)
    if options.json:
        say_json(
            {
                "planned": plan_values(claimed.plan.actions),
                "done": outcome_values(claimed.outcomes),
                "refused": refusal_values(claimed.plan.refusals),
            }
        )
    else:
        say_acted(claimed)
    return _exit_code(claimed)


def _exit_code(claimed: Acted) -> int:
    from dmguard.app.cli import Exit, exit_of

    codes = {refusal.code for refusal in claimed.plan.refusals}
    if codes & {"no-such-disk", "vg-unknown"}:
        return Exit.NO_MATCH
    if codes == {"disk-in-vg"}:
        return Exit.DONE
    return Exit.REFUSED if codes else exit_of(outcome for _, outcome in claimed.outcomes)
