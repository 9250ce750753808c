"""dmguard recover: what is wrong with the pools, cured where that is safe."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.app.guard.recover import Recovered
    from dmguard.core.actions import RepairPool


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "recover",
        help="diagnose the pools, cure what is safe, explain the rest",
        description="Look at every guarded pool, or those that are named: say what is wrong, by"
        " what evidence, and what cures it. What is safe is done: an inactive pool is brought up"
        " (skip flag and active components included), a full one grows, a dry volume group gets a"
        " disk that a rule is for, a consumer that failed without its pool is started. All else is"
        " explained and left alone. Ends with 0 when all is well afterwards, 1 when something"
        " failed, 4 when something was left alone for safety. With --bundle nothing is cured: what"
        " a maintainer has to see of this host is written to a file, without secrets. With"
        " --offline also a pool is cured that is read-only, must be checked, has failed or did not"
        " pass its check. The steps are shown, and if they are agreed to its consumers are stopped,"
        " its metadata is copied to /var/lib/dmguard/metadata, it is checked, repaired where it is"
        " damaged, and brought up, and its consumers are started again.",
    )
    parser.add_argument("pools", nargs="*", metavar="VG/POOL", help="these pools alone")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the commands and change nothing"
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="also what takes the consumers to be stopped: asks before it begins",
    )
    parser.add_argument("--yes", action="store_true", help="with --offline: do not ask")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--bundle",
        type=_bundle,
        metavar="FILE",
        help="cure nothing, and write what a maintainer has to see to a new file, packed as its"
        " name says: .tar, .tar.gz or .tar.xz",
    )
    parser.set_defaults(execute=execute, parser=parser)


def _bundle(text: str) -> Path:
    from dmguard.core.bundle import SUFFIXES

    if not text.endswith(SUFFIXES):
        raise argparse.ArgumentTypeError(f"its name must end with {' or '.join(SUFFIXES)}: {text}")
    return Path(text)


def execute(options: argparse.Namespace) -> int:
    import asyncio

    if options.yes and not options.offline:
        options.parser.error("argument --yes: only with argument --offline")
    if options.bundle is None:
        _check_that_one_can_ask(options)
        return asyncio.run(_execute(options))
    for option in ("json", "offline"):
        if getattr(options, option):
            options.parser.error(f"argument --{option}: not allowed with argument --bundle")
    return asyncio.run(_write(options.bundle, tuple(options.pools)))


def _check_that_one_can_ask(options: argparse.Namespace) -> None:
    asks = options.offline and not options.yes and not options.dry_run
    if asks and (options.json or not sys.stdin.isatty()):
        options.parser.error(
            "argument --offline: it asks before it stops anything: --yes says that it need not, and"
            " --dry-run shows what it would do"
        )


async def _write(path: Path, pools: tuple[str, ...]) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.bundle import write_bundle
    from dmguard.app.say import complain, say
    from dmguard.core.bundle import FOLDER
    from dmguard.core.units import format_size

    bundle = await write_bundle(path, pools)
    for name in bundle.unknown:
        complain(_no_pool(name))
    say(f"{bundle.path}: {format_size(bundle.size)}, {bundle.parts} parts")
    if bundle.failed:
        say(f"    not there, or not told: {', '.join(bundle.failed)}")
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(bundle.hidden.items()))
    say(f"    hidden in it: {kinds or 'nothing'}")
    say(f"what it has, and by what:  tar -xOf {path} {FOLDER}/MANIFEST")
    say(f"all of it:                 tar -xf {path}")
    say("Look through it before it is handed on: what was hidden is known by where it stands.")
    return Exit.NO_MATCH if bundle.unknown else Exit.DONE


def _no_pool(name: str) -> str:
    return f"{name}: no guarded pool has that name [no-such-pool]"


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.recover import all_of_it, recover
    from dmguard.app.render import recovered_values
    from dmguard.app.say import say_json
    from dmguard.app.withbus import open_with_bus
    from dmguard.core.goals import Recover

    async with open_with_bus() as loop:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) if options.offline else ""
        goal = Recover(tuple(options.pools), offline=stamp)
        agree = all_of_it if options.yes else _ask
        recovered = await recover(loop, goal, dry_run=options.dry_run, agree=agree)
    if options.json:
        say_json(recovered_values(recovered))
    else:
        _say(recovered, dry_run=options.dry_run)
    return _exit_code(recovered, tuple(options.pools), dry_run=options.dry_run)


def _ask(repairs: tuple[RepairPool, ...]) -> bool:
    from dmguard.app.render import say_plan

    say_plan(repairs, (), commands=True)
    sys.stdout.write("Is that to be done? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(recovered: Recovered, *, dry_run: bool) -> None:
    from dmguard.app.render import say_findings, say_outcomes, say_plan, say_refusals
    from dmguard.app.say import complain, say

    for name in recovered.unknown:
        complain(_no_pool(name))
    if not recovered.before.findings and not recovered.before.actions:
        say("nothing is wrong")
        return
    say_findings(recovered.before.findings, recovered.before.actions)
    if dry_run:
        say_plan(recovered.before.actions, (), commands=True)
        say_refusals(recovered.before.refusals)
        return
    say_outcomes(recovered.outcomes)
    if recovered.after.findings:
        say("\nLeft alone:")
        say_findings(recovered.after.findings, recovered.after.actions)
    say_refusals(recovered.after.refusals)


def _exit_code(recovered: Recovered, pools: tuple[str, ...], *, dry_run: bool) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.recover import unhealthy

    if recovered.unknown:
        return Exit.NO_MATCH
    if dry_run:
        return Exit.DONE
    if recovered.failed:
        return Exit.FAILED
    return Exit.REFUSED if unhealthy(recovered.after.findings, pools) else Exit.DONE
