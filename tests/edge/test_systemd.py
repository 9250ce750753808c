"""edge/systemd: the service manager hears us, and the journal never holds us up."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from dmguard.edge import systemd
from dmguard.edge.systemd import JournalHandler, JournalWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOUND_S = 10.0


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(BOUND_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def test_a_notification_arrives_as_one_message(manager: socket.socket) -> None:
    assert systemd.notify(READY="1", STATUS="guarding")
    assert manager.recv(4096) == b"READY=1\nSTATUS=guarding"


def test_a_reload_carries_the_time_that_systemd_wants(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert systemd.notify_reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, usec = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_without_a_service_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert systemd.notify(READY="1") is False


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert systemd.notify(WATCHDOG="1") is False


@pytest.mark.parametrize(
    ("pid", "usec", "expected"),
    [
        (None, "30000000", 30.0),
        ("own", "1500000", 1.5),
        ("1", "30000000", None),
        (None, None, None),
        (None, "0", None),
        (None, "soon", None),
        ("own", "-5", None),
    ],
)
def test_the_watchdogs_period_is_for_this_process_alone(
    monkeypatch: pytest.MonkeyPatch, pid: str | None, usec: str | None, expected: float | None
) -> None:
    for name, value in (("WATCHDOG_PID", pid), ("WATCHDOG_USEC", usec)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value.replace("own", str(os.getpid())))
    assert systemd.watchdog_s() == expected


class Journal:
    """Stands in for write_entry: keeps what it gets, and can stand still as journald can."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[tuple[str, dict[str, str]]] = []
        self.fails = False
        self.entered = threading.Event()
        self.flowing = threading.Event()
        self.flowing.set()
        monkeypatch.setattr("dmguard.edge.systemd.write_entry", self.write)

    def write(self, message: str, fields: dict[str, str]) -> None:
        self.entered.set()
        assert self.flowing.wait(3 * BOUND_S)
        if self.fails:
            raise OSError(105, "No buffer space available")
        self.written.append((message, fields))

    @property
    def messages(self) -> list[str]:
        return [message for message, _ in self.written]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    journal = Journal(monkeypatch)
    yield journal
    journal.flowing.set()


def test_entries_are_written_in_their_order_with_their_fields(journal: Journal) -> None:
    writer = JournalWriter()
    for number in range(20):
        writer.send(f"m{number}", PRIORITY="6", DMGUARD_POOL="vg/pool")
    writer.close()
    assert journal.messages == [f"m{number}" for number in range(20)]
    assert journal.written[0][1] == {"PRIORITY": "6", "DMGUARD_POOL": "vg/pool"}
    assert writer.dropped == 0


def test_sending_never_waits_for_a_journal_that_stands_still(journal: Journal) -> None:
    journal.flowing.clear()
    writer = JournalWriter()
    writer.send("stuck")
    assert journal.entered.wait(BOUND_S)
    done = threading.Event()

    def send_many() -> None:
        for number in range(1500):
            writer.send(f"m{number}")
        done.set()

    threading.Thread(target=send_many, daemon=True).start()
    assert done.wait(BOUND_S)
    assert journal.written == []
    assert writer.dropped == 500
    journal.flowing.set()
    writer.close(BOUND_S)
    assert journal.messages == ["stuck", *[f"m{number}" for number in range(500, 1500)]]


def test_it_is_told_when_an_entry_is_written_or_dropped(journal: Journal) -> None:
    journal.flowing.clear()
    writer = JournalWriter()
    stuck = writer.send("stuck")
    assert journal.entered.wait(BOUND_S)
    sent = [writer.send(f"m{number}") for number in range(1001)]
    sent[0].result(BOUND_S)  # dropped
    assert not any(future.done() for future in (stuck, *sent[1:]))
    journal.flowing.set()
    assert stuck.result(BOUND_S) is None
    assert sent[-1].result(BOUND_S) is None
    assert journal.messages[-1] == "m1000"
    journal.fails = True
    assert writer.send("refused").result(BOUND_S) is None
    writer.close(BOUND_S)
    assert writer.dropped == 2


