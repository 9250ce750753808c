"""The command channel into a machine: JSON lines over a socket, many commands at once.

The line carries short messages only: user-mode Linux stalls a serial line for good once it is
filled faster than it is read. So one request waits for the receipt of the one before, and long
commands, input and long output pass by files of a folder that both sides see.
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


INLINE = 1000
RECEIPT_S = 60


class LabError(Exception):
    """The lab, not the thing under test, is what failed."""


class MachineDied(LabError):  # noqa: N818 - it reads as what happened
    """The machine is gone, and with it the commands that ran on it."""


class CommandFailed(LabError):  # noqa: N818
    """A command that had to succeed did not."""


class CommandTimeout(LabError):  # noqa: N818
    """A command did not end in time."""


@dataclass(frozen=True)
class Result:
    """What a finished command left: status is negative for a signal."""

    status: int
    out: str
    err: str


class Running:
    """A command under way on a machine."""

    def __init__(self, channel: Channel, number: int, cmd: str) -> None:
        self.cmd = cmd
        self.raw_out = b""
        self._channel = channel
        self._number = number
        self._done = threading.Event()
        self._result: Result | None = None
        self._lost: str | None = None

    def finish(self, answer: dict[str, Any]) -> None:
        """Take the guest's answer."""
        self.raw_out = self._text(answer, "out")
        err = self._text(answer, "err").decode(errors="replace")
        self._result = Result(answer["status"], self.raw_out.decode(errors="replace"), err)
        self._done.set()

    def _text(self, answer: dict[str, Any], name: str) -> bytes:
        if answer[name] is not None:
            return base64.b64decode(answer[name])
        big = self._channel.share / f"{name}-{self._number}"
        data = big.read_bytes()
        big.unlink()
        return data

    def lose(self, why: str) -> None:
        """Note that no answer will come."""
        self._lost = why
        self._done.set()

    def poll(self) -> Result | None:
        """Return the result if the command has ended."""
        if self._lost is not None:
            raise MachineDied(f"{self.cmd!r} was lost: {self._lost}")
        return self._result

    def wait(self, timeout: float = 60) -> Result:
        """Wait for the end of the command; it goes on running after a timeout."""
        self._done.wait(timeout)
        result = self.poll()
        if result is None:
            raise CommandTimeout(f"{self.cmd!r} has not ended after {timeout:g} s")
        return result

    def kill(self) -> None:
        """SIGKILL the command's session on the guest."""
        self._channel.send({"kill": self._number})


class Channel:
    """One end of the line to the agent of a booted machine."""

    def __init__(self, line: socket.socket, share: Path, obituary: Callable[[], str]) -> None:
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.share = share
        self._line = line
        self._obituary = obituary
        self._numbers = itertools.count(1)
        self._pending: dict[int, Running] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._received = threading.Event()
        threading.Thread(target=self._read, name="lab-channel", daemon=True).start()

    def start(self, cmd: str, stdin: bytes = b"") -> Running:
        """Start a command in a shell of its own."""
        number = next(self._numbers)
        running = Running(self, number, cmd if len(cmd) < 300 else cmd[:300] + "...")
        with self._lock:
            self._pending[number] = running
        ask: dict[str, Any] = {"id": number, "cmd": cmd}
        if len(cmd) > INLINE:
            (self.share / f"cmd-{number}").write_text(cmd)
            ask["cmd"] = None
        if stdin:
            (self.share / f"in-{number}").write_bytes(stdin)
            ask["stdin"] = True
        self.send(ask)
        return running

    def send(self, message: dict[str, Any]) -> None:
        """Write one request line."""
        if self.gone.is_set():
            self._lose_all(self._obituary())
            return
        try:
            with self._writing:
                self._received.clear()
                self._line.sendall(json.dumps(message).encode() + b"\n")
                if not self._received.wait(RECEIPT_S) and not self.gone.is_set():
                    raise LabError(f"no receipt after {RECEIPT_S} s: {self._obituary()}")
        except OSError:
            self._lose_all(self._obituary())

    def close(self) -> None:
        """Hang up; whatever is still pending is lost."""
        self.gone.set()
        self._line.close()
        self._lose_all("the machine was switched off")

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := self._line.recv(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line)
        except OSError:
            pass
        self.gone.set()
        self.ready.set()
        self._received.set()
        self._lose_all(self._obituary())

    def _take(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            return
        if "hello" in answer:
            self._lose_all("the guest agent was started anew")
            self._received.set()
            self.ready.set()
            return
        if "received" in answer:
            self._received.set()
            return
        with self._lock:
            running = self._pending.pop(answer.get("id"), None)
        if running is not None:
            running.finish(answer)

    def _lose_all(self, why: str) -> None:
        with self._lock:
            lost = list(self._pending.values())
            self._pending.clear()
        for running in lost:
            running.lose(why)
