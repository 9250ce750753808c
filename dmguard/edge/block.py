"""A close look at one disk, which changes nothing: is it blank, and does nobody use it?

Whatever cannot be told is an error, never 'blank' and never 'unused'. Facts behind it:

- libblkid's low-level probe ends with 2 ("nothing found") also when the disk could not be opened
  or read (util-linux, misc-utils/blkid.c, lowprobe_device). So the disk is read here, too, and
  first: one that does not answer must not hold up a process of the runner's.
- A filesystem, swap, md, device-mapper and LIO's iblock each claim their device with O_EXCL, and
  a partition's claim claims the disk (Linux, block/bdev.c, bd_may_claim). That holds for every
  mount namespace, also one that no process of /proc is in.
- Programs that merely have it open (qemu, a database) claim nothing: only /proc/PID/fd shows them.
  To read others' needs CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH for those of other users.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import stat
import time
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.halfpv import LABEL_SPACE, unmade
from dmguard.core.model import Devno, Disk, Probe
from dmguard.edge.deadline import DoubtError, within
from dmguard.edge.mounts import unescape
from dmguard.edge.run import RunError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from dmguard.edge.run import Runner

EDGE = 4 << 20
"""Bytes read at either end of a disk."""
WHOLE = 64 << 20
"""A disk of at most so many bytes is read from end to end."""
SAMPLES = 1024
"""Blocks read between the two ends of a larger one."""
BLOCK = 4096

_CHUNK = 1 << 20
_TOOL_S = 20.0
_UDEV_S = 1.0
_UDEV_POLL_S = 0.05
_UDEV = frozenset({"systemd-udevd", "(udev-worker)", "udevd"})
_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.EINVAL, errno.ENOTDIR, errno.ENODEV})
_KERNEL_USERS = (
    ("exported by LIO", ("kernel", "config", "target", "core", "*", "*", "udev_path")),
    (
        "exported by nvmet",
        ("kernel", "config", "nvmet", "subsystems", "*", "namespaces", "*", "device_path"),
    ),
    ("behind a loop device", ("block", "*", "loop", "backing_file")),
)
"""Files under /sys that name the device which a part of the kernel has open, perhaps unclaimed."""
_TAKING = frozenset({"spare", "force-spare", "spare-same-slot", "include"})
_PV = "LVM2_member"
_TABLES = frozenset(
    {
        "gpt",
        "PMBR",
        "dos",
        "sun",
        "sgi",
        "mac",
        "bsd",
        "atari",
        "aix",
        "solaris_x86",
        "unixware",
        "ultrix",
    }
)
_MIDDLE = tuple(
    shift + place
    for shift in (0, 1 << 20)
    for place in (64 << 20, 256 << 30, *((128 << 20) * group for group in (1, 3, 5, 7, 9, 25, 27)))
)
"""Where filesystems keep copies of their superblock, with and without a first partition's 1 MiB:
btrfs at 64 MiB and 256 GiB, ext4 of 4 KiB blocks in the groups 1, 3, 5, 7, 9, 25 and 27."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the kernel's and the host's files are."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    etc: Path = Path("/etc")
    dev: Path = Path("/dev")


