"""What does each kind of step on a file: as threads, for a file system may be slow."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.steps import MoveBack, MovePath, PutFile, RemoveFile
from dmguard.edge import files
from dmguard.edge.mounts import read_mounts
from dmguard.loop.walk import Done

if TYPE_CHECKING:
    from dmguard.loop.walk import Hands

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
    obstacle = _mounted(source) if source.exists() else None
    if obstacle is None:
        files.move(source, target)
    return obstacle


def _mounted(path: Path) -> str | None:
    """Why a folder cannot be given another name for what is mounted in it; None if it can."""
    mounts = read_mounts(Path("/"), path)
    if mounts is None:
        return "what is mounted there is not known"
    return f"{', '.join(mounts)} mounted there" if mounts else None


async def _move_back(step: MoveBack, lock: int) -> Done:
    del lock
    obstacle = await asyncio.to_thread(_return, Path(step.aside), Path(step.path))
    complaint = "" if obstacle is None else f"{step.path} is not moved: {obstacle}"
    return Done(ok=obstacle is None, complaint=complaint)


def _return(aside: Path, path: Path) -> str | None:
    """What stands in the way; None if it is done. What was there at first had no mounts in it."""
    if aside.exists() and (obstacle := _mounted(path)) is not None:
        return obstacle
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
