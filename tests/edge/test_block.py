"""edge/block: a disk is blank and unused only if everything that can be asked says so."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import shutil
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Disk, Probe
from dmguard.edge import block, deadline
from dmguard.edge.block import Roots, mentions, places, probe
from dmguard.edge.run import SEARCH_PATH, Runner
from tests.edge.conftest import run, script, until
from tests.edge.house import unshare_mounts
from tests.unit import pvhead

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
SMALL, LARGE = 24 * MIB, 72 * MIB
LOOPS = os.geteuid() == 0 and Path("/dev/loop-control").exists()
MOUNTS = (
    LOOPS
    and shutil.which("mkfs.ext4", path=SEARCH_PATH) is not None
    and subprocess.run(
        [*unshare_mounts(), "mount", "-t", "tmpfs", "none", "/mnt"], check=False
    ).returncode
    == 0
)
EVERYWHERE = ("file", *(("loop",) if LOOPS else ()))
BLANK = Probe()

Content = Callable[[bytearray], None]
"""Puts something on a disk."""


def ext4(disk: bytearray) -> None:
    superblock = bytearray(1024)
    struct.pack_into("<7I", superblock, 0, 1024, 6144, 0, 5000, 1000, 0, 2)
    struct.pack_into("<3I", superblock, 32, 32768, 32768, 1024)
    struct.pack_into("<H", superblock, 0x38, 0xEF53)
    struct.pack_into("<IIHH", superblock, 0x4C, 1, 11, 256, 0)
    struct.pack_into("<3I", superblock, 0x5C, 0, 0x42, 1)  # filetype, extents; sparse_super
    disk[1024:2048] = superblock


def swap(disk: bytearray) -> None:
    struct.pack_into("<II", disk, 1024, 1, len(disk) // 4096 - 1)
    disk[4086:4096] = b"SWAPSPACE2"


def luks(disk: bytearray) -> None:
    struct.pack_into(">6sHQQ", disk, 0, b"LUKS\xba\xbe", 2, 16384, 1)


def bcache(disk: bytearray) -> None:
    magic = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
    struct.pack_into("<QQQ16s", disk, 4096, 0, 8, 1, magic)


def md(disk: bytearray, at: int) -> None:
    struct.pack_into("<II", disk, at, 0xA92B4EFC, 1)
    struct.pack_into("<16s", disk, at + 16, b"0123456789abcdef")
    struct.pack_into("<Q", disk, at + 144, at // 512)


def md_1_0(disk: bytearray) -> None:
    md(disk, (len(disk) - 8192) & ~4095)


def md_1_2(disk: bytearray) -> None:
    md(disk, 4096)


def md_0_90(disk: bytearray) -> None:
    at = (len(disk) & ~0xFFFF) - 0x10000
    struct.pack_into("<IIII", disk, at, 0xA92B4EFC, 0, 90, 0)


def lvm(disk: bytearray) -> None:
    label = bytearray(512)
    struct.pack_into("<8sQII8s", label, 0, b"LABELONE", 1, 0, 32, b"LVM2 001")
    struct.pack_into("<32sQ", label, 32, b"a" * 32, len(disk))
    crc = zlib.crc32(label[20:], 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    struct.pack_into("<I", label, 16, crc)
    disk[512:1024] = label


def dos(disk: bytearray) -> None:
    disk[440:444] = b"\x12\x34\x56\x78"
    disk[510:512] = b"\x55\xaa"


def gpt_header(disk: bytearray, mine: int, other: int, entries: int) -> None:
    last = len(disk) // 512 - 1
    header = bytearray(92)
    struct.pack_into("<8sIII", header, 0, b"EFI PART", 0x10000, 92, 0)
    struct.pack_into("<QQQQ16s", header, 24, mine, other, 34, last - 33, b"u" * 16)
    struct.pack_into("<QIII", header, 72, entries, 128, 128, zlib.crc32(bytes(128 * 128)))
    struct.pack_into("<I", header, 16, zlib.crc32(header))
    disk[mine * 512 : mine * 512 + 92] = header


def gpt_backup(disk: bytearray) -> None:
    last = len(disk) // 512 - 1
    gpt_header(disk, last, 1, last - 32)


def gpt(disk: bytearray) -> None:
    last = len(disk) // 512 - 1
    struct.pack_into("<B3sB3sII", disk, 446, 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, last)
    disk[510:512] = b"\x55\xaa"
    gpt_header(disk, 1, last, 2)
    gpt_backup(disk)


def gpt_4k_backup(disk: bytearray) -> None:
    disk[-4096:-4088] = b"EFI PART"


def noise(disk: bytearray) -> None:
    disk[:] = random.Random(7).randbytes(len(disk))


def erased(disk: bytearray) -> None:
    disk[:] = b"\xff" * len(disk)


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


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


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


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("content", [lambda disk: None, erased], ids=["zeros", "erased"])
@pytest.mark.parametrize("size", [SMALL, LARGE, 3 * MIB + 512, 64 * MIB])
def test_nothing_on_it(tmp_path: Path, content: Content, size: int, place: str) -> None:
    assert looked_at(filled(tmp_path, content, size), place) == BLANK


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(
    ("content", "signature", "data_at"),
    [
        (ext4, "ext4 at 0x438", 1025),
        (swap, "swap at 0xff6", 1024),
        (luks, "crypto_LUKS at 0x0", 0),
        (bcache, "bcache at 0x1018", 4104),
        (md_0_90, "linux_raid_member at 0x17f0000", 0x17F0000),
        (md_1_0, "linux_raid_member at 0x17fe000", 0x17FE000),
        (md_1_2, "linux_raid_member at 0x1000", 4096),
    ],
)
def test_what_blkid_knows_is_named(
    tmp_path: Path, content: Content, signature: str, data_at: int, place: str
) -> None:
    seen = looked_at(filled(tmp_path, content), place)
    assert seen == Probe(signatures=(signature,), data_at=data_at)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_physical_volume(tmp_path: Path, place: str) -> None:
    seen = looked_at(filled(tmp_path, lvm), place)
    assert seen == Probe(signatures=("LVM2_member at 0x218",), pv_label=True, data_at=512)


def half(*pieces: tuple[int, bytes], beside: int | None = None, fill: bytes = b"\0") -> Content:
    """LVM's first writes, and one byte of another's."""

    def write(disk: bytearray) -> None:
        disk[:] = pvhead.head(*pieces, fill=fill) + fill * (len(disk) - (1 << 20))
        if beside is not None:
            disk[beside] ^= 0x55

    return write


BEGUN = (512, pvhead.LABEL), (4096, pvhead.PREPARED), (4608, pvhead.TEXT)
WHOLE_HALF = Probe(("LVM2_member at 0x218",), pv_label=True, data_at=512, half_pv=True)


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("content", "probe"),
    [
        (half(*BEGUN), WHOLE_HALF),
        (half(*BEGUN, beside=100), replace(WHOLE_HALF, data_at=100, beside=100)),
        (half(*BEGUN, beside=-1), replace(WHOLE_HALF, beside=-1)),
        (half((4096, pvhead.HEADER)), Probe(data_at=4096, half_pv=True)),
        (half(*BEGUN, fill=b"\xff"), WHOLE_HALF),
        (
            half((512, pvhead.LABEL), (4096, pvhead.COMMITTED), (4608, pvhead.TEXT)),
            replace(WHOLE_HALF, half_pv=False),
        ),
    ],
    ids=["half", "head", "tail", "header", "flash", "committed"],
)
def test_a_physical_volume_that_no_group_has_or_had(
    tmp_path: Path, content: Content, probe: Probe, size: int, place: str
) -> None:
    if probe.beside == -1:
        probe = replace(probe, beside=size - 1)
    assert looked_at(filled(tmp_path, content, size), place) == probe


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(
    ("content", "tables"),
    [
        (dos, {"dos at 0x1fe": "dos"}),
        (
            gpt,
            {
                "gpt at 0x200": "gpt",
                "PMBR at 0x1fe": "PMBR",
                "gpt (backup) at 0x17ffe00": "gpt (backup)",
            },
        ),
        (gpt_backup, {"gpt (backup) at 0x17ffe00": "gpt (backup)"}),
        (gpt_4k_backup, {"gpt (backup) at 0x17ff000": "gpt (backup)"}),
    ],
)
def test_partition_tables(
    tmp_path: Path, content: Content, tables: dict[str, str], place: str
) -> None:
    seen = looked_at(filled(tmp_path, content), place)
    assert (seen.error, seen.signatures, seen.tables) == (
        None,
        tuple(tables),
        tuple(tables.values()),
    )
    assert seen.data_at is not None


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("where", ["first", "head", "middle", "tail", "last"])
def test_one_byte_is_seen(tmp_path: Path, size: int, where: str, place: str) -> None:
    reads = list(places(size))
    offset = {
        "first": 0,
        "head": 4 * MIB - 1,
        "middle": sum(reads[len(reads) // 2]) - 1,
        "tail": size - 4 * MIB,
        "last": size - 1,
    }[where]
    host = make_host(tmp_path, size)
    with host.node.open("r+b") as file:
        file.seek(offset)
        file.write(b"A")
    assert looked_at(host, place) == Probe(data_at=offset)


@pytest.mark.parametrize("where", [0, 1, SMALL - 1])
@pytest.mark.parametrize(("ground", "other"), [(b"\x00", 0xFF), (b"\xff", 0x00), (b"\x00", 0x01)])
def test_both_kinds_of_blank_on_one_disk_are_data(
    tmp_path: Path, ground: bytes, other: int, where: int
) -> None:
    def mixed(disk: bytearray) -> None:
        disk[:] = ground * len(disk)
        disk[where] = other

    data_at = looked_at(filled(tmp_path, mixed), "file").data_at
    expected = where
    if where == 0:
        expected = 1 if other in (0x00, 0xFF) else 0  # the first byte says what blank is
    assert data_at == expected


def test_bytes_without_meaning_are_data(tmp_path: Path) -> None:
    assert looked_at(filled(tmp_path, noise), "file") == Probe(data_at=0)


@pytest.mark.parametrize("size", [64 * MIB + 512, LARGE, 100 << 30, (7 << 40) + 512])
def test_both_ends_are_read_whole_and_the_middle_evenly(size: int) -> None:
    reads = list(places(size))
    offsets = [offset for offset, _ in reads]
    assert offsets == sorted(set(offsets))
    assert sum(length for offset, length in reads if offset + length <= 4 * MIB) == 4 * MIB
    assert sum(length for offset, length in reads if offset >= size - 4 * MIB) == 4 * MIB
    between = [offset for offset in offsets if 4 * MIB <= offset < size - 4 * MIB]
    assert len(between) >= 1024
    gaps = [after - before for before, after in pairwise(between)]
    assert max(gaps) <= (size - 8 * MIB) / 1024 + 4096
    assert all(length <= MIB and offset + length <= size for offset, length in reads)


@pytest.mark.parametrize("size", [64 * MIB + 512, 100 << 30])
def test_a_brief_look_reads_both_ends_whole_and_little_between(size: int) -> None:
    whole, brief = list(places(size)), list(places(size, samples=0))
    assert set(brief) < set(whole)
    ends = [read for read in whole if read[0] < 4 * MIB or read[0] >= size - 4 * MIB]
    between = set(brief) - set(ends)
    assert len(brief) == len(ends) + len(between)
    assert len(between) <= 20


def test_a_brief_look_sees_what_is_at_the_ends_and_who_uses_the_disk(host: Host) -> None:
    async def main() -> None:
        with Runner() as runner:
            assert await probe(host.disk, runner, roots=host.roots, brief=True) == BLANK
            with host.node.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"A")
                file.flush()
                seen = await probe(host.disk, runner, roots=host.roots, brief=True)
            assert seen.data_at == host.disk.size - 1

    run(main())


@pytest.mark.parametrize("size", [8192, 8192 + 512, MIB - 512, 64 * MIB])
def test_a_small_disk_is_read_whole(size: int) -> None:
    reads = list(places(size))
    ends = [offset + length for offset, length in reads]
    assert [0, *ends] == [*(offset for offset, _ in reads), size]


def test_a_claimed_device_is_in_use(host: Host) -> None:
    for looped in [Looped(host)] if LOOPS else []:
        with looped as real:
            claim = os.open(real.node, os.O_RDONLY | os.O_EXCL)
            held = real.look().users
            os.close(claim)
            assert held == ("held by another driver or mounted",)
            assert real.look() == BLANK  # and the look itself claims nothing for longer
    assert block.exclusive(host.node) == ()


@pytest.mark.parametrize("number", ["8:240", "8:241"])
def test_mounted_in_whatever_namespace(host: Host, number: str) -> None:
    part = host.roots.sys / "class" / "block" / "disk1"
    part.mkdir(parents=True)
    (part / "dev").write_text("8:241\n")
    (host.process(70, space="4026532000") / "mountinfo").write_text(
        f"50 1 {number} / /srv/my\\040data rw shared:1 master:2 - ext4 /dev/other rw\n"
    )
    disk = replace(host.disk, partitions=("disk1",))
    assert host.look(disk).users == ("mounted at /srv/my data",)


@pytest.mark.parametrize("source", ["/dev/disk", "/dev/disk/by-id/wwn-0x5000c500"])
def test_btrfs_is_known_by_its_source(host: Host, source: str) -> None:
    line = f"50 1 0:44 /sub /srv rw,relatime - btrfs {source} rw,subvol=/sub\n"
    (host.process(70, space="4026532000") / "mountinfo").write_text(line)
    assert host.look().users == ("mounted at /srv",)


def test_one_process_of_a_namespace_is_asked_unless_it_has_another_root(host: Host) -> None:
    mount = "50 1 8:240 / /srv rw - ext4 /dev/x rw\n"
    (host.process(70) / "mountinfo").write_text(mount)  # in the namespace of process 1
    assert host.look() == BLANK
    changed = host.process(71)
    (changed / "root").unlink()
    (changed / "root").symlink_to("/srv/jail")
    (changed / "mountinfo").write_text(mount)
    assert host.look().users == ("mounted at /srv",)


def test_a_process_that_ends_leaves_its_namespace_to_the_next(host: Host) -> None:
    (host.process(70, space="7") / "mountinfo").unlink()
    mountinfo = host.process(71, space="7") / "mountinfo"
    mountinfo.write_text("50 1 8:240 / /srv rw - ext4 /dev/x rw\n")
    (host.roots.proc / "72").mkdir()
    assert host.look().users == ("mounted at /srv",)


@pytest.mark.parametrize("kind", ["fake", *(("real",) if MOUNTS else ())])
def test_a_mount_in_a_namespace_of_its_own(host: Host, tmp_path: Path, kind: str) -> None:
    where = tmp_path / "mounted"
    where.mkdir()
    if kind == "fake":
        line = f"50 1 8:240 / {where} rw - ext4 /dev/x rw\n"
        (host.process(70, space="7") / "mountinfo").write_text(line)
        assert host.look().users == (f"mounted at {where}",)
        return
    tool("mkfs.ext4", "-q", "-E", "nodiscard", str(host.node))
    with Looped(host) as real:
        line = f"mount -o ro,noload {real.node} {where} && echo mounted && read end"
        with Guest(*unshare_mounts(), "sh", "-c", line) as guest:
            assert guest.says() == "mounted"
            assert real.look().users == ("held by another driver or mounted",)
            (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
            assert real.look().users == ("held by another driver or mounted", f"mounted at {where}")
        assert real.look().users == ()


class Guest:
    """A process that says a line when it is ready, and ends when it is told to."""

    def __init__(self, *argv: str) -> None:
        self.argv = argv

    def __enter__(self) -> Guest:
        self.child = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.child.pid
        return self

    def says(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.child.communicate("\n", timeout=10)


def test_used_as_swap(host: Host) -> None:
    swaps = host.roots.proc / "swaps"
    swaps.write_text(swaps.read_text() + "/dev/gone\\040(deleted) partition 1 0 -2\n")
    assert host.look() == BLANK
    swaps.write_text(swaps.read_text() + "/dev/disk\tpartition\t100\t0\t-3\n")
    assert host.look().users == ("in use as swap",)


@pytest.mark.parametrize("name", ["node", "/dev/disk", "/dev/disk/by-id/wwn-0x5000c500"])
def test_opened_by_a_process(host: Host, name: str) -> None:
    host.opens(70, "qemu-system-x86", host.node if name == "node" else name)
    host.opens(71, "other", "/dev/disk2")
    assert host.look().users == ("opened by qemu-system-x86 (70)",)


def test_its_own_descriptors_do_not_count(host: Host) -> None:
    host.opens(os.getpid(), "python3", "/dev/disk")
    assert host.look() == BLANK


def test_a_real_process_that_has_it_open_is_seen(host: Host) -> None:
    command = (
        "sh",
        "-c",
        f"exec 7<{host.node}; echo open; read close; exec 7<&-; echo shut; read end",
    )
    with Guest(*command) as guest:
        assert guest.says() == "open"
        (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
        assert host.look().users == (f"opened by sh ({guest.pid})",)
        assert guest.child.stdin is not None
        guest.child.stdin.write("\n")
        guest.child.stdin.flush()
        assert guest.says() == "shut"
        assert host.look() == BLANK


@pytest.mark.parametrize("place", ["loop"] if LOOPS else ["file"])
def test_a_node_of_another_name_is_known_by_its_number(host: Host, place: str) -> None:
    if place == "file":
        target = block.Target(frozenset(), frozenset({(1, 3)}), Path("/dev"))
        assert not target.means("/dev/null")  # the same number, but no block device
        return
    with Looped(host) as real:
        target = block.Target(frozenset(), frozenset({real.disk.devno}), Path("/dev"))
        assert target.means(str(real.node))
        assert not target.means("/dev/null")


@pytest.mark.parametrize("comm", ["(udev-worker)", "systemd-udevd"])
def test_udev_is_waited_for(host: Host, comm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = host.opens(70, comm, "/dev/disk")
    looks = 0
    holding = block._holding

    def third_time_free(target: block.Target, processes: list[Path]) -> Iterator[tuple[str, str]]:
        nonlocal looks
        looks += 1
        if looks == 3:
            link.unlink()
        return holding(target, processes)

    monkeypatch.setattr(block, "_holding", third_time_free)
    assert host.look() == BLANK
    assert looks == 3


def test_udev_that_does_not_end_is_a_user(host: Host) -> None:
    host.opens(70, "(udev-worker)", "/dev/disk")
    assert host.look().users == ("opened by (udev-worker) (70)",)


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("kernel/config/target/core/iblock_0/lun/udev_path", "exported by LIO"),
        ("kernel/config/nvmet/subsystems/nqn/namespaces/1/device_path", "exported by nvmet"),
        ("block/loop7/loop/backing_file", "behind a loop device"),
    ],
)
def test_used_within_the_kernel(host: Host, name: str, user: str) -> None:
    path = host.roots.sys / name
    path.parent.mkdir(parents=True)
    (path.parent.parent / "a file").touch()  # as configfs has beside the directories
    path.write_text("/dev/disk/by-id/wwn-0x5000c500\n")
    assert host.look().users == (user,)
    path.write_text("\n")
    assert host.look() == BLANK


@pytest.mark.parametrize("name", ["1/ns/mnt", "1/root", "1/mountinfo", "1/fd", "swaps"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO])
def test_what_may_not_be_read_is_an_error(
    host: Host, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = host.roots.proc / name

    def refusing(method: str) -> None:
        known = getattr(Path, method)

        def call(path: Path, *rest: object) -> object:
            if path == refused:
                raise OSError(number, os.strerror(number), str(path))
            return known(path, *rest)

        monkeypatch.setattr(Path, method, call)

    for method in ("readlink", "read_bytes", "iterdir"):
        refusing(method)
    assert host.look() == Probe(error=f"/dev/disk: {refused}: {os.strerror(number)}")


def test_processes_that_are_hidden_are_an_error(host: Host) -> None:
    (host.roots.proc / "1").rename(host.roots.proc / "1000")
    assert host.look() == Probe(error=f"{host.roots.proc} does not show all processes")


WWN = "/dev/disk/by-id/wwn-0x5000c500"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("fstab", "/dev/disk /srv ext4 defaults 0 2"),
        ("fstab", "/dev/disk1\t/srv ext4 defaults 0 2"),
        ("fstab", f"{WWN}-part1 /srv ext4 defaults 0 2"),
        ("fstab", "ID=wwn-0x5000c500 /srv ext4 defaults 0 2"),
        ("crypttab", f"secret {WWN} none luks"),
        ("mdadm/mdadm.conf", "ARRAY /dev/md0 devices=/dev/other,/dev/disk"),
        ("mdadm.conf", "ARRAY /dev/md0\n  devices=/dev/disk"),
        ("mdadm/mdadm.conf.d/more.conf", "DEVICE /dev/disk"),
        ("zfs/vdev_id.conf", "alias d1 wwn-0x5000c500"),
        ("zfs/vdev_id.conf", f"alias d1 {WWN}"),
        ("cloud/cloud.cfg", "disk_setup:\n  /dev/disk:\n    table_type: gpt"),
        ("cloud/cloud.cfg.d/90_disk.cfg", "fs_setup: [{device: '/dev/disk', filesystem: ext4}]"),
        ("cloud/cloud.cfg.d/90_disk.cfg", "mounts:\n - [ disk, /srv ]"),
    ],
)
def test_a_file_that_names_the_disk(host: Host, name: str, line: str) -> None:
    host.says(name, f"# what follows is a setting\n{line}\n")
    assert host.look() == Probe(mentions=(f"/etc/{name}",))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("fstab", "#/dev/disk /srv ext4 defaults 0 2"),
        ("fstab", "/dev/other /srv ext4 defaults 0 2 # was /dev/disk"),
        ("fstab", "/dev/disk-2 /dev/disks /dev/disk/by-id/ata-x /dev/mapper/dev/disk"),
        ("fstab", f"{WWN}9 /srv ext4 defaults 0 2"),
        ("crypttab", "disk /dev/other none luks"),
        ("mdadm/mdadm.conf", "DEVICE /dev/dis* /dev/disk* /dev/disk[0-9] /dev/disk?"),
        ("mdadm/mdadm.conf", "DEVICE partitions containers"),
        ("cloud/cloud.cfg", "disk_setup:\n  ephemeral0: {}\nnot: [disk_x, /dev/diskless]"),
        ("cloud/cloud.cfg.d/90_disk.cfg.old", "/dev/disk"),
        ("lvm/lvm.conf", "/dev/disk"),
    ],
)
def test_a_file_that_does_not(host: Host, name: str, line: str) -> None:
    host.says(name, f"{line}\n")
    assert host.look() == BLANK


def test_the_number_of_a_disk_goes_on_with_digits(tmp_path: Path) -> None:
    disk = Disk("nvme0n1", (259, 0), SMALL)
    (tmp_path / "fstab").write_text("/dev/nvme0n10 / ext4\n/dev/nvme0n1-x\n")
    assert mentions(disk, tmp_path) == ()
    (tmp_path / "fstab").write_text("/dev/nvme0n1p2 / ext4\n")
    assert mentions(disk, tmp_path) == ("/etc/fstab",)


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("POLICY domain=a path=pci-0000:00:05.* action=spare", True),
        ("policy path=pci-0000:00:05.0 ACTION=force-spare", True),
        ("POL path=pci-* action=spare-same-slot", True),
        ("POLICY domain=a path=other path='pci-*'\n   action=include", True),
        ("POLICY domain=a # all\n#\n   action=spare", True),
        ("POLICY domain=a action=spare", True),
        ("POLICY path=pci-0000:00:06.* action=spare", False),
        ("POLICY path=PCI-* action=spare", False),
        ("POLICY path=pci-* action=re-add", False),
        ("POLICY path=pci-* action=ignore", False),
        ("POLICY path=pci-* type=part action=spare", False),
        ("POLICY domain=a metadata=1.2", False),
        ("PO path=pci-* action=spare", False),
        ("#POLICY path=pci-* action=spare", False),
        ("PART-POLICY domain=a action=spare", False),
    ],
)
def test_a_policy_of_mdadm(host: Host, line: str, *, taken: bool) -> None:
    host.says("mdadm/mdadm.conf", f"{line}\n")
    assert host.look() == Probe(mentions=("mdadm's POLICY",) if taken else ())


def test_a_disk_without_a_path_is_in_no_place(host: Host) -> None:
    host.says("mdadm/mdadm.conf", "POLICY path=* action=spare\n")
    assert host.look(replace(host.disk, path=None, links=())) == BLANK


@pytest.mark.parametrize(
    "name", ["fstab", "crypttab", "mdadm.conf", "zfs/vdev_id.conf", "cloud/cloud.cfg.d/1.cfg"]
)
def test_a_file_that_cannot_be_read_is_an_error(host: Host, name: str) -> None:
    path = host.roots.etc / name
    path.mkdir(parents=True)
    assert host.look() == Probe(error=f"/dev/disk: {path}: Is a directory")


def test_a_disk_that_changed_its_size(host: Host) -> None:
    os.truncate(host.node, SMALL + 512)
    expected = f"/dev/disk: size changed from {SMALL} to {SMALL + 512} bytes"
    assert host.look() == Probe(error=expected)


def test_a_disk_too_small_to_look_at(tmp_path: Path) -> None:
    assert "too few" in str(make_host(tmp_path, 4096).look().error)


def test_a_disk_that_has_gone(host: Host) -> None:
    host.node.unlink()
    assert host.look() == Probe(error=f"/dev/disk: {host.node}: No such file or directory")


def test_a_node_that_is_no_disk(host: Host) -> None:
    host.node.unlink()
    os.mkfifo(host.node)
    assert host.look() == Probe(error="/dev/disk is not a block device")


def test_a_partition_that_has_gone(host: Host) -> None:
    seen = host.look(replace(host.disk, partitions=("disk1",)))
    assert seen == Probe(error="/dev/disk1 has gone")


@pytest.mark.parametrize("place", ["loop"] if LOOPS else ["file"])
def test_another_device_behind_the_name(host: Host, place: str) -> None:
    if place == "file":
        device = replace(host.disk, name="null")
        seen = Host(replace(host.roots, dev=Path("/dev")), device).look()
        assert seen == Probe(error="/dev/null is not a block device")
        return
    with Looped(host) as real:
        seen = real.look(replace(real.disk, devno=(8, 240)))
        assert seen == Probe(error=f"{real.disk.node} is another device by now")


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_disk_that_cannot_be_read_to_its_end(
    tmp_path: Path, size: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(tmp_path, size)
    if place == "loop":
        with Looped(host) as real:
            os.truncate(host.node, size - 2 * MIB)  # reading behind the end of the file is EIO
            error = real.look().error
        assert error == f"{real.disk.node}: reading at byte {size - 512}: Input/output error"
        return
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda fd, length, at: pread(fd, length, at)[: size - MIB - at]
    )
    assert "bytes at byte" in str(host.look().error)


@pytest.mark.parametrize("at", [0, 510, 4096, 5 * MIB, SMALL - 4096, SMALL - MIB])
def test_an_error_of_one_block_is_an_error(
    host: Host, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread

    def bad(descriptor: int, length: int, offset: int) -> bytes:
        if offset <= at < offset + length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", bad)
    seen = host.look()
    assert seen == Probe(error=seen.error)
    assert str(seen.error).endswith("Input/output error")


def test_two_signatures_that_contradict_each_other(tmp_path: Path) -> None:
    def both(disk: bytearray) -> None:
        ext4(disk)
        swap(disk)

    seen = filled(tmp_path, both).look()
    assert seen == Probe(error=seen.error)
    assert str(seen.error).endswith("blkid cannot decide between several signatures")


def test_one_below_another_is_named_too(tmp_path: Path) -> None:
    def both(disk: bytearray) -> None:
        ext4(disk)
        md_1_2(disk)

    names = {"linux_raid_member at 0x1000", "ext4 at 0x438"}
    assert set(filled(tmp_path, both).look().signatures) == names


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("blkid", "exit 4", "blkid: blkid ended with status 4"),
        ("blkid", "echo broken >&2; exit 2", "blkid: broken"),
        ("blkid", "echo DEVNAME=disk", "blkid found something that it does not name"),
        ("blkid", "kill -9 $$", "blkid: blkid ended with status -9"),
        ("wipefs", "exit 1", "wipefs ended with status 1"),
        ("wipefs", "echo '{'", "wipefs gave an answer that is none"),
        ("wipefs", "echo '{}'", "wipefs gave an answer that is none"),
        (
            "wipefs",
            'echo \'{"signatures": [{"type": "x"}]}\'',
            "wipefs gave an answer that is none",
        ),
    ],
)
def test_a_tool_that_does_not_end_well(
    host: Host, tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    script(tmp_path / "bin", name, text)
    seen = host.look(path=f"{tmp_path / 'bin'}:{SEARCH_PATH}")
    assert seen == Probe(error=seen.error)
    assert complaint in str(seen.error)


@pytest.mark.parametrize("missing", ["blkid", "wipefs"])
def test_a_tool_that_is_not_there(host: Host, tmp_path: Path, missing: str) -> None:
    (tmp_path / "bin").mkdir()
    for name in {"blkid", "wipefs"} - {missing}:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name, path=SEARCH_PATH)))
    assert f"{missing}: not found in" in str(host.look(path=str(tmp_path / "bin")).error)


def test_blkid_alone_may_know_it(host: Host, tmp_path: Path) -> None:
    text = "printf 'DEVNAME=x\\nTYPE=zfs_member\\nPTTYPE=atari\\nLABEL=TYPE=no\\n'"
    script(tmp_path / "bin", "blkid", text)
    seen = host.look(path=f"{tmp_path / 'bin'}:{SEARCH_PATH}")
    assert seen == Probe(signatures=("zfs_member", "atari"), tables=("atari",))


class DeadDisk:
    """Reads that do not return until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pread = os.pread
        self.count = 0
        self.asked, self.alive = threading.Event(), threading.Event()
        monkeypatch.setattr(os, "pread", self.read)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self.count += 1
        self.asked.set()
        assert self.alive.wait(20)
        return self.pread(descriptor, length, offset)


