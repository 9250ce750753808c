"""edge/udev and what belongs to it: real sockets, real loop devices, libudev on a host of files."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import pyudev

from dmguard.core.model import DiskKind, Trigger
from dmguard.core.wake import Wake
from dmguard.edge.sources.udev import UdevEvents
from dmguard.edge.udev import BlockMonitor, LostEventsError, read_disks
from dmguard.edge.udevdb import Appearances, appeared_at
from tests.edge.conftest import run, until
from tests.edge.house import unshare_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LOST = Wake(Trigger.UDEV, "events were lost")


class Loop:
    """A loop device with a file of its own."""

    def __init__(self, file: Path, size: int) -> None:
        with file.open("wb") as handle:
            handle.truncate(size)
        self.file, self.attached = file, True
        self.node = _losetup("--find", "--show", str(file)).strip()
        self.name = Path(self.node).name

    def detach(self) -> None:
        """The same name is free for another disk, of another program's maybe, from here on."""
        self.attached = False
        before = self.diskseq()
        _losetup("--detach", self.node)
        deadline = time.monotonic() + 10
        while self.diskseq() == before:
            assert time.monotonic() < deadline, f"{self.node} is still the same disk"

    def grow(self) -> None:
        """Make the file larger, and tell the kernel."""
        os.truncate(self.file, self.file.stat().st_size * 2)
        _losetup("--set-capacity", self.node)

    def diskseq(self) -> int:
        return int(Path(f"/sys/block/{self.name}/diskseq").read_text())

    def change(self) -> None:
        """Let the kernel send an event of it."""
        Path(f"/sys/block/{self.name}/uevent").write_text("change")

    def close(self) -> None:
        if self.attached:
            _losetup("--detach", self.node)


