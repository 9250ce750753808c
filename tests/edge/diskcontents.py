"""What a disk may have on it, as the programs that put it there write it."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

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
