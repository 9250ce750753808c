"""What is on a disk, and what wipefs, blkid and the host's files say of it."""

from __future__ import annotations

import json
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from dmguard.core.halfpv import LABEL_SPACE, unmade
from dmguard.core.model import Disk
from dmguard.edge import diskusers, signatures
from dmguard.edge.deadline import DoubtError
from dmguard.edge.diskread import BLOCK, places, read_content
from dmguard.edge.mentions import mentions
from dmguard.edge.mounts import read_mounts, unescape
from dmguard.edge.roots import Roots
from tests.edge.diskcontents import dos, ext4, gpt, luks, lvm, md_1_2, swap
from tests.fuzz.dice import Dice, either
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated, mutated_block, mutated_json, mutated_text
from tests.fuzz.targets.lvm import Answers, at_once, ended
from tests.unit.pvhead import COMMITTED, HEADER, LABEL, PREPARED, TEXT, resigned, signed

_SIZE = LABEL_SPACE + 8 * BLOCK
_LINKS = ("/dev/disk/by-id/wwn-0x5000c500", "/dev/disk/by-path/pci-0000:00:05.0")
_DISK = Disk("disk", (8, 240), _SIZE, path="pci-0000:00:05.0", links=_LINKS)

_SECTORS = (LABEL, HEADER, PREPARED, COMMITTED, TEXT, bytes(512), b"\xff" * 512)
_SECTOR = mutated_block(_SECTORS, most=2)
_PLACES = (0, 510, 512, 1024, 2048, 4096, 4608, 16384, 65536, LABEL_SPACE - 512)


def make_head(dice: Dice) -> bytes:
    """Sectors as LVM's, some with the right checksum, on a disk that is else blank."""
    head = bytearray(dice.one((b"\0", b"\0", b"\xff")) * LABEL_SPACE)
    for _ in range(dice.number(0, 4)):
        at, data = dice.one(_PLACES), _SECTOR(dice)
        sign = dice.one((bytes, signed, resigned))
        whole = sign(data.ljust(512, b"\0")[:512])
        head[at : at + len(data)] = whole[: len(data)]
    return bytes(head)


def _make_disk(dice: Dice) -> bytes:
    return make_head(dice).ljust(_SIZE, b"\0")


def _filled(make: object) -> bytes:
    disk = bytearray(_SIZE)
    make(disk)  # type: ignore[operator]
    return bytes(disk)


_DISKS = tuple(_filled(make) for make in (ext4, swap, luks, md_1_2, lvm, dos, gpt, lambda _: None))


def check_head(data: bytes) -> None:
    found = unmade(data)
    if found is None:
        return
    assert len(found) == len(data) == LABEL_SPACE
    assert data[4096:4608] != COMMITTED or found[4096:4608] == COMMITTED, "a group is gone"
    # Cut off where the act writes the rest first, it is still the same half, or nothing of LVM's is
    # left: behind the label, or before it but for zeros.
    half = data[:4096] + found[4096:]
    assert unmade(half) in (found, None)
    blank = not half[4096:].strip(half[4096:4097]) or not half[:4096].strip(b"\0\xff")
    assert unmade(half) is not None or half == found or blank
    changed = {
        at // 512
        for at in range(0, LABEL_SPACE, 512)
        if data[at : at + 512] != found[at : at + 512]
    }
    if b"LABELONE" not in data[512:520]:
        assert len(changed - {0, 1, 2, 3}) <= 1, "more is gone than a header"


