"""Who uses a disk or a partition of it: claims, mounts, swap, processes, parts of the kernel.

Facts behind it:

- A filesystem, swap, md, device-mapper and LIO's iblock each claim their device with O_EXCL, and
  a partition's claim claims the disk (Linux, block/bdev.c, bd_may_claim). That holds for every
  mount namespace, also one that no process of /proc is in.
- Programs that merely have it open (qemu, a database) claim nothing: only /proc/PID/fd shows them.
  To read others' needs CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH for those of other users.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.edge.deadline import DoubtError
from dmguard.edge.mounts import unescape
from dmguard.edge.roots import GONE, children_of, clean, link_of, text_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from dmguard.core.model import Devno, Disk
    from dmguard.edge.roots import Roots

_NO_NODE = GONE | {errno.ENAMETOOLONG, errno.ELOOP}
"""A source of a mount may be any text, and anybody has a namespace to mount in."""
_UDEV_S = 1.0
_UDEV_POLL_S = 0.05
_UDEV = frozenset({"systemd-udevd", "(udev-worker)", "udevd"})
_KERNEL_USERS = (
    ("exported by LIO", ("kernel", "config", "target", "core", "*", "*", "udev_path")),
    (
        "exported by nvmet",
        ("kernel", "config", "nvmet", "subsystems", "*", "namespaces", "*", "device_path"),
    ),
    ("behind a loop device", ("block", "*", "loop", "backing_file")),
)
"""Files under /sys that name the device which a part of the kernel has open, perhaps unclaimed."""


def exclusive(node: Path) -> tuple[str, ...]:
    """Ask the kernel for the disk alone, and give it back at once: who else has claimed it?"""
    try:
        descriptor = os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return ("held by another driver or mounted",)
        raise
    os.close(descriptor)
    return ()


@dataclass(frozen=True, slots=True)
class Target:
    """By what others may call the disk or a partition of it. `dev` is where /dev is."""

    names: frozenset[str]
    devnos: frozenset[Devno]
    dev: Path = field(default=Path("/dev"))

    @classmethod
    def of(cls, disk: Disk, roots: Roots) -> Target:
        """DoubtError if a partition is not there any more."""
        parts = disk.partitions
        own = (disk.node, str(roots.dev / disk.name), *disk.links)
        theirs = (f"/dev/{part}" for part in parts)
        devnos = (_partition_devno(roots.sys, part) for part in parts)
        return cls(frozenset({*own, *theirs}), frozenset({disk.devno, *devnos}), roots.dev)

    def means(self, text: str) -> bool:
        """Is it a name of the disk, or the path of a node with its number?"""
        if text in self.names:
            return True
        if not text.startswith("/dev/"):
            return False
        try:
            status = (self.dev / text.removeprefix("/dev/")).stat()
        except OSError as error:
            if error.errno in _NO_NODE:
                return False
            raise
        except ValueError:  # a NUL is in no name
            return False
        devno = (os.major(status.st_rdev), os.minor(status.st_rdev))
        return stat.S_ISBLK(status.st_mode) and devno in self.devnos


def _partition_devno(sys: Path, name: str) -> Devno:
    text = text_of(sys / "class" / "block" / name.replace("/", "!") / "dev")
    if text is None:
        raise DoubtError(f"/dev/{name} has gone")
    major, _, minor = text.strip().partition(":")
    return int(major), int(minor)


def users(target: Target, roots: Roots, stop: threading.Event) -> Iterator[str]:
    """Everything that has the disk, or a partition of it, in use. OSError, DoubtError: unknown."""
    processes = sorted(
        (entry for entry in roots.proc.iterdir() if entry.name.isdecimal()),
        key=lambda entry: int(entry.name),
    )
    if not any(entry.name == "1" for entry in processes):
        raise DoubtError(f"{roots.proc} does not show all processes")
    yield from _mounted(target, processes)
    yield from _swapped(target, roots.proc)
    yield from _opened(target, processes, stop)
    yield from _in_kernel(target, roots.sys)


def _mounted(target: Target, processes: Iterable[Path]) -> Iterator[str]:
    """Mounts in every mount namespace, as seen from every root: one process of each is asked."""
    seen: set[tuple[str, str]] = set()
    for process in processes:
        space, root = link_of(process / "ns" / "mnt"), link_of(process / "root")
        if space is None or root is None or (space, root) in seen:
            continue
        text = text_of(process / "mountinfo")
        if text is None:
            continue  # it has ended: another of this namespace is asked
        seen.add((space, root))
        yield from _mounts(target, text)


def _mounts(target: Target, mountinfo: str) -> Iterator[str]:
    """Lines of proc(5)'s mountinfo: 'id parent major:minor root point options.. - type source ..'.

    btrfs has a number of its own there, and only the source names a disk.
    """
    numbers = {f"{major}:{minor}" for major, minor in target.devnos}
    for line in filter(None, mountinfo.split("\n")):
        before, _, after = line.partition(" - ")
        words, source = before.split(" "), after.split(" ")
        if len(words) < 6 or len(source) < 2:
            raise DoubtError(f"a line of mountinfo is none: {line!r}")
        if words[2] in numbers or target.means(unescape(source[1])):
            yield f"mounted at {clean(unescape(words[4]))}"


def _swapped(target: Target, proc: Path) -> Iterator[str]:
    text = text_of(proc / "swaps") or ""
    for line in filter(None, text.split("\n")[1:]):
        words = line.split()
        if not words:
            raise DoubtError(f"a line of swaps is none: {line!r}")
        if target.means(unescape(words[0])):
            yield "in use as swap"


def _opened(target: Target, processes: Iterable[Path], stop: threading.Event) -> Iterator[str]:
    """Processes that have it open. udev's look at a new disk for a moment: they are waited for."""
    end = time.monotonic() + _UDEV_S
    found = list(_holding(target, processes))
    while found and all(comm in _UDEV for comm, _ in found) and time.monotonic() < end:
        stop.wait(_UDEV_POLL_S)
        found = list(_holding(target, processes))
    for comm, pid in found:
        yield f"opened by {clean(comm)} ({pid})"


def _holding(target: Target, processes: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for process in processes:
        if process.name == str(os.getpid()):
            continue
        links = (link_of(entry) for entry in children_of(process / "fd"))
        if any(link is not None and target.means(link) for link in links):
            comm = text_of(process / "comm")
            if comm is not None:
                yield comm.strip(), process.name


def _in_kernel(target: Target, sys: Path) -> Iterator[str]:
    for user, pattern in _KERNEL_USERS:
        texts = (text_of(path) for path in _files(sys, pattern))
        if any(text is not None and target.means(text.strip()) for text in texts):
            yield user


def _files(base: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """As Path.glob, which passes over what it may not read. `*` is one whole name."""
    if not pattern:
        yield base
    elif pattern[0] != "*":
        yield from _files(base / pattern[0], pattern[1:])
    else:
        for child in sorted(children_of(base)):
            yield from _files(child, pattern[1:])
