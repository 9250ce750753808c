"""Which configuration files mention a disk: mount tables, mdadm's, ZFS's and cloud-init's."""

from __future__ import annotations

import fnmatch
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.edge.roots import children_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dmguard.core.model import Disk

_LONGEST_NAME = 255
_TAKING = frozenset({"spare", "force-spare", "spare-same-slot", "include"})


def mentions(disk: Disk, etc: Path) -> tuple[str, ...]:
    """Configuration files that name the disk, a partition of it, or a place that it is in."""
    paths = tuple(_words(disk))
    words = (*paths, *_short(disk))
    named = re.compile("|".join(words))
    in_cloud = re.compile("|".join((*words, _word(disk.name))))
    cloud = (etc / "cloud" / "cloud.cfg", *_within(etc / "cloud" / "cloud.cfg.d", "cfg"))
    plain = (etc / "fstab", etc / "crypttab", etc / "zfs" / "vdev_id.conf")
    found = [
        *(_shown(path, etc) for path in plain if _says(path, named)),
        *_of_mdadm(disk, etc, re.compile("|".join(paths))),
        *(_shown(path, etc) for path in cloud if _says(path, in_cloud)),
    ]
    return tuple(found)


def _shown(path: Path, etc: Path) -> str:
    return f"/etc/{path.relative_to(etc)}"


def _words(disk: Disk) -> Iterator[str]:
    """Patterns of the disk's paths, with or without a partition's number."""
    number = r"(?:p\d+)?" if disk.name[-1:].isdigit() else r"(?:\d+)?"
    yield _word(disk.node, number)
    for link in disk.links:
        yield _word(link, r"(?:-part\d+)?")


def _short(disk: Disk) -> Iterator[str]:
    """Names without a directory, as in fstab's ID=NAME and in vdev_id.conf(5)."""
    for link in disk.links:
        path = Path(link)
        if path.parent.name in ("by-id", "by-path"):
            yield _word(path.name, r"(?:-part\d+)?")


def _word(name: str, more: str = "") -> str:
    # A name goes on with letters, a wildcard, or a mark that is not the last: 'sda:' is a YAML key.
    return rf"(?<![\w/.:+-]){re.escape(name)}{more}(?![\w/+*?\[-]|[.:]\w)"


def _says(path: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(line) for line in _lines(path))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file without comments; none if it is missing. OSError: it cannot be read."""
    for line in (text_of(path) or "").split("\n"):
        yield re.sub(r"(^|\s)#.*", "", line)


def _within(directory: Path, ending: str) -> list[Path]:
    return sorted(path for path in children_of(directory) if path.name.endswith(f".{ending}"))


def _of_mdadm(disk: Disk, etc: Path, named: re.Pattern[str]) -> Iterator[str]:
    """mdadm.conf(5): arrays that name the disk, and policies that take what is put in its place."""
    folders = (etc / "mdadm" / "mdadm.conf.d", etc / "mdadm.conf.d")
    single = (etc / "mdadm" / "mdadm.conf", etc / "mdadm.conf")
    for path in (*single, *chain.from_iterable(_within(folder, "conf") for folder in folders)):
        lines = list(_joined(_lines(path)))
        if any(named.search(line) for line in lines):
            yield _shown(path, etc)
        if any(_takes(line, disk) for line in lines):
            yield "mdadm's POLICY"


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """A line that begins with white space, or is only a comment, goes on with the one before."""
    whole = ""
    for line in lines:
        if not line or line[0].isspace():
            whole += line
        else:
            yield whole
            whole = line
    yield whole


def _takes(line: str, disk: Disk) -> bool:
    """Is it a policy that makes this disk a spare or a member?

    The keyword may be cut to three letters. Several paths are alternatives; with none it is for
    every disk (mdadm, policy.c, pol_match). A policy for partitions only is none for a disk.
    """
    keyword, *words = line.replace('"', "").replace("'", "").split() or [""]
    if len(keyword) < 3 or not "policy".startswith(keyword.lower()):
        return False
    pairs = [(key.lower(), value) for key, _, value in (word.partition("=") for word in words)]
    actions = {value.lower() for key, value in pairs if key == "action"}
    if not actions & _TAKING or ("type", "part") in pairs:
        return False
    globs = [value for key, value in pairs if key == "path"]
    return not globs or any(_is_at(place, glob) for place in _places(disk) for glob in globs)


def _is_at(place: str, glob: str) -> bool:
    """One that is longer than any name may mean the disk: to read it takes the square of that."""
    return len(glob) > _LONGEST_NAME or fnmatch.fnmatchcase(place, glob)


def _places(disk: Disk) -> Iterator[str]:
    if disk.path:
        yield disk.path
    yield from (Path(link).name for link in disk.links if Path(link).parent.name == "by-path")
