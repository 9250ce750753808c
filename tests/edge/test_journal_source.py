"""edge/sources/journal, teller and JournalTail, against a journald of our own in a namespace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from dmguard.core.hints import MATCHES
from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge import systemd
from dmguard.edge.run import Runner
from dmguard.edge.sources import journal as source
from dmguard.edge.sources import teller
from dmguard.edge.sources.journal import LOST, MANY, JournalEvents
from dmguard.edge.systemd import JournalLostError, JournalTail
from tests.edge.conftest import children, run, until
from tests.edge.house import unshare_mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOUND_S = 10.0

# The kernel's log is a FIFO: what is read from it is the kernel's to journald, and none of the
# real one's lines come between.
HOUSE = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal /run/lone
mkfifo /run/lone/kmsg
mount --bind /run/lone/kmsg /dev/kmsg
# A machine has a number of its own, which a bare tree has not yet.
cp -a /etc /run/lone/etc
rm -rf /run/lone/etc/machine-id /run/lone/etc/systemd
mkdir /run/lone/etc/systemd
echo 0123456789abcdef0123456789abcdef > /run/lone/etc/machine-id
printf '[Journal]\\nStorage=auto\\nRateLimitBurst=0\\n' > /run/lone/etc/systemd/journald.conf
mount --bind /run/lone/etc /etc
mount -t tmpfs tmpfs /var/log
exec 3<>/dev/kmsg
exec /lib/systemd/systemd-journald
"""

# Says its lines under a name of its own, and lives on: journald asks /proc who it was.
SPEAKER = """
import ctypes, json, os, socket, sys
comm, uid, path = sys.argv[1:]
channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
channel.connect(path)
if uid != "0":
    os.setuid(int(uid))
ctypes.CDLL(None).prctl(15, comm.encode(), 0, 0, 0)
print("ready", flush=True)
for line in sys.stdin:
    for fields in json.loads(line):
        parts = []
        for name, value in fields:
            raw = value.encode("latin-1")
            parts += [name.encode(), b"\\n", len(raw).to_bytes(8, "little"), raw, b"\\n"]
        channel.send(b"".join(parts))
    print("said", flush=True)
"""


class Speaker:
    """A process with a name and a user, whose words journald files under these."""

    def __init__(self, path: Path, comm: str, uid: int) -> None:
        argv = [sys.executable, "-c", SPEAKER, comm, str(uid), str(path)]
        self._child = subprocess.Popen(argv, stdin=-1, stdout=-1, text=True)
        self._answer("ready")

    def _answer(self, word: str) -> None:
        assert self._child.stdout is not None
        assert self._child.stdout.readline().strip() == word

    def say(self, *messages: str, **fields: str) -> None:
        """One entry each; returns when journald has been sent all of them."""
        self.say_fields(*([("MESSAGE", message), *fields.items()] for message in messages))

    def say_fields(self, *entries: list[tuple[str, str]]) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(entries) + "\n")
        self._child.stdin.flush()
        self._answer("said")

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait(BOUND_S)


