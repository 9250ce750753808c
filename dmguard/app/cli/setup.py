"""dmguard setup: bare disks to a guarded, monitored pool with its consumer configured."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.app.guard.setup import SetUpDone
    from dmguard.core.actions import Action
    from dmguard.core.goals import KeepSettings, SetUp
    from dmguard.core.outcome import Outcome
    from dmguard.core.units import Amount

_MATCHED = ("path", "link", "serial", "wwn", "model", "vendor", "bus", "min_size", "max_size")
_CONSUMERS = ("auto", "docker", "containerd", "isulad", "none")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "setup",
        help="make bare disks a guarded pool, and have Docker, containerd or iSulad use it",
        description="Make one or several blank disks a volume group with a thin pool, its metadata"
        " and an LVM profile, have dmeventd monitor it, and have a consumer keep its data in it:"
        " its configuration is changed where it must be and kept otherwise, and it is started"
        " anew. The disks are judged as for a claim: one with anything on it is refused. What is"
        " there already is left out, so that a second run changes nothing and an interrupted one"
        " goes on.",
    )
    parser.add_argument("disks", nargs="*", metavar="DISK", help="a whole disk, or a link to one")
    parser.add_argument(
        "--vg",
        type=_vg,
        metavar="VG",
        help="the volume group (docker); one that is there is used if named",
    )
    parser.add_argument(
        "--pool", type=_pool, metavar="POOL", default="thinpool", help="the pool (thinpool)"
    )
    parser.add_argument(
        "--consumer",
        choices=_CONSUMERS,
        default="auto",
        help="who keeps its data in the pool (auto: whoever is installed, if that is clear)",
    )
    _add_sizes(parser)
    parser.add_argument(
        "--move-data",
        action="store_true",
        help="move aside what the consumer has; nothing is ever deleted",
    )
    _add_rights(parser)
    _add_sources(parser)
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the commands and change nothing"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(execute=execute, default_of=parser.get_default)


def _add_rights(parser: argparse.ArgumentParser) -> None:
    """Which disks are given up, and which others may be claimed later."""
    parser.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="ID",
        help="give up what is on a disk: its serial number, or its path below /dev/disk/by-id",
    )
    parser.add_argument(
        "--claim",
        action=_EachOnce,
        default=[],
        type=_match,
        metavar="KEY=GLOB",
        help="also have blank disks of this kind claimed for the group from now on, as"
        " path=pci-*; several must all match",
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("instead of setting up")
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--import",
        nargs="?",
        const="",
        dest="source",
        metavar="FILE",
        help="take over container-storage-setup's configuration, or Docker's dm.directlvm_device:"
        " show the words that say the same, write the settings, and tell what has no equivalent",
    )
    source.add_argument(
        "--raw-from-running",
        metavar="NAME",
        help="write the [[raw_pool]] section of a pool that was made with dmsetup and runs",
    )


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sizes and thresholds")
    data, metadata = (group.add_mutually_exclusive_group() for _ in range(2))
    data.add_argument(
        "--data-percent", type=_share, metavar="N", help="of what the group has free, for data (95)"
    )
    data.add_argument("--data-size", type=_size, metavar="SIZE", help="of the data, instead")
    metadata.add_argument(
        "--metadata-percent", type=_share, metavar="N", help="the same, for metadata (1)"
    )
    metadata.add_argument(
        "--metadata-size", type=_size, metavar="SIZE", help="of the metadata, instead"
    )
    group.add_argument("--chunk", type=_chunk, metavar="SIZE", help="of the pool's data (512KiB)")
    group.add_argument("--zero", action="store_true", help="zero each chunk when it is first used")
    group.add_argument(
        "--autoextend-threshold",
        type=_threshold,
        metavar="N",
        help="percent used above which the pool grows (80)",
    )
    group.add_argument(
        "--autoextend-percent", type=_percent, metavar="N", help="by how much it grows (20)"
    )


def _number(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {least} to {most}")
    return int(text)


class _EachOnce(argparse.Action):
    """Pairs of a key and a value; no key twice, for the rule could not say which of them counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        pairs = getattr(namespace, self.dest)
        if any(key == values[0] for key, _ in pairs):
            raise argparse.ArgumentError(self, f"{values[0]} is given twice")
        setattr(namespace, self.dest, [*pairs, values])


def _match(text: str) -> tuple[str, str]:
    from dmguard.core.settings.parsers import parse_match

    key, equals, glob = text.partition("=")
    if not equals or not glob.isprintable() or key not in _MATCHED:
        message = f"{text!r} is not KEY=GLOB with one of {', '.join(_MATCHED)}"
        raise argparse.ArgumentTypeError(message)
    try:
        parse_match({key: glob})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return key, glob


def _vg(text: str) -> str:
    from dmguard.core.names import vg_fault

    return _proper(text, vg_fault(text))


def _pool(text: str) -> str:
    from dmguard.core.names import pool_fault

    return _proper(text, pool_fault(text))


def _proper(name: str, fault: str) -> str:
    if fault:
        raise argparse.ArgumentTypeError(f"{name!r} {fault}")
    return name


def _share(text: str) -> int:
    return _number(text, 1, 99)


def _threshold(text: str) -> int:
    return _number(text, 50, 99)


def _percent(text: str) -> int:
    return _number(text, 1, 100)


def _size(text: str) -> int:
    from dmguard.core.units import parse_size

    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of anything")
    return size


