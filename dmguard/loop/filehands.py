"""What does each kind of step on a file: as threads, for a file system may be slow."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.steps import MoveBack, MovePath, PutFile, RemoveFile
from dmguard.edge import files
from dmguard.edge.mounts import read_mounts
from dmguard.loop.execute import Done

if TYPE_CHECKING:
    from dmguard.loop.execute import Hands

log = logging.getLogger(__name__)


async def _put_file(step: PutFile, lock: int) -> Done:
    del lock
    backup = Path(step.backup) if step.backup else None

    def put() -> None:
        files.put(Path(step.path), step.text, step.was, mode=step.mode, backup=backup)

    try:
        await asyncio.to_thread(put)
    except files.ChangedError as error:
        return Done(ok=False, complaint=str(error), code="file-changed")
    return Done(ok=True)


async def _remove_file(step: RemoveFile, lock: int) -> Done:
    del lock
    try:
        await asyncio.to_thread(files.take_away, Path(step.path), step.was)
    except files.ChangedError as error:
        return Done(ok=False, complaint=str(error), code="file-changed")
    return Done(ok=True)


async def _move_path(step: MovePath, lock: int) -> Done:
    del lock
    obstacle = await asyncio.to_thread(_move, Path(step.source), Path(step.target))
    if obstacle is None:
        return Done(ok=True)
    complaint = f"{step.source} is not moved: {obstacle}"
    return Done(ok=False, complaint=complaint, code="data-not-movable")


def _move(source: Path, target: Path) -> str | None:
    """What stands in the way; None if it is done."""
    if source.is_symlink():
        return "it is a link"
    mounts = read_mounts(Path("/"), source) if source.exists() else ()
    if mounts is None:
        return "what is mounted there is not known"
    if mounts:
        return f"{', '.join(mounts)} mounted there"
    files.move(source, target)
    return None


async def _move_back(step: MoveBack, lock: int) -> Done:
    del lock
    obstacle = await asyncio.to_thread(_return, Path(step.aside), Path(step.path))
    return Done(ok=obstacle is None, complaint=obstacle or "")


def _return(aside: Path, path: Path) -> str | None:
    """What stands in the way; None if it is done. What was there at first had no mounts in it."""
    mounts = read_mounts(Path("/"), path) if aside.exists() else ()
    if mounts != ():
        return f"{path} is not moved: {', '.join(mounts or ('something may be',))} mounted there"
    spare = files.move_back(aside, path)
    if spare is not None:
        log.warning("%s: what was there by then is %s now", path, spare)
    return None


FILE_HANDS: Hands = {
    PutFile: _put_file,
    RemoveFile: _remove_file,
    MovePath: _move_path,
    MoveBack: _move_back,
}
