"""What a used disk may bear, made byte by byte, and ways to write, read and wipe it whole."""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.lab.machine import Machine

SECTOR = 512
Pieces = list[tuple[int, bytes]]
"""What is written at which offset."""


def put(m: Machine, device: str, pieces: Pieces) -> None:
    """Write pieces to a device."""
    for offset, data in pieces:
        m.put("/run/piece", data)
        m.run(
            f"dd if=/run/piece of={device} bs=1M seek={offset} oflag=seek_bytes conv=notrunc,fsync"
        )


def checksums(m: Machine, devices: Iterable[str]) -> dict[str, str]:
    """The checksum of each whole device, read from the disk and not from a cache."""
    m.run("echo 3 > /proc/sys/vm/drop_caches")
    lines = m.run(f"sha256sum {' '.join(devices)}", timeout=300).out.splitlines()
    return {device: digest for digest, device in (line.split() for line in lines)}


def wipe(m: Machine, devices: Iterable[str]) -> None:
    """Zeros from end to end. The device is held open all the time, so nobody finds it half done.

    udev has the kernel forget the partitions, but not if it was just looking at the disk.
    """
    for device in devices:
        m.run(f"dd if=/dev/zero of={device} bs=1M iflag=fullblock conv=fsync || test $? = 1")
        name = device.removeprefix("/dev/")
        gone = f"! ls -d /sys/block/{name}/{name}?*"
        m.wait_until(f"{gone} || {{ blockdev --rereadpt {device}; {gone}; }}")


def gpt_backup(size: int, entries: bytes = bytes(128 * 128)) -> Pieces:
    """The table and header at the end of a disk, with no partition in it."""
    last = size // SECTOR - 1
    return [
        ((last - 32) * SECTOR, entries),
        (last * SECTOR, _gpt_header(last, 1, last, entries, last - 32)),
    ]


def gpt(size: int, entries: bytes = bytes(128 * 128)) -> Pieces:
    """A whole GPT: the protective MBR, and both headers with their tables."""
    last = size // SECTOR - 1
    record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, last)
    return [
        (0, bytes(446) + record + bytes(48) + b"\x55\xaa"),
        (SECTOR, _gpt_header(1, last, last, entries, 2) + entries),
        *gpt_backup(size, entries),
    ]


def gpt_partition(size: int) -> Pieces:
    """The same with a partition for Linux, which the kernel shows."""
    linux = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le
    first, last = 2048, size // SECTOR - 2048
    own = hashlib.md5(b"partition", usedforsecurity=False).digest()
    return gpt(size, struct.pack("<16s16sQQ", linux, own, first, last).ljust(128 * 128, b"\0"))


def _gpt_header(own: int, other: int, last: int, entries: bytes, at: int) -> bytes:
    """UEFI specification, 5.3.2: its own checksum is taken with the field at 0."""
    guid = hashlib.md5(b"disk", usedforsecurity=False).digest()

    def header(crc: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(b"EFI PART", 0x10000, 92, crc, 0, own, other, 34, last - 33),
            *(guid, at, 128, 128, zlib.crc32(entries)),
        )

    return header(zlib.crc32(header(0))).ljust(SECTOR, b"\0")


def msdos(_size: int) -> Pieces:
    """A partition table without a partition."""
    return [(440, b"\x01\x02\x03\x04"), (510, b"\x55\xaa")]


def md_1_0(size: int) -> Pieces:
    """A leg of a mirror, with its superblock at the end."""
    return _md((size // SECTOR - 16) // 8 * 8)


def md_1_2(_size: int) -> Pieces:
    """The same with its superblock 4 KiB from the start."""
    return _md(8)


def _md(at: int) -> Pieces:
    """Linux, include/uapi/linux/raid/md_p.h, struct mdp_superblock_1."""
    block = bytearray(264)
    struct.pack_into("<III", block, 0, 0xA92B4EFC, 1, 0)
    block[16:32] = hashlib.md5(b"array", usedforsecurity=False).digest()
    block[32:41] = b"machine:0"
    struct.pack_into("<QiIQII", block, 64, 1, 1, 0, 16384, 0, 2)
    struct.pack_into("<QQQ", block, 128, 2048, 16384, at)
    struct.pack_into("<QQ", block, 192, 1, 17)
    struct.pack_into("<I", block, 220, 4)
    struct.pack_into("<HHHH", block, 256, 0, 1, 0xFFFF, 0xFFFF)
    total = sum(struct.unpack("<66I", block))
    struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32))
    return [(at * SECTOR, bytes(block))]


