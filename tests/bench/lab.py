"""Machines of the lab to measure on: one is booted for each case."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.building import newest_package
from tests.lab.images import build
from tests.lab.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Lab:
    """Each case has a machine of its own, and its power."""

    kind = "lab machine (user-mode Linux)"
    left_out: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._image = build("bookworm", newest_package())
        self._folder = folder

    @contextmanager
    def open(self, case: str) -> Iterator[Machine]:
        """A machine that has booted."""
        with Machine(self._image, Path(self._folder, case)) as m:
            m.boot()
            yield m