def _losetup(*arguments: str) -> str:
    done = subprocess.run(
        ["/usr/sbin/losetup", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    made = Loop(tmp_path / "loop", 3 << 20)
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Loop]:
    made = Loop(tmp_path / "other", 1 << 20)
    yield made
    made.close()


# Disks: this machine's own


def test_a_loop_device_of_this_machine_is_read(loop: Loop) -> None:
    disk = next(disk for disk in read_disks() if disk.name == loop.name)
    status = Path(loop.node).stat()
    assert disk.kind is DiskKind.LOOP
    assert disk.size == 3 << 20
    assert disk.devno == (os.major(status.st_rdev), os.minor(status.st_rdev))
    assert disk.diskseq == loop.diskseq()
    assert disk.node == loop.node
    assert not disk.read_only


def test_a_disk_of_this_machine_is_neither_memory_nor_an_empty_loop() -> None:
    disks = read_disks()
    assert [disk.name for disk in disks] == sorted(disk.name for disk in disks)
    assert not [disk.name for disk in disks if re.match("ram|zram", disk.name)]
    assert not [disk.name for disk in disks if disk.kind is DiskKind.LOOP and disk.size == 0]


def test_a_name_that_is_another_disks_by_now_is_left_out(
    loop: Loop, other: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = pyudev.Devices.from_path

    def vanish(context: object, path: str) -> object:
        device = find(context, path)
        if path.endswith(f"/{loop.name}"):
            loop.detach()
        return device

    monkeypatch.setattr(pyudev.Devices, "from_path", vanish)
    names = [disk.name for disk in read_disks()]
    assert loop.name not in names
    assert other.name in names


# Disks: a host of files, read by the real libudev in a mount namespace of its own

_SCRIPT = """
mount --bind "$1/sys" /sys && mount --bind "$1/run" /run && exec "$2" -W error -c "$3"
"""
_READ = """
import dataclasses, json
from dmguard.edge.udev import read_disks
print(json.dumps([dataclasses.asdict(disk) for disk in read_disks()]))
"""
_USUAL = {
    "size": "2097152", "ro": "0", "removable": "0", "hidden": "0",
    "queue/logical_block_size": "512", "queue/rotational": "0", "queue/zoned": "none",
}  # fmt: skip


class Host:
    """A sysfs and udev's records, as files below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sys = root / "sys"
        self.records = root / "run/udev/data"
        self._minor = 0
        for path in (self.sys / "block", self.sys / "class/block", self.records):
            path.mkdir(parents=True)

    def disk(
        self, name: str, parent: str | None = "pci0/host0", record: bytes | None = b"", **more: str
    ) -> Path:
        """A block device; None for `parent` is one of no bus, for `record` one udev has not seen.

        `more` are attributes, with '__' for '/'.
        """
        kernel_name = name.replace("/", "!")
        home = f"devices/{parent or 'virtual'}/block/{kernel_name}"
        base = self.sys / home
        self._minor += 16
        uevent = f"MAJOR=8\nMINOR={self._minor}\nDEVNAME={name}\nDEVTYPE=disk\n"
        attributes = _USUAL | {key.replace("__", "/"): value for key, value in more.items()}
        _write(base, {"uevent": uevent, "dev": f"8:{self._minor}", **attributes})
        for directory in ("holders", "slaves"):
            (base / directory).mkdir()
        (base / "subsystem").symlink_to("/sys/class/block")
        if parent:
            (base / "device").symlink_to(f"/sys/devices/{parent}")
        (self.sys / "block" / kernel_name).symlink_to(f"../{home}")
        if record is not None:
            (self.records / f"b8:{self._minor}").write_bytes(b"I:1234\n" + record)
        return base

    def usb(self, path: str) -> str:
        """A device of the USB bus in the tree."""
        _write(self.sys / "devices" / path, {"uevent": "DEVTYPE=usb_device\n"})
        (self.sys / "bus/usb").mkdir(parents=True)
        (self.sys / "devices" / path / "subsystem").symlink_to("/sys/bus/usb")
        return path

    def read(self) -> dict[str, dict[str, Any]]:
        """What read_disks says there, by name."""
        done = subprocess.run(
            [*unshare_mounts(), "sh", "-c", _SCRIPT, "sh", self.root, sys.executable, _READ],
            cwd=ROOT,
            # The files are no sysfs, and libudev would see that.
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},
            check=True,
            stdout=subprocess.PIPE,
        )
        return {disk["name"]: disk for disk in json.loads(done.stdout)}


def _write(base: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(f"{text}\n")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_all_that_udev_knows_of_a_disk_is_kept(host: Host) -> None:
    record = (
        b"S:disk/by-id/wwn-0x5000\nS:disk/by-path/pci-0\nE:ID_PATH=pci-0\nE:ID_SERIAL=ACME_S1\n"
        b"E:ID_SERIAL_SHORT=S1\nE:ID_WWN=0x5000\nE:ID_MODEL=Fast_1\nE:ID_VENDOR=ACME\n"
        b"E:ID_BUS=ata\nE:ID_FS_TYPE=LVM2_member\nE:ID_PART_TABLE_TYPE=gpt\n"
    )
    base = host.disk("sda", record=record, diskseq="17", queue__logical_block_size="4096")
    os.utime(host.records / "b8:16", ns=(1, 987654321))
    (base / "holders/dm-0").mkdir()
    disk = host.read()["sda"]
    assert disk == {
        "name": "sda", "devno": [8, 16], "size": 1 << 30, "kind": "disk", "sector": 4096,
        "diskseq": 17, "read_only": False, "removable": False, "rotational": False,
        "zoned": False, "ready": True, "multipath_leg": False, "path": "pci-0",
        "links": ["/dev/disk/by-id/wwn-0x5000", "/dev/disk/by-path/pci-0"], "serial": "S1",
        "wwn": "0x5000", "model": "Fast_1", "vendor": "ACME", "bus": "ata",
        "content": "LVM2_member", "partitions": [], "partition_devnos": [], "holders": ["dm-0"],
        "slaves": [], "stamp": 987654321, "probe": None,
    }  # fmt: skip


def test_what_nobody_knows_of_a_disk_is_none(host: Host) -> None:
    base = host.disk("sda", record=None)
    for name in ("queue/rotational", "queue/zoned", "queue/logical_block_size", "hidden"):
        (base / name).unlink()
    disk = host.read()["sda"]
    unknown = ("rotational", "diskseq", "path", "serial", "wwn", "model", "bus", "content")
    assert {disk[name] for name in unknown} == {None}
    assert (disk["sector"], disk["links"], disk["stamp"], disk["ready"]) == (512, [], 0, False)


def test_what_a_device_is(host: Host) -> None:
    for name in ("sda", "vda", "xvda", "nvme0n1", "dasda", "cciss/c0d0", "anyd0", "mmcblk0"):
        host.disk(name)
    others = ("nbd0", "rbd1", "rnbd0", "drbd0", "bcache0", "zd16", "mtdblock0", "ubiblock0_0",
              "pmem0", "pmem0.1s", "ublkb0", "etherd/e1.2", "mmcblk0boot0")  # fmt: skip
    for name in others:
        host.disk(name)
    host.disk("nullb0", parent=None)
    for name in ("loop0", "md127", "md_d0", "md_home"):
        host.disk(name, parent=None)
    host.disk("sr0")
    kinds: dict[str, set[str]] = {}
    for name, disk in host.read().items():
        kinds.setdefault(disk["kind"], set()).add(name)
    assert kinds == {
        "disk": {"sda", "vda", "xvda", "nvme0n1", "dasda", "cciss/c0d0", "anyd0", "mmcblk0"},
        "other": {*others, "nullb0"},
        "loop": {"loop0"},
        "md": {"md127", "md_d0", "md_home"},
        "optical": {"sr0"},
    }


def test_of_device_mapper_only_the_multipath_maps_are_read(host: Host) -> None:
    uuids = ("mpath-3600a", "LVM-" + "x" * 64, "part1-mpath-3600a", "CRYPT-LUKS2-x", "")
    host.disk("dm-9", None)  # on its way: it has no directory of device-mapper's any more
    for number, dm_uuid in enumerate(uuids):
        host.disk(f"dm-{number}", None, b"E:DM_SERIAL=9\nE:DM_WWN=0x6\n", dm__uuid=dm_uuid)
    (host.sys / "block/dm-0/slaves/sdb").mkdir()
    disks = host.read()
    assert list(disks) == ["dm-0"]
    seen = disks["dm-0"]
    assert (seen["kind"], seen["slaves"]) == ("multipath", ["sdb"])
    assert (seen["serial"], seen["wwn"]) == ("9", "0x6")


def test_memory_floppies_and_loops_without_a_file_are_left_out(host: Host) -> None:
    for name in ("ram0", "zram0", "loop7"):
        host.disk(name, parent=None, size="0" if name == "loop7" else "8")
    host.disk("fd0")
    host.disk("sda", size="0")
    assert list(host.read()) == ["sda"]


def test_a_disk_that_can_be_pulled_out_is_removable(host: Host) -> None:
    host.disk("sda")
    host.disk("sdb", removable="1")
    host.disk("sdc", record=b"E:ID_BUS=usb\n")
    host.disk("sdd", host.usb("pci0/usb1"), b"E:ID_BUS=ata\n")  # a fixed disk in a case
    host.disk("mmcblk0")
    removable = {name for name, disk in host.read().items() if disk["removable"]}
    assert removable == {"sdb", "sdc", "sdd", "mmcblk0"}


def test_a_leg_of_a_multipath_map_is_one(host: Host) -> None:
    host.disk("sda", record=b"E:DM_MULTIPATH_DEVICE_PATH=1\n")
    host.disk("sdb", record=b"E:ID_FS_TYPE=mpath_member\n")
    host.disk("sdc", record=b"E:DM_MULTIPATH_DEVICE_PATH=2\n")  # multipath waits for the others
    host.disk("nvme0c0n1", hidden="1")
    host.disk("sde", record=b"E:DM_MULTIPATH_DEVICE_PATH=0\n")
    host.disk("sdf")
    legs = {name for name, disk in host.read().items() if disk["multipath_leg"]}
    assert legs == {"sda", "sdb", "sdc", "nvme0c0n1"}


def test_a_disk_is_ready_when_udev_has_done_and_nobody_objects(host: Host) -> None:
    host.disk("sda")
    host.disk("sdb", record=None)
    host.disk("sdc", record=b"E:SYSTEMD_READY=0\n")
    host.disk("sdd", record=b"E:DM_UDEV_DISABLE_OTHER_RULES_FLAG=1\n")
    host.disk("sde", record=b"E:SYSTEMD_READY=1\n")
    assert {name for name, disk in host.read().items() if disk["ready"]} == {"sda", "sde"}


def test_flags_of_the_kernel(host: Host) -> None:
    host.disk("sda", ro="1", queue__rotational="1", queue__zoned="host-managed")
    host.disk("sdb", queue__zoned="host-aware")
    disks = host.read()
    assert (disks["sda"]["read_only"], disks["sda"]["rotational"]) == (True, True)
    assert (disks["sda"]["zoned"], disks["sdb"]["zoned"]) == (True, True)


def test_holders_of_the_partitions_count_too(host: Host) -> None:
    base = host.disk("cciss/c0d0")
    for number in (1, 2):
        _write(base / f"cciss!c0d0p{number}", {"partition": str(number)})
    (base / "holders/md0").mkdir()
    (base / "cciss!c0d0p2/holders/dm-1").mkdir(parents=True)  # the first is on its way out
    disk = host.read()["cciss/c0d0"]
    assert disk["partitions"] == ["cciss/c0d0p1", "cciss/c0d0p2"]
    assert disk["holders"] == ["dm-1", "md0"]


def test_partitions_are_known_by_their_numbers_too(host: Host) -> None:
    base = host.disk("sda")
    _write(base / "sda1", {"partition": "1", "dev": "8:17"})
    _write(base / "sda16", {"partition": "16", "dev": "259:3"})
    _write(base / "sda2", {"partition": "2"})  # on its way out
    assert host.read()["sda"]["partition_devnos"] == [[8, 17], [259, 3]]


def test_without_a_serial_of_its_own_the_long_one_serves(host: Host) -> None:
    host.disk("sda", record=b"E:ID_SERIAL=ACME_1\nE:ID_WWN=0x5\nE:ID_WWN_WITH_EXTENSION=0x56\n")
    host.disk("sdb", record=b"E:ID_SERIAL_SHORT=\nE:ID_PART_TABLE_TYPE=gpt\n")
    disks = host.read()
    assert (disks["sda"]["serial"], disks["sda"]["wwn"]) == ("ACME_1", "0x56")
    assert (disks["sdb"]["serial"], disks["sdb"]["content"]) == (None, "gpt")


def test_a_device_that_vanishes_takes_no_other_with_it(host: Host) -> None:
    host.disk("sda")
    (host.sys / "block/sdb").symlink_to("../devices/gone/block/sdb")
    for gone in ("dev", "size", "ro", "uevent"):
        (host.disk(f"sd{gone}") / gone).unlink()
    assert list(host.read()) == ["sda"]


def test_what_a_disk_says_of_itself_cannot_break_anything(host: Host) -> None:
    junk = b"\x1b[2J\x07\x80\xff\xc3\xa9\xe2\x80\xae" * 400
    record = b"E:ID_MODEL=" + junk + b"\nE:ID_SERIAL=a\tb\nE:ID_FS_TYPE=\xff\nS:disk/\x1b\xfe\n"
    host.disk("sda", record=record + b"E:ID_VENDOR=a\\x20\x7fb \nE:SYSTEMD_READY=\xff\n")
    disk = host.read()["sda"]
    assert disk["model"] == "?[2J?\ufffd\ufffd\u00e9?" * 400
    assert disk["serial"] == "a?b"
    assert disk["content"] == "\ufffd"  # something, and not nothing
    assert disk["links"] == ["/dev/disk/?\ufffd"]
    assert disk["vendor"] == "a\\x20?b "


# udev's record


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"S:disk/by-id/x\nI:5123456\nE:ID_FS_TYPE=LVM2_member\n", 5123456),
        (b"E:ID_MODEL=\xff\x1b\nI:7\n", 7),
        (b"E:X=I:9\n", None),
        (b"I:0\n", None),
        (b"I:-4\nI:\nI:x\n", None),
        (b"I:" + b"9" * 4000, None),
        (b"", None),
    ],
)
def test_when_a_device_appeared(tmp_path: Path, record: bytes, expected: int | None) -> None:
    (tmp_path / "b253:4").write_bytes(record)
    assert appeared_at((253, 4), tmp_path) == expected


def test_a_device_without_a_record_has_not_appeared(tmp_path: Path) -> None:
    (tmp_path / "b253:5").mkdir()
    assert appeared_at((253, 4), tmp_path) is None
    assert appeared_at((253, 5), tmp_path) is None


def test_when_a_device_appeared_is_read_again_only_from_another_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(text: str) -> None:
        # As udev does it: a new file under the same name.
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(tmp_path / "b253:4")

    appearances = Appearances(tmp_path)
    assert appearances.at((253, 4)) is None
    write("I:5\n")
    assert appearances.at((253, 4)) == 5
    with monkeypatch.context() as patch:
        patch.setattr("dmguard.edge.udevdb.appeared_at", None)
        assert appearances.at((253, 4)) == 5
    write("I:7\n")
    assert appearances.at((253, 4)) == 7
    (tmp_path / "b253:4").unlink()
    assert appearances.at((253, 4)) is None


def test_the_record_is_read_without_libudev() -> None:
    program = "import sys, dmguard.edge.udevdb; print('pyudev' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


# Events: the kernel's netlink socket


class Counting(BlockMonitor):
    """A monitor that counts how often it was asked, and may break."""

    calls = 0
    error: OSError | None = None

    def drain(self, limit: int = 256) -> tuple[str, ...]:
        self.calls += 1
        if self.error:
            raise self.error
        return super().drain(limit)


class Running:
    """UdevEvents for the time of an `async with`; on the kernel's events unless told else."""

    def __init__(self, source: str = "kernel", tag: str | None = None) -> None:
        self.wakes: list[Wake] = []
        self.monitor = Counting.open(source, tag)
        self.descriptor = self.monitor.fileno()

    async def __aenter__(self) -> Self:
        events = UdevEvents(lambda: self.monitor)
        self.task = asyncio.create_task(events.run(self.wakes.append))
        await until(lambda: bool(self.wakes))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task

    async def saw(self, name: str) -> None:
        await until(lambda: Wake(Trigger.UDEV, name) in self.wakes)


def test_it_wakes_when_it_listens_and_for_each_event(loop: Loop) -> None:
    async def main() -> list[Wake]:
        async with Running() as running:
            loop.change()
            await running.saw(loop.name)
        return running.wakes

    wakes = run(main())
    assert wakes[0] == Wake(Trigger.UDEV)
    assert Wake(Trigger.UDEV, loop.name) in wakes
    assert LOST not in wakes


def test_a_disk_that_grows_is_an_event(loop: Loop) -> None:
    async def main() -> bool:
        async with Running() as running:
            loop.grow()
            await running.saw(loop.name)
        return Wake(Trigger.UDEV, loop.name) in running.wakes

    assert run(main())


def test_events_of_other_subsystems_wake_nobody(loop: Loop) -> None:
    async def main() -> list[Wake]:
        async with Running() as running:
            Path("/sys/class/mem/zero/uevent").write_text("change")
            loop.change()  # comes after it
            await running.saw(loop.name)
        return running.wakes

    assert Wake(Trigger.UDEV, "zero") not in run(main())


def test_a_monitor_that_breaks_ends_it_with_its_error(loop: Loop) -> None:
    async def main() -> bool:
        monitor = Counting.open("kernel", None)
        descriptor = monitor.fileno()
        wakes: list[Wake] = []
        task = asyncio.create_task(UdevEvents(lambda: monitor).run(wakes.append))
        await until(lambda: bool(wakes))
        monitor.error = PermissionError(13, "Permission denied")
        loop.change()
        with pytest.raises(PermissionError):
            await task
        return asyncio.get_running_loop().remove_reader(descriptor)

    assert run(main()) is False


def test_a_host_without_netlink_ends_it_with_its_error() -> None:
    def open_monitor() -> BlockMonitor:
        raise OSError("Could not create udev monitor")

    with pytest.raises(OSError, match="udev monitor"):
        run(UdevEvents(open_monitor).run(lambda _: None))


def test_a_cancelled_source_leaves_no_reader_and_no_descriptor() -> None:
    async def main() -> bool:
        running = Running()
        async with running:
            assert os.fstat(running.descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(running.descriptor)
        return asyncio.get_running_loop().remove_reader(running.descriptor)

    assert run(main()) is False


# Events as udevd sends them: to the group of netlink that libudev listens to for "udev"


def murmur(text: str) -> int:
    """MurmurHash2 with seed 0, by which libudev's filter in the kernel compares."""
    data, mask, mix = text.encode(), 0xFFFFFFFF, 0x5BD1E995
    value = len(data)
    whole = len(data) & ~3
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        word = word * mix & mask  # noqa: PLW2901
        value = (value * mix & mask) ^ ((word ^ word >> 24) * mix & mask)
    if data[whole:]:
        value = (value ^ int.from_bytes(data[whole:], "little")) * mix & mask
    value = (value ^ value >> 13) * mix & mask
    return value ^ value >> 15


def udevd_sends(name: str, subsystem: str = "block", *tags: str) -> None:
    """One event of a virtual device (systemd, monitor_netlink_header)."""
    listed = f":{':'.join(tags)}:" if tags else ""
    facts = {
        "ACTION": "change", "DEVPATH": f"/devices/virtual/{subsystem}/{name}",
        "SUBSYSTEM": subsystem, "SEQNUM": "1", "TAGS": listed, "CURRENT_TAGS": listed,
    }  # fmt: skip
    body = "".join(f"{key}={value}\0" for key, value in facts.items() if value).encode()
    bloom = 0
    for tag in tags:
        for shift in (0, 6, 12, 18):
            bloom |= 1 << (murmur(tag) >> shift & 63)
    head = struct.pack("=8s4s3I", b"libudev", b"\xfe\xed\xca\xfe", 40, 40, len(body))
    head += struct.pack("!IIQ", murmur(subsystem), 0, bloom)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as sender:
        sender.sendto(head + body, (0, 2))


def test_of_what_udev_sends_only_block_devices_with_the_tag_are_told(
    loop: Loop, other: Loop
) -> None:
    with BlockMonitor.open() as monitor:
        udevd_sends(other.name)
        udevd_sends(other.name, "block", "systemd")
        udevd_sends("zero", "mem", "dmguard")
        udevd_sends(loop.name, "block", "systemd", "dmguard")
        assert select.select([monitor], [], [], 10)[0]
        assert monitor.drain() == (loop.name,)


class Narrow:
    """A tag that no other program listens for, and too many events that bear it."""

    def __init__(self) -> None:
        self.tag = f"test-{uuid.uuid4().hex}"

    def narrow(self, monitor: BlockMonitor) -> BlockMonitor:
        with socket.socket(fileno=os.dup(monitor.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        return monitor

    def open(self) -> BlockMonitor:
        return self.narrow(BlockMonitor.open("udev", self.tag))

    def flood(self) -> None:
        for _ in range(1000):
            udevd_sends("sdx", "block", self.tag)


def test_a_flood_is_told_once_and_later_events_arrive() -> None:
    async def main() -> tuple[Running, int]:
        narrow = Narrow()
        running = Running("udev", narrow.tag)
        narrow.narrow(running.monitor)
        async with running:
            narrow.flood()
            await until(lambda: LOST in running.wakes)
            await running.saw("sdx")  # what was in the queue is not lost
            udevd_sends("sdy", "block", narrow.tag)
            await running.saw("sdy")
            before = running.monitor.calls
            for _ in range(300):
                await asyncio.sleep(0)
        return running, running.monitor.calls - before

    running, calls_at_rest = run(main())
    assert running.wakes.count(LOST) == 1
    assert 0 < running.wakes.count(Wake(Trigger.UDEV, "sdx")) < 100
    assert calls_at_rest == 0  # a socket whose error stays pending is readable in every turn
    assert running.monitor.calls < 10


def test_that_events_were_lost_is_said_once_a_minute_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> Running:
        narrow = Narrow()
        running = Running("udev", narrow.tag)
        narrow.narrow(running.monitor)
        async with running:
            narrow.flood()
            await until(lambda: running.wakes.count(LOST) == 1)
            narrow.flood()
            await until(lambda: running.wakes.count(LOST) == 2)
        return running

    run(main())
    (record,) = [one for one in caplog.records if "lost" in one.getMessage()]
    assert record.levelname == "WARNING"


def test_a_burst_is_read_in_pieces_and_in_order() -> None:
    tag = Narrow().tag
    with BlockMonitor.open("udev", tag) as monitor:
        for number in range(10):
            udevd_sends(f"sdx{number}", "block", tag)
        pieces = [monitor.drain(limit=4) for _ in range(4)]
    assert [len(piece) for piece in pieces] == [4, 4, 2, 0]
    assert [name for piece in pieces for name in piece] == [f"sdx{n}" for n in range(10)]


def test_a_burst_does_not_keep_the_loop_from_others() -> None:
    async def main() -> tuple[int, int]:
        tag = Narrow().tag
        async with Running("udev", tag) as running:
            for _ in range(600):
                udevd_sends("sdx", "block", tag)
            turns = 0
            while len(running.wakes) < 601:
                await asyncio.sleep(0)
                turns += 1
        return turns, running.monitor.calls

    turns, calls = run(main())
    assert calls == 3
    assert turns >= calls


def test_two_floods_are_told_twice() -> None:
    narrow = Narrow()
    with narrow.open() as monitor:
        for _ in range(2):
            narrow.flood()
            with pytest.raises(LostEventsError):
                monitor.drain()
            assert "sdx" in monitor.drain()
            assert monitor.drain() == ()


def test_an_overflow_that_the_read_tells_of_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Narrow()
    with narrow.open() as monitor:
        real = monitor._monitor
        # Straight to the read, as when the overflow comes after the poll.
        monkeypatch.setattr(real, "poll", lambda timeout: real._receive_device())
        narrow.flood()
        with pytest.raises(LostEventsError):
            monitor.drain()
        assert "sdx" in monitor.drain()
        monkeypatch.undo()


# The rules


_RULES = ROOT / "units/90-dmguard.rules"
_TERM = re.compile(r'([A-Z]+)(?:\{(\w+)\})?(==|!=|\+=|=)"([^"\\]*)"')


def rules() -> list[list[tuple[str, str, str, str]]]:
    """The rules as (key, attribute, operator, value), by line."""
    parsed = []
    for line in _RULES.read_text().splitlines():
        if line and not line.startswith("#"):
            terms = re.split(r",\s*", line)
            matches = [_TERM.fullmatch(term) for term in terms]
            assert all(matches), f"not a rule of udev's: {line}"
            parsed.append([(m[1], m[2] or "", m[3], m[4]) for m in matches if m])
    return parsed


def is_tagged(kernel: str, subsystem: str = "block", **env: str) -> bool:
    """What udev would do: a rule whose matches all hold acts; GOTO leads to the LABEL."""
    facts = {"KERNEL": kernel, "SUBSYSTEM": subsystem}
    tagged, label = False, None
    for rule in rules():
        if label is not None:
            label = None if ("LABEL", "", "=", label) in rule else label
            continue
        holds = True
        for key, name, operator, value in rule:
            fact = env.get(name, "") if key == "ENV" else facts.get(key, "")
            if operator in ("==", "!="):
                found = any(fnmatch.fnmatchcase(fact, part) for part in value.split("|"))
                holds = holds and found == (operator == "==")
        for key, _, operator, value in rule if holds else ():
            tagged = tagged or (key, operator, value) == ("TAG", "+=", "dmguard")
            label = value if key == "GOTO" else label
    assert label is None, f"no LABEL {label}"
    return tagged


@pytest.mark.parametrize(
    ("kernel", "env"),
    [
        ("sda", {"DEVTYPE": "disk"}),
        ("nvme0n1", {"DEVTYPE": "disk"}),
        ("sda2", {"DEVTYPE": "partition", "ID_FS_TYPE": "LVM2_member"}),
        ("loop3", {"DEVTYPE": "disk", "ID_FS_TYPE": "LVM2_member"}),
        ("md0", {"DEVTYPE": "disk", "ID_FS_TYPE": "LVM2_member"}),
        ("dm-3", {"DEVTYPE": "disk", "DM_UUID": "mpath-3600a"}),
    ],
)
def test_the_events_that_matter_get_the_tag(kernel: str, env: dict[str, str]) -> None:
    assert is_tagged(kernel, **env)


@pytest.mark.parametrize(
    ("kernel", "env"),
    [
        ("dm-4", {"DEVTYPE": "disk", "DM_UUID": "LVM-x"}),
        ("dm-4", {"DEVTYPE": "disk", "DM_UUID": "LVM-x", "ID_FS_TYPE": "LVM2_member"}),
        ("dm-5", {"DEVTYPE": "disk"}),
        ("dm-6", {"DEVTYPE": "disk", "DM_UUID": "part1-mpath-3600a"}),
        ("sda1", {"DEVTYPE": "partition", "ID_FS_TYPE": "ext4"}),
        ("loop3", {"DEVTYPE": "disk"}),
        ("zram0", {"DEVTYPE": "disk"}),
        ("sr0", {"DEVTYPE": "disk"}),
        ("nbd0", {"DEVTYPE": "disk"}),
    ],
)
def test_all_other_events_get_none(kernel: str, env: dict[str, str]) -> None:
    assert not is_tagged(kernel, **env)
    assert not is_tagged("sda", "net", **env)