def _chunk(text: str) -> int:
    size = _size(text)
    # Linux, drivers/md/dm-thin.c: DATA_DEV_BLOCK_SIZE_MIN_SECTORS and _MAX_SECTORS.
    if size % (64 << 10) or not 64 << 10 <= size <= 1 << 30:
        message = f"{text!r} is not a multiple of 64KiB from 64KiB to 1GiB"
        raise argparse.ArgumentTypeError(message)
    return size


def execute(options: argparse.Namespace) -> int:
    import asyncio

    from dmguard.app.cli import Exit
    from dmguard.app.cli.adopt import execute as adopt
    from dmguard.app.say import complain

    if options.source is None and options.raw_from_running is None:
        return asyncio.run(_execute(options))
    if told := _of_set_up(options):
        complain(f"{told}: --import and --raw-from-running set nothing up")
        return Exit.USAGE
    return adopt(options)


def _of_set_up(options: argparse.Namespace) -> str:
    """The first word that says how to set up; empty if there is none."""
    names = ("vg", "pool", "consumer", "move_data", "force", "claim")
    sizes = ("data_percent", "data_size", "metadata_percent", "metadata_size", "chunk", "zero")
    growth = ("autoextend_threshold", "autoextend_percent")
    every = (*names, *sizes, *growth)
    given = (name for name in every if getattr(options, name) != options.default_of(name))
    words = (*options.disks, *(f"--{name.replace('_', '-')}" for name in given))
    return next(iter(words), "")


async def _execute(options: argparse.Namespace) -> int:
    from dmguard.app.guard.setup import keep_settings, set_up
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.config import load_settings

    bus = SystemBus()
    tell = _tell_nothing if options.json else _tell
    goal, dry_run = goal_of(options), options.dry_run
    try:
        if options.claim and not dry_run:
            await bus.connect()  # the agent is told of the rule in the end
        with open_loop(load_settings(), reach=Reach(every=True, content=True, bus=bus)) as loop:
            done = await set_up(loop, goal, dry_run=dry_run, connect=bus.connect, tell=tell)
            if options.claim and done.succeeded:
                rule = await keep_settings(loop, rule_of(options), dry_run=dry_run)
                done = done.followed_by(rule)
                for action, outcome in rule.outcomes:
                    tell(action, outcome)
    finally:
        bus.close()
    _render(done, options)
    return _exit_code(done)


def rule_of(options: argparse.Namespace) -> KeepSettings:
    """The settings that say which disks the group may have from now on."""
    from dmguard.app.guard.adopt import settings_file

    vg = options.vg or "docker"
    # Without escapes for what lies beyond the BMP: JSON's surrogate pairs are not TOML.
    words = (f"{key} = {json.dumps(glob, ensure_ascii=False)}" for key, glob in options.claim)
    match = ", ".join(words)
    return settings_file(f"setup-{vg}", f'[[claim]]\nvg = "{vg}"\nmatch = {{ {match} }}\n')


def goal_of(options: argparse.Namespace) -> SetUp:
    """The goal that these words mean."""
    from dmguard.core.goals import SetUp

    default = SetUp()
    return SetUp(
        disks=tuple(options.disks),
        vg=options.vg or default.vg,
        named=options.vg is not None,
        pool=options.pool,
        consumer="" if options.consumer == "none" else options.consumer,
        data=_amount(options.data_percent, options.data_size) or default.data,
        metadata=_amount(options.metadata_percent, options.metadata_size) or default.metadata,
        chunk=options.chunk or default.chunk,
        zero=options.zero,
        threshold=options.autoextend_threshold,
        percent=options.autoextend_percent,
        forced=tuple(options.force),
        move_data=options.move_data,
    )


def _amount(percent: int | None, size: int | None) -> Amount | None:
    from dmguard.core.units import Amount

    if size is not None:
        return Amount(size=size)
    return None if percent is None else Amount(percent=float(percent))


def _tell(action: Action, outcome: Outcome | None) -> None:
    from dmguard.app.render import say_outcomes, say_start

    if outcome is None:
        say_start(action)
    else:
        say_outcomes(((action, outcome),))


def _tell_nothing(action: Action, outcome: Outcome | None) -> None:
    del action, outcome


def _render(done: SetUpDone, options: argparse.Namespace) -> None:
    from dmguard.app.render import (
        outcome_values,
        plan_values,
        refusal_values,
        say_plan,
        say_refusals,
    )
    from dmguard.app.say import say, say_json

    if options.json:
        say_json(
            {
                "planned": plan_values(done.plan.actions),
                "done": outcome_values(done.outcomes),
                "refused": refusal_values(done.plan.refusals),
            }
        )
        return
    say_refusals(done.plan.refusals)
    if done.plan.refusals:
        return
    if options.dry_run and done.plan.actions:
        say_plan(done.plan.actions, (), commands=True)
    elif not done.outcomes:
        say(f"{goal_of(options).pool_name}: all is set up already")


def _exit_code(done: SetUpDone) -> int:
    from dmguard.app.cli import Exit, exit_of

    codes = {refusal.code for refusal in done.plan.refusals}
    if codes & {"no-such-disk", "vg-unknown", "consumer-missing", "force-matches-nothing"}:
        return Exit.NO_MATCH
    if codes & {"consumer-unclear", "name-invalid"}:
        return Exit.USAGE
    return Exit.REFUSED if codes else exit_of(outcome for _, outcome in done.outcomes)
