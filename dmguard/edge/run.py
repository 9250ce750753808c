"""The only module that starts processes.

Readers have a deadline and are killed at it. Writers are never killed and never timed out,
whatever is cancelled: LVM blocks signals while it holds a VG's lock, but SIGKILL cannot be
blocked and leaves suspended devices behind. asyncio kills its own children on cancellation and
when the loop closes, so neither kind is an asyncio subprocess.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

_GRACE_S = 2.0
_LIMIT = 64 << 20
_TOLD = 3
"""Lines of a complaint: LVM says the cause before what comes of it."""

_NONE: Mapping[str, str] = MappingProxyType({})

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended: `status` is its exit code, negative for a signal."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def complaint(self) -> str:
        """What it said on stderr at the end, or how it ended: one line for a person."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        if not lines:
            return f"{self.argv[0]} ended with status {self.status}"
        return "; ".join(lines[-_TOLD:])


class RunError(Exception):
    """A process that could not be run to a good end."""


class CommandFailedError(RunError):
    """A reader ended with a status other than 0."""

    def __init__(self, completed: Completed) -> None:
        super().__init__(f"{shlex.join(completed.argv)}: {completed.complaint}")
        self.completed = completed


class CommandTimeoutError(RunError):
    """A reader did not end in time. It has been killed, if that was possible: one that is `stuck`
    in the kernel is still there.
    """

    def __init__(self, argv: Sequence[str], timeout_s: float, *, stuck: bool = False) -> None:
        super().__init__(f"{shlex.join(argv)}: no answer within {timeout_s:g} s")
        self.stuck = stuck


class CommandMissingError(RunError):
    """There is no such program."""

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__(f"{argv[0]}: not found in {SEARCH_PATH}")


@dataclass(frozen=True, slots=True)
class Started:
    """One line of the flight recorder; entered before the command starts, so a hang is seen."""

    argv: tuple[str, ...]
    at: float


