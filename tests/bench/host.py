"""This very host to measure on, with loop devices in a scratch directory; nothing is left of it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from tests.bench.guards import VG, stop_all
from tests.bench.kept import Kept
from tests.bench.race import GROUP
from tests.bench.refusals import ENV
from tests.lab.channel import CommandTimeout, LabError, Result
from tests.lab.machine import Disk
from tests.lab.stand import Stand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TIMEOUT_S = Path("/sys/module/dm_thin_pool/parameters/no_space_timeout")
# What a case changes, or what LVM and the guards write down meanwhile.
_FILES = (
    "/etc/lvm/lvmlocal.conf",
    "/etc/dmguard/dmguard.toml",
    "/var/lib/dmguard/*",
    f"/etc/lvm/archive/{VG}_*.vg",
    f"/etc/lvm/backup/{VG}",
)
_UNITS = ("dm-event.socket", "dm-event.service", "cron.service", "*.timer")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GIB = 1 << 30
# What a case writes at most; its disks are sparse files.
ROOM = {"reaction": _GIB // 2, "race": GROUP, "metadata": _GIB // 2, "idle": _GIB // 4}


class HostStands:
    """Each case has the host anew."""

    kind = "this host (loop devices)"
    left_out: Mapping[str, str] = {
        "boot": "it cuts the power again and again",
        "dry": "it plugs a disk in, and dmguard claims no loop device",
        "scale": "it brings 200 disks, and lets every loop device go afterwards",
    }

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    @contextmanager
    def open(self, _case: str) -> Iterator[Host]:
        """The host until it is as it was before."""
        with Host(self._scratch) as host:
            yield host


class _HostCommand:
    """A process in a session of its own; its output goes to files, so that no child holds it."""

    def __init__(self, cmd: str, stdin: bytes, env: Mapping[str, str]) -> None:
        self.cmd = cmd
        self.raw_out = b""
        # Both live as long as the command does.
        self._out, self._err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", cmd],
                stdin=given,
                stdout=self._out,
                stderr=self._err,
                start_new_session=True,
                env=env,
            )

    def wait(self, timeout: float = 60) -> Result:
        try:
            status = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise CommandTimeout(f"{self.cmd!r} has not ended after {timeout:g} s") from None
        self.raw_out, err = (self._read(file) for file in (self._out, self._err))
        return Result(status, self.raw_out.decode(errors="replace"), err.decode(errors="replace"))

    @staticmethod
    def _read(file: IO[bytes]) -> bytes:
        file.seek(0)
        return file.read()

    def kill(self) -> None:
        if self._child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)


class Host(Stand):
    """The host that this runs on. At the end it is as it was at the beginning."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._disks: list[Disk] = []
        self._running: list[_HostCommand] = []
        self._env = ENV | {"HOME": str(scratch)}

    def __enter__(self) -> Self:
        self.run("modprobe -a dm_thin_pool loop", check=False)
        self._kept = Kept.now(_FILES)
        # For whoever has to put the host in order by hand, if this is killed.
        self._kept.save(self._scratch / "kept")
        self._timeout = _TIMEOUT_S.read_bytes()
        quoted = " ".join(f"'{unit}'" for unit in _UNITS)
        listed = self.run(f"systemctl list-units --plain --no-legend --state=active {quoted}").out
        self._units = [line.split()[0] for line in listed.splitlines()]
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C does not keep the host from being put in order.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
        try:
            self._put_in_order()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, cmd: str, stdin: bytes = b"") -> _HostCommand:
        command = _HostCommand(cmd, stdin, self._env)
        self._running.append(command)
        return command

    def add_disk(self, size: int) -> Disk:
        number = len(self._disks)
        disk = Disk(f"disk{number}", self._scratch / f"disk{number}.img", plugged=False)
        with disk.path.open("xb") as file:
            file.truncate(size)
        self._disks.append(disk)
        self.replug(disk)
        return disk

    def unplug(self, disk: Disk) -> None:
        self.run(f"losetup -d {disk.device} && udevadm settle")
        disk.plugged = False

    def replug(self, disk: Disk) -> None:
        device = self.run(f"losetup --show -f {disk.path}").out.strip()
        disk.name, disk.plugged = device.removeprefix("/dev/"), True
        self.run("udevadm settle")

    def _put_in_order(self) -> None:
        """Each step is taken, also if one before it failed; the last is pushed first."""
        with ExitStack() as steps:
            steps.callback(self._empty_scratch)
            if self._units:
                steps.callback(self.run, f"systemctl start {' '.join(self._units)}")
            steps.callback(_TIMEOUT_S.write_bytes, self._timeout)
            steps.callback(self._kept.restore)
            steps.callback(self._remove_disks)
            steps.callback(self._remove_group)
            steps.callback(stop_all, self)
            for command in self._running:
                command.kill()

    def _remove_group(self) -> None:
        # A writer that is held up by a pool without space ends when the kernel fails it.
        gone = f"! vgs --noheadings -o vg_name | grep -qw {VG}"
        self.wait_until(f"dmsetup remove thin; vgremove -q -ff -y {VG}; {gone}", 120, 1)

    def _remove_disks(self) -> None:
        """By their files: whoever is interrupted may not know the device yet."""
        used = []
        for disk in self._disks:
            of_it = f"losetup -nO NAME -j {shlex.quote(str(disk.path))}"
            # One that udev has open just now goes when that is closed.
            gone = f"{of_it} | xargs -r -n1 losetup -d; udevadm settle; ! {of_it} | grep -q ."
            try:
                self.wait_until(gone)
            except CommandTimeout:
                used.append(str(disk.path))
        if used:
            raise LabError(f"these are still used by a loop device: {', '.join(used)}")

    def _empty_scratch(self) -> None:
        for path in self._scratch.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