class Journald:
    """A real systemd-journald, with directories and a kernel log that nobody else has."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [*unshare_mounts(), "sh", "-c", HOUSE],
            stderr=subprocess.DEVNULL,
        )
        self.root = Path(f"/proc/{self.child.pid}/root")
        self.runtime = self.root / "run/log/journal"
        self.persistent = self.root / "var/log/journal"
        self._speakers: dict[tuple[str, int], Speaker] = {}
        self._kmsg = 0

    def start(self) -> Self:
        """Returns when it has its socket, and has written the first entry of its own."""
        wait_for(lambda: bool(self.files()) and self._socket().is_socket())
        argv = ["journalctl", "--quiet", "--directory", str(self.runtime), "-n1", "-ocat"]
        wait_for(lambda: bool(subprocess.run(argv, capture_output=True, check=False).stdout))
        return self

    def _socket(self) -> Path:
        return self.root / "run/systemd/journal/socket"

    def files(self, directory: Path | None = None) -> set[str]:
        try:
            return {path.name for path in (directory or self.runtime).glob("*/*.journal")}
        except OSError:
            return set()

    def speaker(self, comm: str, uid: int = 0) -> Speaker:
        if (comm, uid) not in self._speakers:
            self._speakers[comm, uid] = Speaker(self._socket(), comm, uid)
        return self._speakers[comm, uid]

    def kernel_says(self, message: str, facility: int = 0) -> None:
        self._kmsg += 1
        record = f"{facility * 8 + 4},{self._kmsg},{time.monotonic_ns() // 1000},-;{message}\n"
        (self.root / "dev/kmsg").write_text(record)

    def rotate(self) -> None:
        """Returns when the file that was written to has another name, and a new one is there."""
        before = self.files()
        self.child.send_signal(signal.SIGUSR2)
        wait_for(lambda: len(self.files()) > len(before) and "system.journal" in self.files())

    def vacuum(self) -> None:
        for path in self.runtime.glob("*/*@*.journal"):
            path.unlink()

    def flush(self) -> None:
        """Move to /var/log/journal, which is there only now."""
        self.persistent.mkdir()
        self.child.send_signal(signal.SIGUSR1)
        wait_for(lambda: bool(self.files(self.persistent)) and not self.files())

    def close(self) -> None:
        for speaker in self._speakers.values():
            speaker.close()
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGCONT)
        self.child.terminate()
        self.child.wait(BOUND_S)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)


@pytest.fixture
def journald() -> Iterator[Journald]:
    made = Journald()
    try:
        yield made.start()
    finally:
        made.close()


def full(pool: str) -> str:
    return f"WARNING: Thin pool {pool} data is now 85.00% full."


def read_until(tail: JournalTail, count: int) -> list[dict[str, str]]:
    """At least so many entries, by waiting for the descriptor as a loop does."""
    entries: list[dict[str, str]] = []
    deadline = time.monotonic() + BOUND_S
    while len(entries) < count:
        readable = select.select([tail], [], [], max(0.0, deadline - time.monotonic()))[0]
        assert readable, f"only {entries}"
        entries += tail.drain()
    return entries


def messages(entries: list[dict[str, str]]) -> list[str]:
    return [entry["MESSAGE"] for entry in entries]


@pytest.fixture
def tail(journald: Journald) -> Iterator[JournalTail]:
    with JournalTail(MATCHES, path=journald.runtime) as made:
        yield made


def test_a_tail_reads_what_comes_and_not_what_was(journald: Journald) -> None:
    dmeventd = journald.speaker("dmeventd")
    with JournalTail(MATCHES, path=journald.runtime) as first:
        dmeventd.say("old 1", "old 2")
        assert messages(read_until(first, 2)) == ["old 1", "old 2"]
    with JournalTail(MATCHES, path=journald.runtime) as second:
        dmeventd.say("new")
        assert messages(read_until(second, 1)) == ["new"]


def test_a_tail_reads_though_nothing_before_matched(journald: Journald, tail: JournalTail) -> None:
    journald.speaker("other").say(full("vg-pool"))
    journald.speaker("dmeventd", 65534).say(full("vg-pool"))
    journald.speaker("dmeventd").say("mine")
    (entry,) = read_until(tail, 1)
    assert (entry["MESSAGE"], entry["_COMM"], entry["_UID"]) == ("mine", "dmeventd", "0")


def test_a_tail_reads_the_kernel_and_no_one_who_poses_as_it(
    journald: Journald, tail: JournalTail
) -> None:
    line = "device-mapper: thin: 254:3: switching pool to read-only mode"
    journald.kernel_says(line, facility=1)
    journald.speaker("dmeventd").say("forged", _TRANSPORT="kernel", SYSLOG_IDENTIFIER="kernel")
    journald.kernel_says(line)
    entries = read_until(tail, 2)
    assert {(entry["MESSAGE"], entry["_TRANSPORT"]) for entry in entries} == {
        ("forged", "journal"),
        (line, "kernel"),
    }


def test_whatever_a_field_holds_it_is_text(journald: Journald, tail: JournalTail) -> None:
    journald.speaker("dmeventd").say_fields(
        [
            ("MESSAGE", "a\xff\nb"),
            ("COREDUMP_TIMESTAMP", "9" * 40),
            ("PRIORITY", "x" * 5000),
            ("MESSAGE_ID", "\x00"),
            ("TWICE", "one"),
            ("TWICE", "two"),
        ]
    )
    (entry,) = read_until(tail, 1)
    assert {type(value) for value in entry.values()} == {str}
    assert entry["MESSAGE"] == "a\N{REPLACEMENT CHARACTER}\nb"
    assert entry["COREDUMP_TIMESTAMP"] == "9" * 40
    assert entry["PRIORITY"] == "x" * 4096
    assert sorted(entry["TWICE"].splitlines()) == ["one", "two"]


def test_a_tail_gives_no_more_than_it_is_asked_for(journald: Journald, tail: JournalTail) -> None:
    said = [f"m{number}" for number in range(10)]
    with JournalTail(MATCHES, path=journald.runtime) as other:
        journald.speaker("dmeventd").say(*said)
        read_until(other, 10)
    assert [messages(tail.drain(4)) for _ in range(4)] == [said[:4], said[4:8], said[8:], []]


def test_a_tail_is_readable_for_what_came_before_anybody_waited(
    journald: Journald, tail: JournalTail
) -> None:
    with JournalTail(MATCHES, path=journald.runtime) as other:
        journald.speaker("dmeventd").say("one")
        read_until(other, 1)
    assert messages(read_until(tail, 1)) == ["one"]


def test_a_drained_tail_is_not_readable(journald: Journald, tail: JournalTail) -> None:
    journald.speaker("dmeventd").say("one")
    read_until(tail, 1)
    tail.drain()
    wakes = 0
    quiet_from = time.monotonic()
    while time.monotonic() - quiet_from < 0.5:
        if select.select([tail], [], [], 0.1)[0]:
            wakes += 1
            assert tail.drain() == []
    assert wakes < 10


def test_without_the_library_there_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "journal", None)
    with pytest.raises(OSError, match="no journal"):
        JournalTail(MATCHES)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        JournalTail(MATCHES, path=tmp_path / "none")


def test_rotations_cost_a_reader_no_entry_and_repeat_none(
    journald: Journald, tail: JournalTail
) -> None:
    said: list[str] = []
    for turn in range(3):
        some = [f"turn {turn}, {number}" for number in range(50)]
        journald.speaker("dmeventd").say(*some)
        said += some
        if turn < 2:
            journald.rotate()
    assert messages(read_until(tail, 150)) == said


def test_the_files_of_a_tail_that_are_gone_are_told(journald: Journald, tail: JournalTail) -> None:
    journald.speaker("dmeventd").say("one")
    read_until(tail, 1)
    journald.rotate()
    journald.vacuum()
    with pytest.raises(JournalLostError):
        read_until(tail, 1)


class Counting(JournalTail):
    """A tail that counts how often it was drained, and when it was opened."""

    opened = 0
    drained = 0

    def __init__(self, journald: Journald) -> None:
        super().__init__(MATCHES, path=journald.runtime)
        Counting.opened += 1

    def drain(self, limit: int = 256) -> list[dict[str, str]]:
        Counting.drained += 1
        return super().drain(limit)


def source_of(open_tail: Callable[[], Any]) -> JournalEvents:
    """The source, whose other process is a thread."""

    async def start(descriptor: int) -> None:
        channel = socket.socket(fileno=os.dup(descriptor))

        def work() -> None:
            with channel:
                teller.tell(channel, open_tail)

        threading.Thread(target=work, daemon=True).start()

    return JournalEvents(start)


class Listening:
    """The source, on a journald of our own, for the time of an `async with`."""

    def __init__(self, journald: Journald) -> None:
        Counting.opened = Counting.drained = 0
        self._source = source_of(lambda: Counting(journald))
        self.wakes: list[Wake] = []

    @property
    def subjects(self) -> list[str | None]:
        return [wake.subject for wake in self.wakes]

    async def hears(self, *subjects: str, since: int = 0) -> None:
        """Until one of them woke, after so many wakes."""
        await until(lambda: not set(subjects).isdisjoint(self.subjects[since:]))

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._source.run(self.wakes.append))
        await until(lambda: Counting.opened == 1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def test_the_source_wakes_for_what_is_new_alone(journald: Journald) -> None:
    async def main() -> list[Wake]:
        journald.speaker("dmeventd").say(full("vg-old"))
        with JournalTail(MATCHES, path=journald.runtime) as before:
            journald.speaker("dmeventd").say("it is all there")
            read_until(before, 1)
        async with Listening(journald) as listening:
            journald.speaker("dmeventd").say("nothing", full("vg-pool-tpool"))
            await until(lambda: bool(listening.wakes))
            journald.kernel_says("device-mapper: thin: 254:3: switching pool to read-only mode")
            await until(lambda: len(listening.wakes) > 1)
        return listening.wakes

    assert run(main()) == [Wake(Trigger.JOURNAL, "vg-pool"), Wake(Trigger.JOURNAL, "254:3")]


def test_words_of_others_wake_nobody(journald: Journald) -> None:
    async def main() -> list[str | None]:
        async with Listening(journald) as listening:
            journald.speaker("logger").say(full("vg-a"), _COMM="dmeventd")
            journald.speaker("dmeventd", 65534).say(full("vg-b"), _UID="0")
            journald.kernel_says("device-mapper: thin: 1:1: switching pool to fail mode", 1)
            journald.speaker("dockerd").say(
                "devicemapper: Non existing device vg-c", CONTAINER_ID="0123456789ab"
            )
            journald.speaker("dmeventd").say(full("vg-last"))
            await until(lambda: bool(listening.wakes))
        return listening.subjects

    assert run(main()) == ["vg-last"]


def test_a_flood_wakes_twice_and_then_once_a_second(journald: Journald) -> None:
    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        async with Listening(journald) as listening:
            began = loop.time()
            journald.speaker("dmeventd").say(*[full("vg-pool")] * 2000)
            journald.speaker("dockerd").say("devicemapper: Non existing device vg-end")
            await listening.hears("vg-end")
            await until(lambda: listening.subjects.count("vg-pool") >= 2)
            return listening.subjects.count("vg-pool"), loop.time() - began

    wakes, seconds = run(main())
    assert 2 <= wakes <= 1 + seconds


def test_a_rotation_is_told_and_what_follows_it_is_read(journald: Journald) -> None:
    async def main() -> tuple[list[str | None], int]:
        async with Listening(journald) as listening:
            journald.speaker("dmeventd").say(full("vg-a"))
            await listening.hears("vg-a")
            for name in ("vg-b", "vg-c"):
                count = len(listening.wakes)
                journald.rotate()
                journald.vacuum()
                await listening.hears(LOST, since=count)
                journald.speaker("dmeventd").say(full(name))
                await listening.hears(name)
        return listening.subjects, Counting.drained

    subjects, drained = run(main())
    assert [subject for subject in subjects if subject != LOST] == ["vg-a", "vg-b", "vg-c"]
    assert 2 <= subjects.count(LOST) <= 4
    assert drained < 50


def test_what_is_said_during_a_rotation_is_covered(journald: Journald) -> None:
    async def main() -> None:
        async with Listening(journald) as listening:
            for turn in range(5):
                count = len(listening.wakes)
                journald.child.send_signal(signal.SIGUSR2)
                journald.speaker("dmeventd").say(full(f"vg-{turn}"))
                await listening.hears(LOST, f"vg-{turn}", since=count)

    run(main())
    assert 0 < Counting.drained < 100


def test_a_journald_that_stands_still_is_only_quiet(journald: Journald) -> None:
    async def main() -> tuple[list[str | None], int]:
        async with Listening(journald) as listening:
            journald.child.send_signal(signal.SIGSTOP)
            journald.speaker("dmeventd").say(full("vg-pool"))
            before = Counting.drained
            await asyncio.sleep(0.5)  # for as long nothing may happen
            assert listening.wakes == []
            woken = Counting.drained - before
            journald.child.send_signal(signal.SIGCONT)
            await until(lambda: bool(listening.wakes))
        return listening.subjects, woken

    subjects, woken = run(main())
    assert subjects == ["vg-pool"]
    assert woken < 10


# The host's journal, by the default way: needs the namespace's own / and so a process in it.
LISTENER = """
import asyncio
from functools import partial
from dmguard.edge.run import Runner
from dmguard.edge.sources import journal, teller

