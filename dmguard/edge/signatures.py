"""What a disk is known by: the signatures that wipefs and blkid find, and our own marks.

libblkid's low-level probe ends with 2 ("nothing found") also when the disk could not be opened or
read (util-linux, misc-utils/blkid.c, lowprobe_device). So `edge/diskread` reads the disk, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.edge.deadline import DoubtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dmguard.edge.run import Runner

PV = "LVM2_member"
"""The kind of a physical volume of LVM."""

_TOOL_S = 20.0
_TABLES = frozenset(
    {
        "gpt",
        "PMBR",
        "dos",
        "sun",
        "sgi",
        "mac",
        "bsd",
        "atari",
        "aix",
        "solaris_x86",
        "unixware",
        "ultrix",
    }
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing that blkid, wipefs or we know by its magic. Only wipefs and we know its offset."""

    kind: str
    offset: int | None = None
    is_table: bool = False

    def __str__(self) -> str:
        return self.kind if self.offset is None else f"{self.kind} at {self.offset:#x}"


async def read_signatures(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """What libblkid knows on it. RunError or DoubtError unless both tools end well."""
    found = await _wipefs(node, runner)
    kinds = {signature.kind for signature in found}
    more = [signature for signature in await _blkid(node, runner) if signature.kind not in kinds]
    return (*found, *more)


async def _wipefs(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """Every magic, with its offset. Without --all or --offset wipefs opens the disk to read."""
    argv = ["wipefs", "--no-act", "--json", "--output", "OFFSET,TYPE,USAGE", str(node)]
    completed = await runner.read(argv, timeout_s=_TOOL_S, aside=True)
    try:
        rows = json.loads(completed.stdout)["signatures"] if completed.stdout.strip() else []
        if not isinstance(rows, list):
            raise TypeError(f"{rows!r} is no list")  # noqa: TRY301 - what is no list is not blank
        return tuple(
            Signature(
                str(row["type"]), int(str(row["offset"]), 0), row["usage"] == "partition-table"
            )
            for row in rows
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DoubtError(f"{node}: wipefs gave an answer that is none: {error!r}") from error


async def _blkid(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """The one superblock and the one table that libblkid decides for; two rivals are an error."""
    argv = ["blkid", "--probe", "--output", "export", str(node)]
    completed = await runner.read(argv, timeout_s=_TOOL_S, aside=True, check=False)
    if completed.status == 8:
        raise DoubtError(f"{node}: blkid cannot decide between several signatures")
    if completed.status not in (0, 2) or completed.stderr.strip():
        raise DoubtError(f"{node}: blkid: {completed.complaint}")
    found = tuple(_exported(completed.stdout))
    if completed.status == 0 and not found:
        raise DoubtError(f"{node}: blkid found something that it does not name")
    return found


def _exported(text: str) -> Iterator[Signature]:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key in ("TYPE", "PTTYPE"):
            yield Signature(value, is_table=key == "PTTYPE")


def merged(
    named: tuple[Signature, ...], marks: tuple[tuple[str, int], ...]
) -> tuple[Signature, ...]:
    """The tools' findings and ours. Of two at one place ours is the backup GPT, else theirs."""
    ours = {offset: kind for kind, offset in marks}
    theirs = [
        each for each in named if each.kind != "gpt" or ours.get(each.offset or 0) != "gpt (backup)"
    ]
    taken = {each.offset for each in theirs}
    more = [Signature(kind, at, is_table=True) for at, kind in ours.items() if at not in taken]
    return (*theirs, *more)


def is_table(kind: str, found: tuple[Signature, ...]) -> bool:
    return any(each.kind == kind and (each.is_table or kind in _TABLES) for each in found)