def luks(_size: int) -> Pieces:
    """The header of LUKS 1."""
    words = (b"aes", b"xts-plain64", b"sha256")
    header = struct.pack(">6sH32s32s32s", b"LUKS\xba\xbe", 1, *words)
    own = b"6b1d3bb8-2d8e-4c55-9b11-58f1bf0c3c5f"
    return [(0, header + bytes(168 - len(header)) + own.ljust(40, b"\0"))]


def luks_2(_size: int) -> Pieces:
    """The first of the two binary headers of LUKS 2 (cryptsetup, LUKS2 On-Disk Format, 2.1)."""
    words = (b"", b"sha256", bytes(range(64)), b"6b1d3bb8-2d8e-4c55-9b11-58f1bf0c3c5e", b"")
    header = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184x64x", b"LUKS\xba\xbe", 2, 16384, 1, *words, 0
    ).ljust(4096, b"\0")
    checksum = hashlib.sha256(header + bytes(12288)).digest()
    return [(0, header[:448] + checksum + header[480:])]


def bcache(_size: int) -> Pieces:
    """A backing device (Linux, drivers/md/bcache/bcache_ondisk.h, struct cache_sb_disk)."""
    magic = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
    body = struct.pack("<QQ16s", 8, 1, magic) + bytes(range(1, 33)) + bytes(32 + 8 + 64)
    body += struct.pack("<QQHHI", 16, 0, 1, 0, 0)
    return [(4096, struct.pack("<Q", _crc64(body)) + body)]


def _crc64(data: bytes) -> int:
    """Linux, lib/crc64.c, crc64_be, with all bits set before and turned after."""
    crc = ones = (1 << 64) - 1
    for byte in data:
        crc ^= byte << 56
        for _ in range(8):
            crc = (crc << 1 & ones) ^ (0x42F0E1EBA9EA3693 if crc >> 63 else 0)
    return crc ^ ones


def at_head(_size: int) -> Pieces:
    """Text that nothing knows."""
    return [(4, b"written by a program that leaves no signature")]


def at_tail(size: int) -> Pieces:
    """The same at the very end."""
    return [(size - 45, b"written by a program that leaves no signature")]


def noise(size: int) -> Pieces:
    """As a disk looks that is encrypted without a header."""
    return [(0, hashlib.shake_128(b"a plain dm-crypt disk").digest(size))]


CRAFTED: dict[str, tuple[Callable[[int], Pieces], str]] = {
    "gpt": (gpt, "disk-partition-table"),
    "gpt with a partition": (gpt_partition, "disk-partition-table"),
    "backup gpt": (gpt_backup, "disk-partition-table"),
    "msdos": (msdos, "disk-partition-table"),
    "md 1.0": (md_1_0, "disk-signature"),
    "md 1.2": (md_1_2, "disk-signature"),
    "luks": (luks, "disk-signature"),
    "luks 2": (luks_2, "disk-signature"),
    "bcache": (bcache, "disk-signature"),
    "head": (at_head, "disk-has-data"),
    "tail": (at_tail, "disk-has-data"),
    "noise": (noise, "disk-has-data"),
}
"""Contents by name, with the code of the reason for which such a disk is left alone."""

COMMANDS = {
    "ext4": ("mkfs.ext4 -q {}", "disk-signature"),
    "xfs": ("mkfs.xfs -q --unsupported {}", "disk-signature"),
    "swap": ("mkswap -q {}", "disk-signature"),
    "other vg": ("vgcreate -y -s 1m other {}", "disk-in-other-vg"),
    "orphan": ("pvcreate -y {}", "disk-orphan-pv"),
    "held": ("dmsetup create over --table '0 8192 linear {} 0'", "disk-held"),
    # A mount whose signature is gone: only the kernel knows that it is in use. udev misses a write
    # that falls into an event of the disk, here that of mkfs.
    "mounted": (
        (
            "mkfs.ext4 -q {0} && mount -o ro,noload {0} /mnt"
            " && dd if=/dev/zero of={0} bs=2k count=1 && udevadm trigger --settle {0}"
        ),
        "disk-in-use",
    ),
}
"""The same, made with programs of the machine; {} is the device."""
