"""dmguard setup --import and --raw-from-running: what is there becomes dmguard's settings."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from dmguard.app.guard.adopt import Found
    from dmguard.app.guard.extend import Acted
    from dmguard.core.goals import KeepSettings
    from dmguard.core.imports.imported import Setup


def execute(options: argparse.Namespace) -> int:
    if options.raw_from_running:
        return asyncio.run(_adopt_raw(options))
    return asyncio.run(_import(options))


async def _adopt_raw(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.adopt import section_of
    from dmguard.app.render import complain, say
    from dmguard.app.wiring import open_loop
    from dmguard.core.plan import Refusal
    from dmguard.edge.config import load_settings

    with open_loop(load_settings()) as loop:
        goal = await section_of(loop, options.raw_from_running)
    if isinstance(goal, Refusal):
        complain(f"{goal.message} [{goal.code}]")
        return Exit.NO_MATCH if goal.code == "no-such-pool" else Exit.REFUSED
    say(goal.text.rstrip("\n"))
    return await _keep(goal, options)


async def _import(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.adopt import read_foreign
    from dmguard.app.render import complain, say
    from dmguard.core.imports.imported import ForeignError

    try:
        found = read_foreign(options.source or None)
    except ForeignError as error:
        complain(str(error))
        return Exit.USAGE
    if found is None:
        complain("there is no configuration of container-storage-setup or dm.directlvm_device")
        return Exit.NO_MATCH
    for line in _describe(found):
        say(line)
    return Exit.DONE if found.goal is None else await _keep(found.goal, options)


def _describe(found: Found) -> Iterator[str]:
    yield f"# {found.source}"
    if found.imported.setup is not None:
        yield "# to set up what it describes, once you have seen that these are the disks:"
        yield shlex.join(words_of(found.imported.setup))
    if found.imported.settings:
        yield from ("", found.imported.settings.rstrip("\n"))
    for note in found.imported.notes:
        yield f"# note: {note}"


def words_of(setup: Setup) -> list[str]:
    """The command line that says the same."""
    words = ["dmguard", "setup", *setup.disks, "--pool", setup.pool, "--consumer", "docker"]
    if setup.vg is not None:
        words += ["--vg", setup.vg]
    shares = (("--data-percent", setup.data), ("--metadata-percent", setup.metadata))
    for option, amount in shares:
        if amount is not None and amount.percent is not None:
            words += [option, f"{amount.percent:g}"]
    if setup.chunk is not None:
        words += ["--chunk", f"{setup.chunk >> 10}KiB"]
    growth = (
        ("--autoextend-threshold", setup.threshold),
        ("--autoextend-percent", setup.percent),
    )
    for option, number in growth:
        if number is not None:
            words += [option, str(number)]
    return words


async def _keep(goal: KeepSettings, options: argparse.Namespace) -> int:
    """Write it, unless that is only to be shown."""
    from dmguard.app.guard.setup import keep_settings
    from dmguard.app.render import complain, say, say_outcomes, say_plan
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.config import load_settings

    bus = SystemBus()
    try:
        await bus.connect()
        with open_loop(load_settings(), reach=Reach(bus=bus)) as loop:
            kept = await keep_settings(loop, goal, dry_run=options.dry_run)
    finally:
        bus.close()
    for refusal in kept.plan.refusals:
        complain(f"{refusal.message} [{refusal.code}]")
    if options.dry_run:
        say_plan(kept.plan.actions, (), commands=True)
    elif not kept.plan.actions and not kept.plan.refusals:
        say(f"{goal.path}: it says so already")
    say_outcomes(kept.outcomes)
    return _exit_code(kept)


def _exit_code(kept: Acted) -> int:
    from dmguard.app.cli import Exit, exit_of

    return Exit.REFUSED if kept.plan.refusals else exit_of(o for _, o in kept.outcomes)
