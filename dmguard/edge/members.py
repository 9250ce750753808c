"""The disks that udev knows as PVs and that answer: what LVM is to look at if another hangs."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.roots import Roots, children_of, text_of
from dmguard.edge.signatures import PV
from dmguard.edge.udevdb import RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE_S = 1.0
_HEAD = 4096


async def answering_members(
    roots: Roots | None = None, records: Path = RECORDS, patience_s: float = _PATIENCE_S
) -> tuple[str, ...]:
    """The nodes of those whose beginning, where the label is, can be read within that time."""
    nodes = sorted(_members(roots or Roots(), records))
    answers = await asyncio.gather(*(_answers(node, patience_s) for node in nodes))
    return tuple(str(node) for node, answer in zip(nodes, answers, strict=True) if answer)


def _members(roots: Roots, records: Path) -> Iterator[Path]:
    wanted = f"E:ID_FS_TYPE={PV}"
    for record in children_of(records):
        if not record.name.startswith("b") or wanted not in (text_of(record) or "").splitlines():
            continue
        event = text_of(roots.sys / "dev/block" / record.name.removeprefix("b") / "uevent") or ""
        for line in event.splitlines():
            key, _, name = line.partition("=")
            if key == "DEVNAME":
                yield roots.dev / name


async def _answers(node: Path, patience_s: float) -> bool:
    try:
        await within(patience_s, f"the label of {node}", lambda _: _read(node))
    except (DoubtError, OSError):
        return False
    return True


def _read(node: Path) -> None:
    descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # What is cached says nothing of the disk.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(descriptor, _HEAD, 0)
    finally:
        os.close(descriptor)
