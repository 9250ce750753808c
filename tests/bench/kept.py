"""Files as they were, to be put back byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Kept:
    """The files that matched patterns (from /) at one moment, and the folders that were there."""

    patterns: tuple[str, ...]
    files: dict[Path, tuple[bytes, int]]
    folders: frozenset[Path]

    @classmethod
    def now(cls, patterns: Iterable[str]) -> Self:
        """What there is now."""
        patterns = tuple(patterns)
        files = {
            path: (path.read_bytes(), path.stat().st_mode & 0o7777) for path in _matching(patterns)
        }
        folders = {Path(pattern).parent for pattern in patterns}
        return cls(patterns, files, frozenset(one for one in folders if one.is_dir()))

    def save(self, folder: Path) -> None:
        """Copy them to below a folder, by their whole paths."""
        for path, (data, _) in self.files.items():
            copy = folder / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)

    def restore(self) -> None:
        """As it was then: what came since is removed."""
        for path in set(_matching(self.patterns)) - set(self.files):
            path.unlink()
        for path, (data, mode) in self.files.items():
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                path.chmod(mode)
        for folder in {Path(pattern).parent for pattern in self.patterns} - self.folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _matching(patterns: Iterable[str]) -> list[Path]:
    found = (path for one in patterns for path in Path("/").glob(one.removeprefix("/")))
    return [path for path in found if path.is_file()]