def test_closing_writes_what_is_queued(journal: Journal) -> None:
    journal.flowing.clear()
    writer = JournalWriter()
    writer.send("one")
    assert journal.entered.wait(BOUND_S)
    writer.send("two")
    journal.flowing.set()
    writer.close(BOUND_S)
    assert journal.messages == ["one", "two"]


def test_closing_waits_for_no_journal_that_stands_still(journal: Journal) -> None:
    journal.flowing.clear()
    writer = JournalWriter()
    writer.send("stuck")
    assert journal.entered.wait(BOUND_S)
    began = time.monotonic()
    writer.close(0.05)
    assert time.monotonic() - began < BOUND_S / 2
    assert journal.written == []


def test_an_idle_writer_ends_at_once(journal: Journal) -> None:
    writer = JournalWriter()
    writer.close(BOUND_S)
    assert journal.written == []
    assert not writer._thread.is_alive()


def test_what_the_journal_refuses_is_counted_and_ends_nothing(journal: Journal) -> None:
    journal.fails = True
    writer = JournalWriter()
    writer.send("refused")
    writer.send("refused, too")
    writer.close(BOUND_S)
    assert writer.dropped == 2
    assert journal.written == []


def test_the_thread_does_not_keep_the_process_alive(journal: Journal) -> None:
    writer = JournalWriter()
    assert writer._thread.daemon
    writer.close(BOUND_S)
    assert journal.messages == []


def test_without_a_journal_entries_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(systemd, "JOURNAL_SOCKET", tmp_path / "socket")
    systemd.write_entry("hello", {"PRIORITY": "6"})
    assert capsys.readouterr().err == "hello\n"


def test_a_command_from_a_terminal_writes_to_the_journal_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("JOURNAL_STREAM", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr("dmguard.edge.systemd.journal.sendv", lambda *told: sent.append(told))
    (tmp_path / "socket").touch()
    monkeypatch.setattr(systemd, "JOURNAL_SOCKET", tmp_path / "socket")
    systemd.write_entry("hello", {"DMGUARD_VG": "vg"})
    assert capsys.readouterr().err == ""
    assert sent == [("MESSAGE=hello", "SYSLOG_IDENTIFIER=dmguard", "DMGUARD_VG=vg")]


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, "3"),
        (logging.ERROR, "3"),
        (logging.WARNING, "4"),
        (logging.INFO, "6"),
        (logging.DEBUG, "7"),
    ],
)
def test_log_records_go_the_same_way_with_their_priority(
    journal: Journal, level: int, priority: str
) -> None:
    writer = JournalWriter()
    record = logging.LogRecord("dmguard.x", level, "", 0, "%s is %d", ("it", 3), None)
    JournalHandler(writer).handle(record)
    writer.close(BOUND_S)
    assert journal.written == [("it is 3", {"PRIORITY": priority, "LOGGER": "dmguard.x"})]


def fail() -> None:
    try:
        int("x")
    except ValueError as error:
        raise OSError("then") from error


def test_an_error_is_logged_with_its_places_but_without_a_look_at_the_source(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be on a disk that does not answer."""
    looks: list[object] = []
    for name in ("checkcache", "updatecache"):
        monkeypatch.setattr(f"linecache.{name}", lambda *about: looks.append(about))
    writer = JournalWriter()
    try:
        fail()
    except OSError as error:
        told = (OSError, error, error.__traceback__)
        record = logging.LogRecord("dmguard.x", logging.ERROR, "", 0, "a look failed", (), told)
        JournalHandler(writer).handle(record)
    writer.close(BOUND_S)
    assert looks == []
    (message,) = journal.messages
    said, *lines = message.splitlines()
    assert said == "a look failed"
    here = "test_an_error_is_logged_with_its_places_but_without_a_look_at_the_source"
    assert [line.rpartition(" in ")[2] for line in lines] == [
        "fail",
        "ValueError: invalid literal for int() with base 10: 'x'",
        here,
        "fail",
        "OSError: then",
    ]
    assert lines[0].startswith(f"{__file__}:")