def test_a_dead_disk_holds_up_one_thread_and_no_process(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = DeadDisk(monkeypatch)

    async def main() -> None:
        with Runner() as runner:
            first = await probe(host.disk, runner, roots=host.roots, timeout_s=0.2)
            assert first == Probe(error="/dev/disk: no answer within 0.2 s")
            count = threading.active_count()
            again = await probe(host.disk, runner, roots=host.roots)
            assert again == Probe(error="/dev/disk: an earlier look at it has not come back")
            assert threading.active_count() == count
            assert runner.recent == ()
            dead.alive.set()
            await until(lambda: not deadline._asked)
            assert await probe(host.disk, runner, roots=host.roots) == BLANK

    run(main())


def test_a_cancelled_look_stops_reading(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = DeadDisk(monkeypatch)

    async def main() -> None:
        with Runner() as runner:
            task = asyncio.create_task(probe(host.disk, runner, roots=host.roots))
            await until(dead.asked.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            dead.alive.set()
            await until(lambda: not deadline._asked)

    run(main())
    assert dead.count < len(list(places(SMALL)))


def test_tables_are_known_without_the_tools(tmp_path: Path) -> None:
    host = filled(tmp_path, gpt)
    script(tmp_path / "bin", "blkid", "exit 2")
    script(tmp_path / "bin", "wipefs", "exit 0")
    seen = host.look(path=f"{tmp_path / 'bin'}")
    assert set(seen.tables) == {"gpt", "gpt (backup)", "dos"}
    assert "dos at 0x1fe" in seen.signatures


def test_a_process_that_has_ended_but_is_not_reaped_is_passed_over(host: Host) -> None:
    with Guest("true") as guest:
        os.waitid(os.P_PID, guest.pid, os.WEXITED | os.WNOWAIT)
        (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
        # Its namespace and its root are gone, and its mountinfo answers EINVAL.
        with pytest.raises(OSError, match="Invalid argument"):
            Path(f"/proc/{guest.pid}/mountinfo").read_bytes()
        assert block._text(host.roots.proc / str(guest.pid) / "mountinfo") is None
        assert host.look() == BLANK
