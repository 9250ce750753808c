"""The folder in which a daemon keeps its data: what is in it, and what is mounted there."""

from __future__ import annotations

import glob
import json
import time
from typing import TYPE_CHECKING

from dmguard.core.host import DockerData
from dmguard.edge.mounts import read_mounts

if TYPE_CHECKING:
    from pathlib import Path

_LAYERS = "layerdb/sha256"
_DEVICES = "devicemapper/metadata"
_SETTLED_S = 30.0
_LARGEST = 4096
_REMAPPED = "[0-9]*.[0-9]*"
"""With userns-remap Docker keeps all of it one folder lower, by the ids of the namespace."""


def read_docker_data(root: Path, folder: str) -> DockerData | None:
    """None if it cannot be looked at; a folder that is not there has nothing in it."""
    place = _below(root, folder)
    try:
        if not place.is_dir():
            return DockerData(folder, there=False, siblings=_siblings(root, place))
        places = [place, *(path for path in place.glob(_REMAPPED) if path.is_dir())]
        images = [path for each in places for path in _children(each / "image")]
        return DockerData(
            folder,
            there=True,
            drivers=frozenset(path.name for path in images if _children(path / _LAYERS)),
            containers=any(_children(each / "containers") for each in places),
            devices=any(_children(each / _DEVICES) for each in places),
            transaction=_transaction(places),
            is_link=place.is_symlink(),
            mounts=read_mounts(root, place),
            siblings=_siblings(root, place),
        )
    except OSError:
        return None


def read_isulad_data(root: Path, folder: str) -> DockerData | None:
    """The same of iSulad, which keeps images in storage/DRIVER-images, one folder each."""
    place = _below(root, folder)
    try:
        if not place.is_dir():
            return DockerData(folder, there=False, siblings=_siblings(root, place))
        storage = place / "storage"
        images = [path for path in _children(storage) if path.name.endswith("-images")]
        return DockerData(
            folder,
            there=True,
            drivers=frozenset(p.name.removesuffix("-images") for p in images if _has_folder(p)),
            containers=any(_has_folder(path) for path in _children(place / "engines")),
            devices=bool(_children(storage / "devicemapper/metadata")),
            is_link=place.is_symlink(),
            mounts=read_mounts(root, place),
            siblings=_siblings(root, place),
        )
    except OSError:
        return None


def _transaction(places: list[Path]) -> int | None:
    """The number of the last change that the driver began (moby, daemon/graphdriver/devmapper/
    deviceset.go). None where it was noted a moment ago: whoever read the pool before read another.
    """
    path = next(
        (p for each in places if (p := each / _DEVICES / "transaction-metadata").exists()), None
    )
    if path is None:
        return None
    with path.open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        return None  # it is none of Docker's, and the rest of it may say something else
    try:
        values = json.loads(text)
        number = values["open_transaction_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_settled = time.time() - path.stat().st_mtime > _SETTLED_S
    return number if is_settled and type(number) is int and number >= 0 else None


def _siblings(root: Path, place: Path) -> frozenset[str]:
    beside = place.parent.glob(f"{glob.escape(place.name)}?*")
    return frozenset(f"/{path.relative_to(root)}" for path in beside)


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _has_folder(folder: Path) -> bool:
    return any(path.is_dir() for path in _children(folder))