with Runner() as runner:
    source = journal.JournalEvents(partial(runner.keep, teller.COMMAND))
    asyncio.run(source.run(lambda wake: print(wake.subject, flush=True)))
"""


def test_the_hosts_journal_is_followed_from_run_to_var(journald: Journald) -> None:
    async def main() -> list[str]:
        child = await asyncio.create_subprocess_exec(
            *("nsenter", "-t", str(journald.child.pid), "-m", "-r", sys.executable, "-c", LISTENER),
            env={**os.environ, "PYTHONPATH": str(Path(systemd.__file__).parents[2])},
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        lines: list[str] = []

        async def read_to(word: str) -> None:
            assert child.stdout is not None
            while not lines or lines[-1] != word:
                lines.append((await child.stdout.readline()).decode().strip())
                assert lines[-1], f"it ended after {lines}"

        try:
            first = asyncio.create_task(read_to("vg-first"))
            while not first.done():
                journald.speaker("dmeventd").say(full("vg-first"))
                await asyncio.sleep(0.05)
            journald.flush()
            await read_to(LOST)
            journald.speaker("dmeventd").say(full("vg-pool"))
            await read_to("vg-pool")
        finally:
            child.terminate()
            await child.wait()
        return lines

    lines = run(main())
    assert list(dict.fromkeys(lines)) == ["vg-first", LOST, "vg-pool"]


def test_the_agent_itself_maps_no_file_of_a_journal(journald: Journald) -> None:
    """And the process that does is gone with the source."""

    async def main() -> tuple[int, list[str], list[str]]:
        others = set(children())
        with Runner() as runner:
            root = Path(systemd.__file__).parents[2]
            program = TELLER.format(path=journald.runtime, root=root)
            command = (sys.executable, "-c", program)
            task = asyncio.create_task(JournalEvents(partial(runner.keep, command)).run(print))
            await until(lambda: len(set(children()) - others) == 1)
            (pid,) = set(children()) - others
            await until(lambda: bool(mapped(pid)))
            ours = mapped(os.getpid())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            theirs = mapped(pid)
        return pid, ours, theirs

    pid, ours, theirs = run(main())
    assert ours == []
    assert theirs
    assert not Path(f"/proc/{pid}").exists()


TELLER = """
import socket, sys
from pathlib import Path
sys.path.insert(0, "{root}")
from dmguard.core.hints import MATCHES
from dmguard.edge.sources import teller
from dmguard.edge.systemd import JournalTail

