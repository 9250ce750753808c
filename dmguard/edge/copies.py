"""Copies of a pool's metadata, each with its SHA-256 beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dmguard.edge.files import sync_directory, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

_PIECE = 1 << 20


def make_room(path: Path, size: int) -> None:
    """Make a file's folder, for nobody else to read; OSError unless so many bytes fit there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    system = os.statvfs(path.parent)
    room = system.f_bavail * system.f_frsize
    if room < size:
        raise OSError(f"{path.parent}: {size} bytes are needed, and {room} are free")


def copy_device(node: Path, path: Path) -> None:
    """Copy a device to a file with holes where it has zeros, on disk when this returns.

    The file gets its name last: one that is there is whole, and stays as it is.
    """
    if path.exists():
        return
    part = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(part, flags, 0o600), "wb", buffering=0) as file:
            digest = _copy(node, file.fileno())
            os.fsync(file.fileno())
        line = f"{digest}  {path.name}\n"
        write_atomic(path.with_name(f"{path.name}.sha256"), line.encode())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    sync_directory(path.parent)


def _copy(node: Path, target: int) -> str:
    """The SHA-256 of all that was copied, as hex."""
    import hashlib  # as in edge/files: not for who copies nothing

    digest = hashlib.sha256()
    size = 0
    with node.open("rb", buffering=0) as source:
        while piece := source.read(_PIECE):
            digest.update(piece)
            if piece.count(0) != len(piece):
                _write(target, piece, size)
            size += len(piece)
    os.ftruncate(target, size)
    return digest.hexdigest()


def _write(target: int, piece: bytes, offset: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written
