"""Files: atomic writes, append-only lines, and the lock of the one writer."""

from __future__ import annotations

import errno
import fcntl
import functools
import itertools
import os
import stat
from pathlib import Path
from typing import Self

_LARGEST = 1 << 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OF_CONTENT = ("security.ima", "security.evm")
"""Extended attributes that are sums of what is in a file."""


class BusyError(Exception):
    """The lock is held by another process."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: held by another dmguard, or by an LVM command that it started")
        self.path = path


def boot_id() -> str:
    """What tells this boot from all others; empty if the kernel does not say."""
    try:
        return _read_once(_BOOT_ID)
    except OSError:
        return ""


@functools.cache
def _read_once(path: Path) -> str:
    return path.read_text().strip()


def write_atomic(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o600,
    sync: bool = True,
    like: Path | None = None,
) -> None:
    """Replace a file whole: a reader, or a boot after a power cut, sees the old or the new.

    It gets the mode, owner and extended attributes of `like`, or `mode` whatever the umask is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(_open_part(part), "wb") as file:
            file.write(data)
            file.flush()
            if like is None:
                os.fchmod(file.fileno(), mode)
            else:
                _make_alike(file.fileno(), like)
            if sync:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """A file that was not there, for nobody else to read: whole, or not at all.

    FileExistsError if there is one. The folder may be anyone's to write to, as /tmp is: what is
    opened is new as well, and no link of somebody else's.
    """
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(part, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _give_name(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_directory(path.parent)


def _give_name(part: Path, path: Path) -> None:
    """As a rename that replaces nothing."""
    try:
        path.hardlink_to(part)
    except OSError as error:
        # A file system without hard links, as a stick has.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        part.rename(path)


def _open_part(part: Path) -> int:
    """For nobody else to read until it is known who may."""
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _make_alike(descriptor: int, other: Path) -> None:
    known = other.stat()
    os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode))
    # ACLs and the label of a security module among them.
    for name in os.listxattr(other):
        if name in _OF_CONTENT:
            continue
        try:
            os.setxattr(descriptor, name, os.getxattr(other, name))
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise


class ChangedError(Exception):
    """A file has something else than what a decision rests on."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: changed meanwhile, and left as it is")
        self.path = path


def put(path: Path, text: str, was: str, *, mode: int = 0o644, backup: Path | None = None) -> None:
    """Replace a file whose content has the SHA-256 `was`, as hex; empty for one that is not there.

    It keeps its mode, owner and extended attributes. What it had is copied to `backup` first,
    and what that has of an earlier time is kept as cp's numbered backups are. One that has the text
    is left as it is. ChangedError for one that has anything else.
    """
    # A link is followed: what is written is the file, and the link stays. resolve() has no OSError
    # for one that leads to itself.
    path = Path(os.path.realpath(path))
    data = text.encode(errors="surrogateescape")
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        old = None
    if old == data:
        return
    if ("" if old is None else _digest(old)) != was:
        raise ChangedError(path)
    if backup is not None and old is not None:
        _keep(path, old, backup)
    write_atomic(path, data, mode=mode, like=None if old is None else path)


def _keep(path: Path, content: bytes, backup: Path) -> None:
    if backup.exists():
        if backup.read_bytes() == content:
            return
        names = (backup.with_name(f"{backup.name}.~{number}~") for number in itertools.count(1))
        backup.rename(next(name for name in names if not name.exists()))
    copy_whole(path, backup)


def take_away(path: Path, was: str) -> None:
    """Remove a file whose content has the SHA-256 `was`, as hex; ChangedError for another."""
    if path.exists() and _digest(path.read_bytes()) != was:
        raise ChangedError(path)
    remove(path)


def _digest(content: bytes) -> str:
    import hashlib  # and with it OpenSSL, 5 MiB that the agent does without

    return hashlib.sha256(content).hexdigest()


def copy_whole(path: Path, copy: Path) -> None:
    """A copy with the same mode, owner and times: not there at all, or whole."""
    import shutil  # and with it every kind of compression

    part = copy.with_name(f".{copy.name}.{os.getpid()}")
    os.close(_open_part(part))
    shutil.copy2(path, part)
    owner = path.stat()
    os.chown(part, owner.st_uid, owner.st_gid)
    sync_file(part)
    part.replace(copy)
    sync_directory(copy.parent)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_whole(path: Path) -> None:
    """Have a file on the disk, and its name."""
    sync_file(path)
    sync_directory(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename, for good; fine if it has been done. OSError if both are there, or neither."""
    if source.exists() or not target.exists():
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
    sync_directory(target.parent)


def move_back(aside: Path, path: Path) -> Path | None:
    """Give what was moved aside its name again; the name that what is there by now gets for that.

    Nothing is done if there is nothing aside.
    """
    spare = None
    if not aside.exists():
        return spare
    if path.exists():
        names = (aside.with_name(f"{aside.name}.new-{number}") for number in itertools.count(1))
        spare = next(name for name in names if not name.exists())
        path.rename(spare)
    aside.rename(path)
    sync_directory(path.parent)
    return spare


def remove(path: Path) -> None:
    """Remove a file for good; fine if it is not there."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str, *, limit: int) -> None:
    """Append one line, on disk when this returns; over `limit` bytes the file becomes PATH.1.

    A power cut can leave the last line torn. The next one then begins on a line of its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_name(path.name + ".1"))
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = (("\n" if torn else "") + line + "\n").encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if size == 0:
        sync_directory(path.parent)


def read_own(path: Path, errors: str = "strict") -> str:
    """The text of a file that dmguard itself wrote.

    That it was read is not noted: where that cannot be written, who reads would wait for it
    (Linux, fs/inode.c: touch_atime).
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        descriptor = os.open(path, flags)  # somebody else's, as in a copy of a host's files
    with os.fdopen(descriptor, encoding="utf-8", errors=errors) as file:
        return file.read()


def read_text(path: str) -> str | None:
    """A file's text with its line ends as they are; None if there is none to be read."""
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read(_LARGEST)
    except (OSError, ValueError):  # a NUL is in no name
        return None


def read_lines(path: Path) -> list[str]:
    """The lines of PATH.1 and then PATH; a file that is not there has none."""
    lines: list[str] = []
    for part in (path.with_name(path.name + ".1"), path):
        try:
            text = read_own(part, errors="replace")
        except FileNotFoundError:
            continue
        # Not splitlines(): it also splits at U+2028 and the like, which a line may hold.
        lines += text.removesuffix("\n").split("\n") if text else []
    return lines


class Lock:
    """An flock on a file that stays empty, shared by the agent and the commands.

    Handed to a child as its standard input the lock outlives us until the child ends, because
    both hold one open file description; LVM closes every other descriptor that it inherits.
    Hence it is released by closing alone: LOCK_UN would free the child's as well.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def acquire(cls, path: Path) -> Lock:
        """Take the lock, or BusyError at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise BusyError(path) from None
            raise
        return cls(descriptor, path)

    def retake(self) -> None:
        """Take it once more after release(), or BusyError at once."""
        if self.descriptor < 0:
            self.descriptor = Lock.acquire(self.path).descriptor

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
