"""A whole machine: boot it, run commands on it, pull its disks and its power."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.lab.building import BUILT
from tests.lab.channel import Channel, LabError, MachineDied
from tests.lab.process import Uml
from tests.lab.stand import Stand

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.lab.channel import Running
    from tests.lab.images import Image

FAILED = BUILT / "failed"
# Without the 512 terminals of BSD's, for each of which udev runs its rules at every boot. A
# kernel that can do without ptrace (6.16 and later) does, and is much faster.
FIXED = (
    "root=/dev/ubda rw init=/lib/systemd/systemd con=null con0=null,fd:1 ssl=null quiet "
    "systemd.show_status=0 pty.legacy_count=0 seccomp=auto"
)
LETTERS = "bcdefghijklmnop"


@dataclass
class Disk:
    """A disk of a machine: a sparse file outside, a block device inside."""

    name: str
    path: Path
    plugged: bool = True

    @property
    def device(self) -> str:
        """Path of the node on the machine."""
        return f"/dev/{self.name}"


class Machine(Stand):
    """One machine and its disks; it can be booted again and again."""

    def __init__(self, image: Image, workdir: Path, mem: str = "768M", append: str = "") -> None:
        self.workdir = workdir
        self.append = append
        self.mem = mem
        self.disks: list[Disk] = []
        self.state = "off"
        workdir.mkdir(parents=True)
        self._share = workdir / "share"
        # A link of its own: the image stays usable when a newer one replaces it.
        os.link(image.path, workdir / "root.img")
        self._kernel = image.kernel
        self._uml: Uml | None = None
        self._channel: Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    @property
    def console(self) -> str:
        """Everything the kernel printed, over all boots."""
        file = self.workdir / "console.txt"
        return file.read_text(errors="replace") if file.exists() else ""

    def boot(self, timeout: float = 120, *, wait: bool = True) -> None:
        """Switch on; wait for the agent and, unless told not to, for systemd to settle."""
        if self._uml is not None:
            raise LabError("the machine is already on")
        deadline = time.monotonic() + timeout
        words = [f"mem={self.mem}", "ubda=root.cow,root.img"]
        words += [f"{disk.name}={disk.path.name}" for disk in self.disks if disk.plugged]
        shutil.rmtree(self._share, ignore_errors=True)
        self._share.mkdir()
        words.append(f"hostfs={self._share.resolve()}")
        uml = Uml(
            self._kernel.program, self.workdir, [*words, *FIXED.split(), *self.append.split()]
        )
        self._uml = uml
        channel = Channel(uml.line, self._share, self._obituary)
        self._channel = channel
        channel.ready.wait(timeout)
        if channel.gone.is_set() or not channel.ready.is_set():
            raise MachineDied(f"no agent after {timeout:g} s: {self._obituary()}")
        self.state = "starting"
        while wait and self.state in ("", "starting", "initializing", "offline", "unknown"):
            left = deadline - time.monotonic()
            if left <= 0:
                jobs = self.run("systemctl list-jobs --no-pager", check=False).out
                raise LabError(f"still {self.state} after {timeout:g} s:\n{jobs}")
            answer = self.start("systemctl is-system-running --wait").wait(left)
            self.state = answer.out.strip()
            if not self.state:
                time.sleep(0.2)

    def start(self, cmd: str, stdin: bytes = b"") -> Running:
        """Start a shell command and return at once."""
        if self._channel is None:
            raise LabError("the machine is off")
        return self._channel.start(cmd, stdin)

    def add_disk(self, size: int, *, wait: bool = True) -> Disk:
        """Give the machine another empty disk, hot if it is on."""
        name = f"ubd{LETTERS[len(self.disks)]}"
        disk = Disk(name, self.workdir / f"{name}.img", plugged=False)
        with disk.path.open("xb") as file:
            file.truncate(size)
        self.disks.append(disk)
        self.replug(disk, wait=wait)
        return disk

    def unplug(self, disk: Disk) -> None:
        """Pull a disk out, in use or not."""
        if self._uml is not None:
            self._remove(self._uml, disk.name)
        disk.plugged = False

    def replug(self, disk: Disk, *, wait: bool = True) -> None:
        """Put a disk (back) in and wait for its node, unless told not to."""
        disk.plugged = True
        if self._uml is not None:
            self._uml.console(f"config {disk.name}={disk.path.resolve()}")
        if self._uml is not None and wait:
            # The node is there before udev hears of it.
            self.run(f"udevadm wait --timeout=20 --settle {disk.device}")

    def mconsole(self, command: str) -> str:
        """Give a command to the management console (sysrq, log, config ...)."""
        if self._uml is None:
            raise LabError("the machine is off")
        return self._uml.console(command)

    def power_cut(self) -> None:
        """Switch off without a word; the disks keep what reached them."""
        if self._uml is not None:
            self._uml.kill()
        if self._channel is not None:
            self._channel.close()
        self._uml, self._channel, self.state = None, None, "off"

    def shutdown(self, timeout: float = 90) -> None:
        """Switch off in an orderly way."""
        if self._uml is None:
            return
        self.start("systemctl poweroff")
        ended = self._uml.wait(timeout)
        self.power_cut()
        if not ended:
            raise LabError(f"not off after {timeout:g} s:\n{self.console[-2000:]}")

    def reboot(self, timeout: float = 120) -> None:
        """Shut down in an orderly way and boot again."""
        self.shutdown()
        self.boot(timeout)

    def close(self, *, failed: bool = False) -> None:
        """Switch off and clear up; after a failure what can be read is kept."""
        self.power_cut()
        for file in (*self.workdir.glob("*.img"), *self.workdir.glob("*.cow")):
            file.unlink()
        shutil.rmtree(self._share, ignore_errors=True)
        if failed:
            kept = FAILED / self.workdir.name
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self.workdir, kept, dirs_exist_ok=True)
        shutil.rmtree(self.workdir, ignore_errors=True)

    @staticmethod
    def _remove(uml: Uml, name: str) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                uml.console(f"remove {name}")
            except LabError as error:
                # udev has just opened it, to look at it.
                if "currently open" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _obituary(self) -> str:
        alive = self._uml is not None and self._uml.running()
        return f"machine {'runs' if alive else 'died'}; console:\n{self.console[-2000:]}"