channel = socket.socket(fileno=int(sys.argv[-1]))
teller.tell(channel, lambda: JournalTail(MATCHES, path=Path("{path}")))
"""


def mapped(pid: int) -> list[str]:
    """The journal's files that a process has in its memory."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in lines if line.endswith(".journal")]


class Scripted:
    """A tail that is always readable, and answers what it is told to, then nothing."""

    def __init__(self, *answers: list[dict[str, str]] | Exception) -> None:
        self.answers = list(answers)
        self.drains = 0
        self.closed = 0
        self._ours, self._theirs = os.pipe()
        os.write(self._theirs, b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1
        os.close(self._ours)
        os.close(self._theirs)

    def fileno(self) -> int:
        return self._ours

    def drain(self, _limit: int) -> list[dict[str, str]]:
        self.drains += 1
        assert not self.closed
        if not self.answers:
            return []
        if len(self.answers) == 1 and self.drains == 1:
            os.read(self._ours, 1)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def entry(pool: str) -> dict[str, str]:
    return {"_COMM": "dmeventd", "_UID": "0", "MESSAGE": full(pool)}


def events(*tails: Scripted) -> JournalEvents:
    left = list(tails)
    return source_of(lambda: left.pop(0))


def test_a_tail_that_cannot_be_read_ends_it_with_its_error() -> None:
    tail = Scripted([entry("vg-a")], OSError(74, "Bad message"))
    wakes: list[Wake] = []
    with pytest.raises(OSError, match="Bad message"):
        run(events(tail).run(wakes.append))
    assert wakes == [Wake(Trigger.JOURNAL, "vg-a")]
    assert tail.closed == 1


def test_a_tail_that_cannot_be_opened_ends_it_with_its_error() -> None:
    def open_tail() -> JournalTail:
        raise OSError("no journal")

    with pytest.raises(OSError, match="no journal"):
        run(source_of(open_tail).run(lambda _: None))


def test_a_process_that_dies_ends_it_and_one_that_cannot_be_started_does() -> None:
    async def follow(*command: str) -> None:
        with Runner() as runner:
            await JournalEvents(partial(runner.keep, command)).run(print)

    with pytest.raises(OSError, match="the process that reads the journal ended"):
        run(follow(sys.executable, "-c", "pass"))
    with pytest.raises(OSError, match="no-such-program: not found"):
        run(follow("no-such-program"))


def test_a_lost_tail_is_closed_before_it_is_told_and_another_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teller, "_REOPEN_S", 0.01)
    lost, following = Scripted(JournalLostError("gone")), Scripted(OSError(5, "enough"))
    wakes: list[tuple[str | None, int]] = []
    with pytest.raises(OSError, match="enough"):
        run(events(lost, following).run(lambda wake: wakes.append((wake.subject, lost.closed))))
    assert wakes == [(LOST, 1)]
    assert following.closed == 1


