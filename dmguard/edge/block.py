"""A close look at one disk, which changes nothing: is it blank, and does nobody use it?

Whatever cannot be told is an error, never 'blank' and never 'unused'. The disk is read before
blkid and wipefs see it: one that does not answer must not hold up a process of the runner's.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from dmguard.core.model import Disk, Probe
from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.diskread import Content, read_content
from dmguard.edge.diskusers import Target, exclusive, users
from dmguard.edge.mentions import mentions
from dmguard.edge.roots import Roots
from dmguard.edge.run import RunError
from dmguard.edge.signatures import PV, is_table, merged, read_signatures

if TYPE_CHECKING:
    import threading

    from dmguard.edge.run import Runner


async def probe(
    disk: Disk,
    runner: Runner,
    *,
    roots: Roots = Roots(),
    timeout_s: float = 60.0,
    brief: bool = False,
) -> Probe:
    """Look at a disk, for at most `timeout_s` and what blkid and wipefs take.

    A `brief` look leaves out the samples between the two ends: a spinning disk takes ten seconds
    for them. It is for a disk that was looked at before, and to which nothing happened since.

    OSError, RunError and an answer that is none become the Probe's `error`, and nothing else is
    then said. A disk that does not answer the reading is not handed to blkid and wipefs. One look
    at a time for each disk: two would see each other as users of it.
    """
    try:
        using, mentioned, content = await within(
            timeout_s, disk.node, lambda stop: _look(disk, roots, stop, brief=brief)
        )
        named = await read_signatures(roots.dev / disk.name, runner)
    except DoubtError as doubt:
        return Probe(error=str(doubt))
    except (RunError, OSError, ValueError) as error:
        return Probe(error=f"{disk.node}: {_reason(error)}")
    found = merged(named, content.marks)
    kinds = tuple(dict.fromkeys(signature.kind for signature in found))
    return Probe(
        signatures=tuple(str(signature) for signature in found),
        tables=tuple(kind for kind in kinds if is_table(kind, found)),
        pv_label=PV in kinds,
        data_at=content.data_at,
        half_pv=content.half_pv,
        beside=content.beside,
        users=using,
        mentions=mentioned,
    )


def _look(
    disk: Disk, roots: Roots, stop: threading.Event, *, brief: bool
) -> tuple[tuple[str, ...], tuple[str, ...], Content]:
    """What names the disk, what is on it, who uses it: all that blocks.

    Users come last. They are what changes, and udev's own look is over by then.
    """
    node = roots.dev / disk.name
    mentioned = mentions(disk, roots.etc)
    target = Target.of(disk, roots)
    claimed = exclusive(node)
    content = read_content(node, disk, stop, brief=brief)
    using = tuple(dict.fromkeys(chain(claimed, users(target, roots, stop))))
    return using, mentioned, content


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