def check_content(data: bytes) -> None:
    """Of a disk of its size or another."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        node = Path(folder) / "disk"
        node.write_bytes(data[:_SIZE])
        try:
            content = read_content(node, _DISK, threading.Event())
        except DoubtError as error:
            assert len(data) != _SIZE
            assert str(error)
            return
        assert len(data) >= _SIZE
        data = data[:_SIZE]
        fill = data[:1]
        blank = fill in (b"\0", b"\xff") and not data.strip(fill)
        assert (content.data_at is None) == blank
        assert content.half_pv == (
            content.data_at is not None
            and content.data_at < LABEL_SPACE
            and unmade(data[:LABEL_SPACE]) is not None
        )
    for size in (len(data), 3 << 30):
        last = 0
        for offset, length in places(size, samples=64):
            assert 0 <= offset <= offset + length <= size
            last = max(last, offset + length)
        assert last == size


_WIPEFS = {
    "signatures": [
        {"offset": "0x1fe", "type": "dos", "usage": "partition-table"},
        {"offset": "0x218", "type": "LVM2_member", "usage": "raid"},
    ]
}


def check_wipefs(data: bytes) -> None:
    answers = Answers(ended(data.decode(errors="replace")))
    try:
        found = at_once(signatures._wipefs(Path("/dev/x"), answers))  # type: ignore[arg-type]
    except DoubtError:
        return
    text = data.decode(errors="replace")
    rows = json.loads(text)["signatures"] if text.strip() else []
    assert len(found) == len(rows), "it is not blank"
    for one in found:
        assert isinstance(one.offset, int)
        assert str(one)
    signatures.merged(found, (("dos", 510),))


def check_blkid(data: bytes) -> None:
    text = data.decode(errors="replace")
    for status in (0, 2, 8, 4, -9):
        answers = Answers(ended(text, status))
        try:
            found = at_once(signatures._blkid(Path("/dev/x"), answers))  # type: ignore[arg-type]
        except DoubtError:
            named = any(line.startswith(("TYPE=", "PTTYPE=")) for line in text.splitlines())
            assert status not in (0, 2) or not named
            continue
        assert found or status == 2, "it is not blank if blkid found something"


_MOUNTINFO = """\
22 1 254:0 / / rw,noatime - ext4 /dev/vda rw
50 22 8:240 / /srv/my\\040data rw shared:1 master:2 - ext4 /dev/other rw
51 22 0:40 /sub /var/lib/docker/x rw - btrfs /dev/disk rw
52 22 0:41 / /var/lib/docker rw - tmpfs tmpfs rw
"""


def check_mounts(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        roots = Roots(*(Path(folder) / name for name in ("proc", "sys", "etc", "dev")))
        (roots.proc / "self").mkdir(parents=True)
        roots.dev.mkdir()
        (roots.proc / "self" / "mountinfo").write_bytes(data)
        (roots.proc / "swaps").write_bytes(b"Filename Type\n" + data)
        target = diskusers.Target.of(_DISK, roots)
        text = data.decode(errors="replace")
        told: list[str] = []
        for users in (
            diskusers._mounts(target, text),
            diskusers._swapped(target, roots.proc),
        ):
            try:
                told += users
            except DoubtError as error:
                told.append(str(error))
        assert all(line.isprintable() for line in told), told
        found = read_mounts(Path(folder), Path("/var/lib/docker"))
        assert found is not None
        # Every whole line counts, whatever is in the names that the kernel does not escape.
        for line in data.decode(errors="surrogateescape").split("\n"):
            words = line.split(" ")
            if len(words) > 5 and words[4].startswith("/var/lib/docker/"):
                below = words[4].removeprefix("/var/lib/docker/")
                plain = (
                    below and "/" not in below and "\\" not in below and below not in (".", "..")
                )
                assert not plain or unescape(below) in found, line


_ETC = """\
# /etc/fstab
/dev/disk1\t/srv ext4 defaults 0 2
ID=wwn-0x5000c500 /srv ext4 defaults 0 2
ARRAY /dev/md0
  devices=/dev/disk
POLICY domain=x action=spare path=pci-*
policy action=include path=[!a
mounts:
 - [ disk, /srv ]
"""


def check_mentions(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        etc = Path(folder)
        for name in ("fstab", "mdadm/mdadm.conf", "cloud/cloud.cfg", "zfs/vdev_id.conf"):
            (etc / name).parent.mkdir(exist_ok=True)
            (etc / name).write_bytes(data)
        found = mentions(_DISK, etc)
        lines = data.decode(errors="replace").split("\n")
        if any(line.startswith("/dev/disk ") for line in lines):
            assert "/etc/fstab" in found
        # What the disk says of itself is no pattern.
        odd = replace(_DISK, links=("/dev/disk/by-id/" + "(a+)+$[" * 20, "/dev/disk/by-path/["))
        mentions(odd, etc)


def check_users(data: bytes) -> None:
    """A process may call itself anything, and have anything open."""
    comm, _, link = data[:4000].replace(b"\0", b"").partition(b"|")
    with tempfile.TemporaryDirectory() as folder:
        roots = Roots(*(Path(folder) / name for name in ("proc", "sys", "etc", "dev")))
        roots.dev.mkdir()
        process = roots.proc / "1"
        (process / "fd").mkdir(parents=True)
        (process / "ns").mkdir()
        (process / "ns" / "mnt").symlink_to("mnt:[1]")
        (process / "root").symlink_to("/")
        (process / "comm").write_bytes(comm)
        (process / "mountinfo").write_text(_MOUNTINFO.splitlines()[0] + "\n")
        for number, text in enumerate((link, b"/dev/disk")):
            if text:
                (process / "fd" / str(number)).symlink_to(text.decode(errors="surrogateescape"))
        target = diskusers.Target.of(_DISK, roots)
        try:
            with patch.object(diskusers, "_UDEV_S", 0.0):
                found = list(diskusers.users(target, roots, threading.Event()))
        except (OSError, DoubtError):
            return
        assert len(found) == 1
        assert found[0].isprintable(), found


TARGETS = (
    Target("disk-head", make_head, check_head),
    Target(
        "disk-content",
        either(mutated_block(_DISKS, most=3), _make_disk),
        check_content,
    ),
    Target("wipefs", mutated_json([_WIPEFS], ("0x", "0b1", "08", "gpt")), check_wipefs),
    Target(
        "blkid",
        mutated_text(["DEVNAME=/dev/sda\nTYPE=ext4\nUUID=x\n", "PTTYPE=gpt\n", ""], ["TYPE="]),
        check_blkid,
    ),
    Target("mounts", mutated_text([_MOUNTINFO], [" - ", " ", "\\040", "/dev/"]), check_mounts),
    Target("mentions", mutated_text([_ETC], ["/dev/disk", "(a+)+$", "pol"]), check_mentions),
    Target("disk-users", mutated((b"qemu|/dev/disk", b"a b|/x", b"udevd|x")), check_users),
)