@dataclass(frozen=True, slots=True)
class Content:
    """What reading found. `marks`: partition tables by name and offset; the rest as Probe's."""

    data_at: int | None = None
    half_pv: bool = False
    beside: int | None = None
    marks: tuple[tuple[str, int], ...] = ()


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
        named = await _named(roots.dev / disk.name, runner)
    except DoubtError as doubt:
        return Probe(error=str(doubt))
    except (RunError, OSError, ValueError) as error:
        return Probe(error=f"{disk.node}: {_reason(error)}")
    found = _merged(named, content.marks)
    kinds = tuple(dict.fromkeys(signature.kind for signature in found))
    return Probe(
        signatures=tuple(str(signature) for signature in found),
        tables=tuple(kind for kind in kinds if _is_table(kind, found)),
        pv_label=_PV in kinds,
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


def read_content(node: Path, disk: Disk, stop: threading.Event, *, brief: bool = False) -> Content:
    """Read both ends, and the whole or samples between. DoubtError, OSError: it cannot be told.

    Blank is a disk of nothing but 0x00, or of nothing but 0xff (erased flash).
    """
    descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_same(descriptor, disk)
        # What is cached may be older than what another host, or a raw write, has put there.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead
        marks = tuple(_marks(descriptor, disk))
        data_at = _data_at(descriptor, disk, stop, brief=brief)
        if data_at is None or data_at >= LABEL_SPACE or disk.size <= LABEL_SPACE:
            return Content(data_at, marks=marks)
        head = unmade(_pread(descriptor, disk, 0, LABEL_SPACE))
        if head is None:
            return Content(data_at, marks=marks)
        beside = _data_at(descriptor, disk, stop, brief=brief, head=head)
        return Content(data_at, half_pv=True, beside=beside, marks=marks)
    finally:
        os.close(descriptor)


def _check_same(descriptor: int, disk: Disk) -> None:
    """DoubtError unless this is the device that the disk describes, or a file of its size."""
    status = os.fstat(descriptor)
    if stat.S_ISBLK(status.st_mode):
        devno = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if devno != disk.devno:
            raise DoubtError(f"{disk.node} is another device by now")
    elif not stat.S_ISREG(status.st_mode):
        raise DoubtError(f"{disk.node} is not a block device")
    # The end of a block device is what BLKGETSIZE64 says (Linux, block/fops.c, blkdev_llseek).
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size != disk.size:
        raise DoubtError(f"{disk.node}: size changed from {disk.size} to {size} bytes")
    if size < 2 * BLOCK:
        raise DoubtError(f"{disk.node}: {size} bytes are too few to look at")


def _data_at(
    descriptor: int, disk: Disk, stop: threading.Event, *, brief: bool, head: bytes = b""
) -> int | None:
    """The offset of the first byte read that is not blank, as if the disk began with `head`."""
    fill = head[:1] or _pread(descriptor, disk, 0, 1)
    if fill not in (b"\x00", b"\xff"):
        return 0
    for offset, length in places(disk.size, samples=0 if brief else SAMPLES):
        if stop.is_set():
            raise DoubtError(f"{disk.node}: the look at it was given up")
        # The head is as long as what is read first.
        data = head if head and offset == 0 else _pread(descriptor, disk, offset, length)
        rest = data.lstrip(fill)
        if rest:
            return offset + length - len(rest)
    return None


def places(size: int, samples: int = SAMPLES) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is read of a disk of so many bytes, in order.

    Beside the two ends: so many samples, and where filesystems keep copies of their superblock.
    """
    if size <= WHOLE:
        yield from _chunks(0, size)
        return
    last = size - EDGE
    even = (EDGE + (last - EDGE) * number // samples // BLOCK * BLOCK for number in range(samples))
    known = (place for place in _MIDDLE if EDGE <= place <= last - BLOCK)
    yield from _chunks(0, EDGE)
    for offset in sorted({*even, *known}):
        yield offset, BLOCK
    yield from _chunks(last, size)


def _chunks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for offset in range(begin, end, _CHUNK):
        yield offset, min(_CHUNK, end - offset)


def _pread(descriptor: int, disk: Disk, offset: int, length: int) -> bytes:
    """Exactly so many bytes, or DoubtError."""
    try:
        data = os.pread(descriptor, length, offset)
    except OSError as error:
        raise DoubtError(f"{disk.node}: reading at byte {offset}: {error.strerror}") from error
    if len(data) != length:
        raise DoubtError(f"{disk.node}: only {len(data)} of {length} bytes at byte {offset}")
    return data


def _marks(descriptor: int, disk: Disk) -> Iterator[tuple[str, int]]:
    """Partition tables by their own marks, for sectors of 512 and of 4096 bytes.

    libblkid does not look for a backup GPT when the protective MBR is gone.
    """
    for sector in (512, 4096):
        if _pread(descriptor, disk, sector, 8) == b"EFI PART":
            yield "gpt", sector
        if _pread(descriptor, disk, disk.size - sector, 8) == b"EFI PART":
            yield "gpt (backup)", disk.size - sector
    if _pread(descriptor, disk, 510, 2) == b"\x55\xaa":
        yield "dos", 510


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing that blkid, wipefs or we know by its magic. Only wipefs and we know its offset."""

    kind: str
    offset: int | None = None
    is_table: bool = False

    def __str__(self) -> str:
        return self.kind if self.offset is None else f"{self.kind} at {self.offset:#x}"


async def _named(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """What libblkid knows on it. RunError or DoubtError unless both tools end well."""
    found = await _wipefs(node, runner)
    kinds = {signature.kind for signature in found}
    more = [signature for signature in await _blkid(node, runner) if signature.kind not in kinds]
    return (*found, *more)


async def _wipefs(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """Every magic, with its offset. Without --all or --offset wipefs opens the disk to read."""
    argv = ["wipefs", "--no-act", "--json", "--output", "OFFSET,TYPE,USAGE", str(node)]
    completed = await runner.read(argv, timeout_s=_TOOL_S, aside=True)
    try:
        rows = json.loads(completed.stdout)["signatures"] if completed.stdout.strip() else []
        return tuple(
            Signature(
                str(row["type"]), int(str(row["offset"]), 0), row["usage"] == "partition-table"
            )
            for row in rows
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DoubtError(f"{node}: wipefs gave an answer that is none: {error!r}") from error


async def _blkid(node: Path, runner: Runner) -> tuple[Signature, ...]:
    """The one superblock and the one table that libblkid decides for; two rivals are an error."""
    argv = ["blkid", "--probe", "--output", "export", str(node)]
    completed = await runner.read(argv, timeout_s=_TOOL_S, aside=True, check=False)
    if completed.status == 8:
        raise DoubtError(f"{node}: blkid cannot decide between several signatures")
    if completed.status not in (0, 2) or completed.stderr.strip():
        raise DoubtError(f"{node}: blkid: {completed.complaint}")
    found = tuple(_exported(completed.stdout))
    if completed.status == 0 and not found:
        raise DoubtError(f"{node}: blkid found something that it does not name")
    return found


def _exported(text: str) -> Iterator[Signature]:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key in ("TYPE", "PTTYPE"):
            yield Signature(value, is_table=key == "PTTYPE")


def _merged(
    named: tuple[Signature, ...], marks: tuple[tuple[str, int], ...]
) -> tuple[Signature, ...]:
    """The tools' findings and ours. Of two at one place ours is the backup GPT, else theirs."""
    ours = {offset: kind for kind, offset in marks}
    theirs = [
        each for each in named if each.kind != "gpt" or ours.get(each.offset or 0) != "gpt (backup)"
    ]
    taken = {each.offset for each in theirs}
    more = [Signature(kind, at, is_table=True) for at, kind in ours.items() if at not in taken]
    return (*theirs, *more)


def _is_table(kind: str, found: tuple[Signature, ...]) -> bool:
    return any(each.kind == kind and (each.is_table or kind in _TABLES) for each in found)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


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
            if error.errno in _GONE:
                return False
            raise
        devno = (os.major(status.st_rdev), os.minor(status.st_rdev))
        return stat.S_ISBLK(status.st_mode) and devno in self.devnos


def _partition_devno(sys: Path, name: str) -> Devno:
    text = _text(sys / "class" / "block" / name.replace("/", "!") / "dev")
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
        space, root = _link(process / "ns" / "mnt"), _link(process / "root")
        if space is None or root is None or (space, root) in seen:
            continue
        text = _text(process / "mountinfo")
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
            yield f"mounted at {unescape(words[4])}"


def _swapped(target: Target, proc: Path) -> Iterator[str]:
    text = _text(proc / "swaps") or ""
    for line in filter(None, text.split("\n")[1:]):
        if target.means(unescape(line.split()[0])):
            yield "in use as swap"


def _opened(target: Target, processes: Iterable[Path], stop: threading.Event) -> Iterator[str]:
    """Processes that have it open. udev's look at a new disk for a moment: they are waited for."""
    end = time.monotonic() + _UDEV_S
    found = list(_holding(target, processes))
    while found and all(comm in _UDEV for comm, _ in found) and time.monotonic() < end:
        stop.wait(_UDEV_POLL_S)
        found = list(_holding(target, processes))
    for comm, pid in found:
        yield f"opened by {comm} ({pid})"


def _holding(target: Target, processes: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for process in processes:
        if process.name == str(os.getpid()):
            continue
        links = (_link(entry) for entry in _children(process / "fd"))
        if any(link is not None and target.means(link) for link in links):
            comm = _text(process / "comm")
            if comm is not None:
                yield comm.strip(), process.name


def _in_kernel(target: Target, sys: Path) -> Iterator[str]:
    for user, pattern in _KERNEL_USERS:
        texts = (_text(path) for path in _files(sys, pattern))
        if any(text is not None and target.means(text.strip()) for text in texts):
            yield user


def _files(base: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """As Path.glob, which passes over what it may not read. `*` is one whole name."""
    if not pattern:
        yield base
    elif pattern[0] != "*":
        yield from _files(base / pattern[0], pattern[1:])
    else:
        for child in sorted(_children(base)):
            yield from _files(child, pattern[1:])


def _children(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def _text(path: Path) -> str | None:
    """What is in a file; None if there is none, or its process or device has gone."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _link(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


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
    for line in (_text(path) or "").split("\n"):
        yield re.sub(r"(^|\s)#.*", "", line)


def _within(directory: Path, ending: str) -> list[Path]:
    return sorted(path for path in _children(directory) if path.name.endswith(f".{ending}"))


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
    return not globs or any(fnmatch.fnmatchcase(place, g) for place in _places(disk) for g in globs)


def _places(disk: Disk) -> Iterator[str]:
    if disk.path:
        yield disk.path
    yield from (Path(link).name for link in disk.links if Path(link).parent.name == "by-path")
