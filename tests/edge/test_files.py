"""edge/files: whole files, whole lines, and one writer."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmguard.edge import files

if TYPE_CHECKING:
    from collections.abc import Iterator


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_is_replaced_whole_with_its_mode_and_no_part_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    files.write_atomic(path, b"old")
    files.write_atomic(path, b"new one", mode=0o644, sync=False)
    assert path.read_bytes() == b"new one"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["state.json"]


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "intent", b"x")
    assert (tmp_path / "intent").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("function", ["fsync", "write"])
def test_a_write_that_fails_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "state.json"
    files.write_atomic(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if function == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state.json"]


@pytest.fixture
def narrow() -> Iterator[None]:
    """The umask of dmguard's own service."""
    old = os.umask(0o077)
    yield
    os.umask(old)


READABLE_BY_USER_1 = bytes.fromhex(
    "02000000 01000600ffffffff 0200040001000000 04000000ffffffff 10000400ffffffff 20000000ffffffff"
)
ACL = "system.posix_acl_access"


@pytest.mark.usefixtures("narrow")
def test_a_file_that_is_put_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    files.put(tmp_path / "new", "text", "")
    files.put(tmp_path / "secret", "text", "", mode=0o600)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("narrow")
def test_a_file_that_is_replaced_keeps_who_may_read_it(tmp_path: Path) -> None:
    path, backup = tmp_path / "daemon.json", tmp_path / "daemon.json.before"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1, 2)
    os.setxattr(path, ACL, READABLE_BY_USER_1)
    files.put(path, "new", hashlib.sha256(b"old").hexdigest(), backup=backup)
    assert (path.read_text(), backup.read_text()) == ("new", "old")
    for file in (path, backup):
        found = file.stat()
        assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, 1, 2)
        assert os.getxattr(file, ACL) == READABLE_BY_USER_1


def test_what_a_file_system_does_not_keep_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("old")
    os.setxattr(path, ACL, READABLE_BY_USER_1)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no")

    monkeypatch.setattr(os, "setxattr", refuse)
    files.put(path, "new", hashlib.sha256(b"old").hexdigest())
    assert path.read_text() == "new"


def test_nobody_else_can_read_a_file_before_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    fchown = os.fchown

    def note(descriptor: int, uid: int, gid: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        fchown(descriptor, uid, gid)

    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    monkeypatch.setattr(os, "fchown", note)
    files.put(path, "new", hashlib.sha256(b"old").hexdigest(), mode=0o644)
    assert modes == [0o600]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_reader_who_has_the_file_open_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    files.write_atomic(path, b"old")
    with path.open("rb") as reader:
        files.write_atomic(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_the_data_is_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "intent", []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append((target != tmp_path, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.write_atomic(path, b"x")
    assert steps == [(True, False), (False, True)]


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    files.remove(tmp_path / "no" / "such")
    files.write_atomic(tmp_path / "intent", b"x")
    files.remove(tmp_path / "intent")
    assert names(tmp_path) == []


def test_lines_are_appended_and_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lib" / "history.jsonl"
    for line in ("one", "zwö", "three"):
        files.append_line(path, line, limit=1000)
    assert files.read_lines(path) == ["one", "zwö", "three"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_after_a_torn_one_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": ')
    files.append_line(path, '{"c": 3}', limit=1000)
    files.append_line(path, '{"d": 4}', limit=1000)
    assert path.read_bytes() == b'{"a": 1}\n{"b": \n{"c": 3}\n{"d": 4}\n'


def test_a_torn_character_hides_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"one\nzw\xc3")
    files.append_line(path, "three", limit=1000)
    lines = files.read_lines(path)
    assert (lines[0], lines[2]) == ("one", "three")


def test_a_file_over_its_limit_is_kept_once_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for number in range(12):
        files.append_line(path, f"line {number:03}", limit=30)
    assert names(tmp_path) == ["history.jsonl", "history.jsonl.1"]
    assert files.read_lines(path) == [f"line {number:03}" for number in range(4, 12)]


def test_what_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert files.read_lines(tmp_path / "history.jsonl") == []


def test_that_an_own_file_was_read_is_not_noted(tmp_path: Path) -> None:
    """It would be at the first time after a write, wherever files are mounted with relatime."""
    path = tmp_path / "one"
    path.write_text("zwö\n")
    os.utime(path, (0, path.stat().st_mtime))
    assert files.read_own(path) == "zwö\n"
    assert path.stat().st_atime == 0
    assert path.read_text() == "zwö\n"
    is_noted = not os.statvfs(path).f_flag & os.ST_NOATIME
    assert (path.stat().st_atime > 0) == is_noted


def test_a_held_lock_is_busy_at_once_and_free_after_its_release(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    with files.Lock.acquire(path) as lock:
        with pytest.raises(files.BusyError, match="held by another") as caught:
            files.Lock.acquire(path)
        assert caught.value.path == lock.path == path
    files.Lock.acquire(path).release()


def test_a_busy_lock_leaks_no_descriptor(tmp_path: Path) -> None:
    with files.Lock.acquire(tmp_path / "lock"):
        before = os.listdir("/proc/self/fd")  # noqa: PTH208 - the descriptors, by name
        for _ in range(3):
            with pytest.raises(files.BusyError):
                files.Lock.acquire(tmp_path / "lock")
        assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def test_a_lock_is_seen_by_other_processes(tmp_path: Path) -> None:
    argv = ["flock", "--nonblock", str(tmp_path / "lock"), "true"]
    with files.Lock.acquire(tmp_path / "lock"):
        assert subprocess.run(argv, check=False).returncode == 1
    assert subprocess.run(argv, check=False).returncode == 0


def test_a_lock_file_stays_empty_and_in_place(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        lock = files.Lock.acquire(path)
        lock.release()
        lock.release()  # twice is once
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_copy_of_an_earlier_time_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path, backup = tmp_path / "daemon.json", tmp_path / "daemon.json.before"

    def put(old: str, new: str) -> None:
        path.write_text(old)
        files.put(path, new, hashlib.sha256(old.encode()).hexdigest(), backup=backup)

    for old, new in (("1", "2"), ("3", "4"), ("5", "6"), ("5", "7")):
        put(old, new)
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    name = backup.name
    assert kept == {path.name: "7", f"{name}.~1~": "1", f"{name}.~2~": "3", name: "5"}


def test_a_link_to_itself_is_an_error_like_any_other(tmp_path: Path) -> None:
    """An answer of the file system, which a step has to take for one that failed."""
    path = tmp_path / "daemon.json"
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        files.put(path, "new", "")
    assert path.is_symlink()