def test_a_full_batch_is_followed_by_another_though_the_descriptor_is_silent() -> None:
    many = [{"MESSAGE": "x"}] * 255

    async def main() -> list[str | None]:
        tail = Scripted([*many, entry("vg-a")])
        wakes: list[Wake] = []
        task = asyncio.create_task(events(tail).run(wakes.append))
        await until(lambda: tail.drains >= 2 and bool(wakes))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: tail.closed == 1)
        assert tail.drains == 2
        return [wake.subject for wake in wakes]

    assert run(main()) == ["vg-a"]


def test_a_source_that_is_stopped_reads_no_more() -> None:
    many = [{"MESSAGE": "x"}] * 255

    class Endless(Scripted):
        def drain(self, _limit: int) -> list[dict[str, str]]:
            self.drains += 1
            return [entry("vg-a"), *many]

    async def main() -> Scripted:
        tail = Endless()
        task: asyncio.Task[None]

        def stop(_: Wake) -> None:
            task.cancel()

        task = asyncio.create_task(events(tail).run(stop))
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: tail.closed == 1)
        return tail

    assert run(main()).drains > 0


def test_a_source_that_is_stopped_says_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_WINDOW_S", 0.1)
    wakes: list[Wake] = []
    errors: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        tail = Scripted([entry("vg-a"), entry("vg-a")])
        task = asyncio.create_task(events(tail).run(wakes.append))
        await until(lambda: bool(wakes))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)  # for as long nothing may happen

    run(main())
    assert wakes == [Wake(Trigger.JOURNAL, "vg-a")]
    assert errors == []


def test_many_subjects_share_a_wake_and_come_in_their_order() -> None:
    names = [f"vg-{number}" for number in range(30)]
    tail = Scripted([entry(name) for name in names], OSError(5, "enough"))
    wakes: list[Wake] = []
    with pytest.raises(OSError, match="enough"):
        run(events(tail).run(wakes.append))
    assert [wake.subject for wake in wakes] == [*names[:8], MANY]


def test_what_is_held_is_said_at_the_seconds_end_and_opens_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "_WINDOW_S", 0.2)

    async def main() -> Counter[str | None]:
        wakes: list[Wake] = []
        calm = source._Calm(wakes.append)
        for _ in range(100):
            calm.say("a")
        calm.say("b")
        assert [wake.subject for wake in wakes] == ["a", "b"]
        await until(lambda: len(wakes) == 3)
        calm.say("a")
        assert len(wakes) == 3
        await until(lambda: len(wakes) == 4)
        calm.say("a")
        calm.close()
        await asyncio.sleep(0.3)  # for as long nothing may happen
        return Counter(wake.subject for wake in wakes)

    assert run(main()) == {"a": 3, "b": 1}
