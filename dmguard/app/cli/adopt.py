"""dmguard setup --import and --raw-from-running: what is there becomes dmguard's settings."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from dmguard.app.guard.adopt import Found
    from dmguard.app.guard.extend import Acted
    from dmguard.core.goals import KeepSettings
    from dmguard.core.imports.imported import Setup


def execute(options: argparse.Namespace) -> int:
    import asyncio

    adopt = _import if options.raw_from_running is None else _adopt_raw
    return asyncio.run(adopt(options))


async def _adopt_raw(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.adopt import section_of
    from dmguard.app.guard.extend import Acted
    from dmguard.app.say import say
    from dmguard.app.wiring import open_loop
    from dmguard.core.plan import Plan, Refusal
    from dmguard.edge.config import load_settings

    with open_loop(load_settings()) as loop:
        goal = await section_of(loop, options.raw_from_running)
    if isinstance(goal, Refusal):
        _tell(Acted(Plan(refusals=(goal,))), options, {"section": None})
        return Exit.NO_MATCH if goal.code == "no-such-pool" else Exit.REFUSED
    if not options.json:
        say(goal.text.rstrip("\n"))
    return await _keep(goal, options, {"section": {"path": goal.path, "text": goal.text}})


async def _import(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.guard.adopt import read_foreign
    from dmguard.app.guard.extend import Acted
    from dmguard.app.say import complain, say
    from dmguard.core.imports.imported import ForeignError
    from dmguard.core.plan import Plan

    try:
        found = read_foreign(options.source or None)
    except ForeignError as error:
        complain(str(error))
        return Exit.USAGE
    if found is None:
        complain("there is no configuration of container-storage-setup or dm.directlvm_device")
        _tell(Acted(Plan()), options, {"imported": None})
        return Exit.NO_MATCH
    if not options.json:
        for line in _describe(found):
            say(line)
    told = {"imported": values_of(found)}
    if found.goal is not None:
        return await _keep(found.goal, options, told)
    _tell(Acted(Plan()), options, told)
    return Exit.DONE


def values_of(found: Found) -> dict[str, Any]:
    """The same for a program: `words` is null if there is nothing to set up."""
    setup = found.imported.setup
    return {
        "source": found.source,
        "words": None if setup is None else words_of(setup),
        "settings": found.imported.settings,
        "notes": list(found.imported.notes),
    }


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
    for option, amount in (("--data", setup.data), ("--metadata", setup.metadata)):
        if amount is not None and amount.percent is not None:
            words += [f"{option}-percent", f"{amount.percent:g}"]
        elif amount is not None:
            words += [f"{option}-size", str(amount)]
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


async def _keep(goal: KeepSettings, options: argparse.Namespace, told: dict[str, Any]) -> int:
    """Write it, unless that is only to be shown."""
    from dmguard.app.cli import Exit, exit_of
    from dmguard.app.guard.setup import keep_settings
    from dmguard.app.say import say
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.config import load_settings

    bus = SystemBus()
    try:
        if not options.dry_run:
            await bus.connect()
        with open_loop(load_settings(), reach=Reach(bus=bus)) as loop:
            kept = await keep_settings(loop, goal, dry_run=options.dry_run)
    finally:
        bus.close()
    _tell(kept, options, told)
    if not kept.plan.actions and not kept.plan.refusals and not options.json:
        say(f"{goal.path}: it says so already")
    return Exit.REFUSED if kept.plan.refusals else exit_of(o for _, o in kept.outcomes)


def _tell(kept: Acted, options: argparse.Namespace, told: dict[str, Any]) -> None:
    """What is done with it, after what was found; as JSON both together."""
    from dmguard.app.render import (
        outcome_values,
        plan_values,
        refusal_values,
        say_outcomes,
        say_plan,
    )
    from dmguard.app.say import complain, say_json

    if options.json:
        said = {
            "planned": plan_values(kept.plan.actions),
            "done": outcome_values(kept.outcomes),
            "refused": refusal_values(kept.plan.refusals),
        }
        say_json({**said, **told})
        return
    for refusal in kept.plan.refusals:
        complain(f"{refusal.message} [{refusal.code}]")
    if options.dry_run and kept.plan.actions:
        say_plan(kept.plan.actions, (), commands=True)
    say_outcomes(kept.outcomes)
