"""A writer on a machine, whose acknowledged writes are known outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vm.kit import assert_reads_back, writing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.channel import Running
    from tests.lab.machine import Machine

TOLD = "/run/lab/acknowledged"
"""A file of this host: what is written to it stays when the machine goes."""


class Writer:
    """Numbered MiBs of known content to a device, each synced; how many were, and so must stay."""

    def __init__(self, m: Machine, device: str, pause_s: float = 0) -> None:
        self.m, self.device, self.pause_s = m, device, pause_s
        self.acknowledged = self.first = 0
        self.running: Running | None = None

    @property
    def file(self) -> Path:
        """What it tells, as this host has it."""
        return self.m.workdir / "share" / TOLD.rpartition("/")[2]

    def command(self, upto: int) -> str:
        """Writes the MiBs behind the acknowledged ones, and tells of each."""
        self.first = self.acknowledged
        count = max(upto - self.first, 0)
        return f"{writing(self.m, self.device, self.first, count, self.pause_s)} > {TOLD}"

    def start(self, upto: int, before: str = "true") -> None:
        """Begin, behind another command."""
        words = self.command(upto)
        self.file.unlink(missing_ok=True)
        self.running = self.m.start(f"{before} && {words}")

    def finish(self) -> None:
        """Wait for its end, which is the end of a good one."""
        assert self.running is not None
        result = self.running.wait(120)
        assert result.status == 0, result.err
        self.count()

    def stop(self) -> None:
        """In the middle, if it is at work."""
        if self.running is not None:
            self.assert_well()
            self.running.kill()
            self.running.wait()
            self.count()

    def assert_well(self) -> None:
        """It has not failed so far."""
        ended = self.running.poll() if self.running else None
        assert ended is None or ended.status == 0, f"the writer failed: {ended}"

    def count(self) -> None:
        """Read what was acknowledged. The machine may be off, but not booted again."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        assert [int(line) for line in lines] == list(range(self.first, self.first + len(lines)))
        self.acknowledged = self.first + len(lines)
        self.first, self.running = self.acknowledged, None

    def assert_intact(self) -> None:
        """All that was acknowledged is there."""
        assert_reads_back(self.m, self.device, 0, self.acknowledged)
