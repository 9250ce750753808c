"""The first MiB of a disk as LVM 2.03.16 left it at moments of its vgcreate."""

import zlib

LABEL = bytes.fromhex(
    "4c4142454c4f4e45010000000000000047acf58a200000004c564d3220303031"
    "46314b6470414f584e557978555350446a58747478796461643174476c61535a"
    "0000000400000000000010000000000000000000000000000000000000000000"
    "0000000000000000"
    "0010000000000000" + "00f00f0000000000" + "00" * 16 + "0200000001"
).ljust(512, b"\0")
"""A label of a disk of 64 MiB with the mark that a group uses it; metadata from 4096 to 1 MiB."""

HEADER = bytes.fromhex(
    "16d68edb204c564d3220785b35412572304e2a3e01000000001000000000000000f00f"
).ljust(512, b"\0")
PREPARED = bytes.fromhex(
    "912251d5204c564d3220785b35412572304e2a3e01000000001000000000000000f00f"
    + "00" * 30
    + "020000000000006a03000000000000d88a7d19"
).ljust(512, b"\0")
"""It has the text, which is not the group's yet."""
COMMITTED = bytes.fromhex(
    "7fa69ac0204c564d3220785b35412572304e2a3e01000000001000000000000000f00f"
    + "00" * 6
    + "020000000000006a0300000000000020360b35"
).ljust(512, b"\0")
TEXT = b'docker {\nid = "x"\n}\n\0'


def head(*pieces: tuple[int, bytes], fill: bytes = b"\0") -> bytes:
    """These pieces at these offsets, and nothing else; 2048 bytes cleared if it is not zeros."""
    disk = bytearray(fill * (1 << 20))
    if fill != b"\0":
        disk[:2048] = bytes(2048)
    for offset, data in pieces:
        disk[offset : offset + len(data)] = data
    return bytes(disk)


def signed(label: bytes) -> bytes:
    """The same sector with the checksum that LVM would give it, computed bit by bit."""
    crc = 0xF597A6CF
    for byte in label[20:]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return label[:16] + crc.to_bytes(4, "little") + label[20:]


def resigned(header: bytes) -> bytes:
    """The same for the header of a metadata area."""
    crc = zlib.crc32(header[4:], 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "little") + header[4:]
