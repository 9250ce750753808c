"""A host with one disk: files as of /proc, /sys, /etc and /dev, and an image or a loop device."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.model import Disk, Probe
from dmguard.edge.block import probe
from dmguard.edge.roots import Roots
from dmguard.edge.run import SEARCH_PATH, Runner
from tests.edge.conftest import run

if TYPE_CHECKING:
    from tests.edge.diskcontents import Content

MIB = 1 << 20
SMALL, LARGE = 24 * MIB, 72 * MIB
LOOPS = os.geteuid() == 0 and Path("/dev/loop-control").exists()
EVERYWHERE = ("file", *(("loop",) if LOOPS else ()))
BLANK = Probe()


@dataclass
class Host:
    """Files as of a host that has one disk, and nobody but process 1."""

    roots: Roots
    disk: Disk

    @property
    def node(self) -> Path:
        return self.roots.dev / self.disk.name

    def look(self, disk: Disk | None = None, path: str = SEARCH_PATH) -> Probe:
        async def main() -> Probe:
            with Runner(path) as runner:
                return await probe(disk or self.disk, runner, roots=self.roots)

        return run(main())

    def process(self, pid: int, comm: str = "guest", space: str = "4026531840") -> Path:
        """Another process, with no file open."""
        process = self.roots.proc / str(pid)
        for name in ("ns", "fd"):
            (process / name).mkdir(parents=True)
        (process / "ns" / "mnt").symlink_to(f"mnt:[{space}]")
        (process / "root").symlink_to("/")
        (process / "comm").write_text(f"{comm}\n")
        (process / "mountinfo").write_text("22 1 254:0 / / rw,noatime - ext4 /dev/vda rw\n")
        return process

    def opens(self, pid: int, comm: str, path: Path | str) -> Path:
        link = self.process(pid, comm) / "fd" / "9"
        link.symlink_to(path)
        return link

    def says(self, name: str, text: str) -> None:
        path = self.roots.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_host(tmp_path: Path, size: int = SMALL) -> Host:
    """With a blank disk that is a regular file."""
    roots = Roots(*(tmp_path / name for name in ("proc", "sys", "etc", "dev")))
    for root in (roots.proc, roots.sys, roots.etc, roots.dev):
        root.mkdir()
    (roots.proc / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")
    links = ("/dev/disk/by-id/wwn-0x5000c500", "/dev/disk/by-path/pci-0000:00:05.0")
    host = Host(roots, Disk("disk", (8, 240), size, path="pci-0000:00:05.0", links=links))
    host.process(1, "systemd")
    with host.node.open("wb") as file:
        file.truncate(size)
    return host


def tool(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Looped:
    """A host whose disk is a real device: the image of another, attached."""

    host: Host

    def __enter__(self) -> Host:
        image = self.host.node
        self.device = Path(tool("losetup", "--find", "--show", str(image)))
        number = self.device.stat().st_rdev
        devno = (os.major(number), os.minor(number))
        disk = replace(self.host.disk, name=self.device.name, devno=devno)
        return Host(replace(self.host.roots, dev=self.device.parent), disk)

    def __exit__(self, *_: object) -> None:
        tool("losetup", "--detach", str(self.device))


def looked_at(host: Host, place: str) -> Probe:
    """Look at a host's image, as a file or as a loop device. It must be the same afterwards."""
    image = host.node
    before = hashlib.sha256(image.read_bytes()).digest()
    if place == "loop":
        with Looped(host) as looped:
            seen = looped.look()
    else:
        seen = host.look()
    assert hashlib.sha256(image.read_bytes()).digest() == before
    return seen


def filled(tmp_path: Path, content: Content, size: int = SMALL) -> Host:
    host = make_host(tmp_path, size)
    disk = bytearray(size)
    content(disk)
    host.node.write_bytes(disk)
    return host