class Kept:
    """A process that stays, and ends by itself when its channel is closed."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child

    @property
    def alive(self) -> bool:
        return self._child.poll() is None


class Runner:
    """Starts processes in threads of its own: readers side by side, writers one at a time.

    Readers that look at a disk, which may hang, are `aside`: one at a time, and none of them in
    the way of LVM's reports.
    """

    def __init__(self, path: str = SEARCH_PATH) -> None:
        self._environment = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/"}
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._recent: deque[Started] = deque(maxlen=20)
        self._writing = 0
        self._at: tuple[str, float] | None = None
        self._stuck: list[tuple[tuple[str, ...], subprocess.Popen[bytes]]] = []
        self._keeper = ThreadPoolExecutor(2, thread_name_prefix="keeper")
        self._keeping: list[Future[subprocess.Popen[bytes]]] = []
        self._kept: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for a writer to its end; not for a reader that outlived its kill, nor long for what
        was kept.
        """
        self._writer.shutdown(wait=True)
        for threads in (self._readers, self._aside, self._keeper):
            threads.shutdown(wait=False, cancel_futures=True)
        wait(self._keeping, timeout=_GRACE_S)
        for child in self._kept:
            # One that LVM keeps in the kernel goes on by itself.
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S)

    @property
    def writing(self) -> bool:
        """Does a writer run, or wait for its turn?"""
        return self._writing > 0

    @property
    def writing_for(self) -> tuple[str, float] | None:
        """What the writer whose turn it is does, and for how many seconds by now."""
        at = self._at
        return None if at is None else (at[0], time.monotonic() - at[1])

    @property
    def recent(self) -> tuple[Started, ...]:
        return tuple(self._recent)

    async def read(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 20.0,
        check: bool = True,
        aside: bool = False,
        variables: Mapping[str, str] = _NONE,
    ) -> Completed:
        """Run a command that changes nothing. RunError when it fails, hangs or is not there.

        `variables` are added to its environment.
        """
        loop = asyncio.get_running_loop()
        readers = self._aside if aside else self._readers
        work = partial(self._read, tuple(argv), timeout_s, variables)
        completed = await loop.run_in_executor(readers, work)
        if check and completed.status != 0:
            raise CommandFailedError(completed)
        return completed

    async def change(self, argv: Sequence[str], *, stdin: int | None = None) -> Completed:
        """Run a command that changes something, to its end even if the caller is cancelled.

        `stdin` is a descriptor that the child holds until it ends: an empty lock file there keeps
        the lock for as long as the command lives, and answers every prompt with 'no'.
        """
        # A descriptor of its own: the caller may be cancelled, and close its, before the writer
        # has its turn. The number would then be free, or by that time another file's.
        held = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin)
        self._writing += 1
        loop = asyncio.get_running_loop()
        work = partial(self._change, tuple(argv), held)
        future = loop.run_in_executor(self._writer, self._timed, shlex.join(argv), work)
        future.add_done_callback(self._written)
        return await asyncio.shield(future)

    async def work(self, words: str, change: Callable[[], T]) -> T:
        """The same for a change that needs no process: it runs in turn with the writers."""
        self._writing += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._writer, self._timed, words, change)
        future.add_done_callback(self._written)
        return await asyncio.shield(future)

    async def keep(self, argv: Sequence[str], channel: int) -> Kept:
        """Start a process that stays, and that is told the number of a descriptor as last word.

        In threads of its own: a program on a disk that does not answer never begins, and nobody
        else is to wait for that. Its complaints go where the agent's go. RunError if there is no
        such program.
        """
        held = os.dup(channel)  # as in change()
        future = self._keeper.submit(self._keep, tuple(argv), held)
        self._keeping = [future, *(one for one in self._keeping if not one.done())]
        try:
            return Kept(await asyncio.shield(asyncio.wrap_future(future)))
        except asyncio.CancelledError:
            if future.cancel():
                os.close(held)
            raise

    def _keep(self, argv: tuple[str, ...], channel: int) -> subprocess.Popen[bytes]:
        nothing = subprocess.DEVNULL
        command = (*argv, str(channel))
        try:
            child = self._spawn(command, nothing, stdout=nothing, stderr=None, pass_fds=(channel,))
        finally:
            os.close(channel)
        self._kept = [child, *(one for one in self._kept if one.poll() is None)]
        return child

    def _timed(self, words: str, change: Callable[[], T]) -> T:
        self._at = (words, time.monotonic())
        try:
            return change()
        finally:
            self._at = None

    def _written(self, future: asyncio.Future[Any]) -> None:
        self._writing -= 1
        if not future.cancelled():
            future.exception()  # seen: a cancelled caller is not there to look

    def _spawn(
        self,
        argv: tuple[str, ...],
        stdin: int,
        variables: Mapping[str, str] = _NONE,
        *,
        stdout: int = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        self._recent.append(Started(argv, time.time()))
        try:
            return subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                env={**self._environment, **variables},
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl-C is not for LVM
            )
        except FileNotFoundError as error:
            raise CommandMissingError(argv) from error

    def _read(
        self, argv: tuple[str, ...], timeout_s: float, variables: Mapping[str, str]
    ) -> Completed:
        began = time.monotonic()
        self._stuck = [stuck for stuck in self._stuck if stuck[1].poll() is None]
        if any(words == argv for words, _ in self._stuck):
            # It hangs on a dead disk and cannot be killed. Another would hang beside it.
            raise CommandTimeoutError(argv, timeout_s, stuck=True)
        child = self._spawn(argv, subprocess.DEVNULL, variables)
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _put_down(child)
            stuck = child.poll() is None
            if stuck:
                self._stuck.append((argv, child))
            raise CommandTimeoutError(argv, timeout_s, stuck=stuck) from None
        return _completed(argv, child, out, err, began)

    def _change(self, argv: tuple[str, ...], stdin: int) -> Completed:
        began = time.monotonic()
        try:
            child = self._spawn(argv, stdin)
        finally:
            os.close(stdin)
        out, err = child.communicate()
        return _completed(argv, child, out, err, began)


def _put_down(child: subprocess.Popen[bytes]) -> None:
    """Terminate, then kill, it and what it started. One in uninterruptible sleep outlives both."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)  # a session, and so a group, of its own
        try:
            child.communicate(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        return
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=_GRACE_S)


def _completed(
    argv: tuple[str, ...], child: subprocess.Popen[bytes], out: bytes, err: bytes, began: float
) -> Completed:
    return Completed(
        argv,
        child.returncode,
        out[:_LIMIT].decode(errors="replace"),
        err[:_LIMIT].decode(errors="replace"),
        time.monotonic() - began,
    )
