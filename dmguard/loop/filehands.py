"""What does each kind of step on a file: as threads, for a file system may be slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.steps import MovePath, PutFile, RemoveFile
from dmguard.edge import files
from dmguard.loop.execute import Done

if TYPE_CHECKING:
    from dmguard.loop.execute import Hands


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

    def move() -> None:
        files.move(Path(step.source), Path(step.target), optional=step.optional)

    await asyncio.to_thread(move)
    return Done(ok=True)


FILE_HANDS: Hands = {PutFile: _put_file, RemoveFile: _remove_file, MovePath: _move_path}
