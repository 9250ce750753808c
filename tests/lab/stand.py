"""A place with a kernel to try things on: a machine of the lab, or this very host."""

from __future__ import annotations

import json
import shlex
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from tests.lab.channel import CommandFailed, CommandTimeout

if TYPE_CHECKING:
    from tests.lab.channel import Result
    from tests.lab.machine import Disk


class Command(Protocol):
    """A command under way."""

    cmd: str
    raw_out: bytes

    def wait(self, timeout: float = 60) -> Result:
        """Wait for its end; it goes on running after a timeout."""

    def kill(self) -> None:
        """SIGKILL its session."""


class Stand(ABC):
    """What can be done there, by shell commands and with disks."""

    @abstractmethod
    def start(self, cmd: str, stdin: bytes = b"") -> Command:
        """Start a shell command and return at once."""

    @abstractmethod
    def add_disk(self, size: int) -> Disk:
        """Give it another empty disk of so many bytes, hot if it is on."""

    @abstractmethod
    def unplug(self, disk: Disk) -> None:
        """Pull a disk out, in use or not."""

    @abstractmethod
    def replug(self, disk: Disk) -> None:
        """Put a disk (back) in and wait for its node."""

    def run(self, cmd: str, timeout: float = 60, *, check: bool = True, stdin: str = "") -> Result:
        """Run a shell command; a status other than 0 is an error unless check is off."""
        running = self.start(cmd, stdin.encode())
        try:
            result = running.wait(timeout)
        except CommandTimeout:
            running.kill()
            raise
        if check and result.status != 0:
            raise CommandFailed(
                f"{running.cmd!r}: exit status {result.status}\n"
                f"{result.out[-3000:]}{result.err[-3000:]}"
            )
        return result

    def wait_until(self, cmd: str, timeout: float = 30, interval: float = 0.3) -> None:
        """Repeat a command until it exits with 0."""
        deadline = time.monotonic() + timeout
        while (last := self.run(cmd, check=False)).status != 0:
            if time.monotonic() > deadline:
                raise CommandTimeout(f"{cmd!r} not true within {timeout:g} s: {last}")
            time.sleep(interval)

    def put(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file there, with its folders; it survives a power cut."""
        data = content.encode() if isinstance(content, str) else content
        name = shlex.quote(path)
        cmd = f"mkdir -p $(dirname {name}) && cat >{name} && chmod {mode:o} {name} && sync {name}"
        result = self.start(cmd, data).wait(120)
        if result.status != 0:
            raise CommandFailed(f"put {path}: {result.err}")

    def get(self, path: str) -> bytes:
        """Read a file of it."""
        running = self.start(f"cat {shlex.quote(path)}")
        result = running.wait(120)
        if result.status != 0:
            raise CommandFailed(f"get {path}: {result.err}")
        return running.raw_out

    def journal(self, *args: str) -> list[dict[str, Any]]:
        """Return journal entries as journalctl prints them in JSON."""
        cmd = shlex.join(["journalctl", "-o", "json", "--all", "--no-pager", *args])
        return [json.loads(line) for line in self.run(cmd).out.splitlines() if line]
