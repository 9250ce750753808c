"""A disk that LVM has begun to make a physical volume, and that no group has or had.

vgcreate and vgextend write the header of a metadata area, then the label, then the label anew with
the mark that a group uses it, then the group's text, and only then where that text is (seen with
2.03.16 and 2.03.31). From the mark to the end LVM refuses the disk to everybody, without a group
that it could be of. Where the first place of the text is empty no group was ever committed here:
that is the proof that nothing is lost with the rest.
"""

from __future__ import annotations

import struct
import zlib

LABEL_SPACE = 1 << 20
"""Bytes that LVM keeps at the start of a PV (lvm.conf, devices/default_data_alignment)."""

BEHIND_LABEL = 4096
"""The label is before it, and all metadata behind."""

_SECTOR = 512
_CLEARED = 2048
"""Bytes that LVM fills with zeros before it writes anything (lvm2, toollib.c, pvcreate)."""
_PAGES = (4096, 16384, 65536)
"""Where the first metadata area begins: behind the first page of memory, whatever that is."""
_MAGIC = b" LVM2 x[5A%r0N*>"
_EMPTY = bytes(24)


def unmade(head: bytes) -> bytes | None:
    """The first LABEL_SPACE bytes of a disk without what LVM has written there.

    None if that is nothing, or anything else than the half of a PV. What is neither LVM's nor blank
    is left in it. Blank is 0x00, or 0xff on erased flash.
    """
    if len(head) != LABEL_SPACE:
        return None
    fill = b"\xff" if not head[_CLEARED:BEHIND_LABEL].strip(b"\xff") else b"\x00"
    label = head[_SECTOR : 2 * _SECTOR]
    area = _area_of(label)
    if area is not None:
        begin, end = area
        header = head[begin : begin + _SECTOR]
        if header.strip(fill) and not _is_uncommitted(header, begin):
            return None
    elif label.strip(b"\x00") and label.strip(fill):
        return None
    else:
        found = [page for page in _PAGES if _is_uncommitted(head[page : page + _SECTOR], page)]
        if not found:
            return None
        begin, end = found[0], found[0] + _SECTOR
    before = bytearray(head)
    before[begin:end] = fill * (end - begin)
    before[_SECTOR : 2 * _SECTOR] = fill * _SECTOR
    cleared = head[:_SECTOR] + head[2 * _SECTOR : _CLEARED]
    if not cleared.strip(b"\x00"):
        before[:_CLEARED] = fill * _CLEARED
    return bytes(before)


def _area_of(sector: bytes) -> tuple[int, int] | None:
    """Where the metadata area begins and ends of which a PV's label tells, as far as it is in the
    head. None if this is no whole label, or there is not one such area (lvm2, label.h, struct
    label_header; format_text/layout.h, struct pv_header).
    """
    own, number, checksum, offset, kind = struct.unpack_from("<8sQII8s", sector)
    if (own, number, offset, kind) != (b"LABELONE", 1, 32, b"LVM2 001"):
        return None
    if checksum != _checksum(sector[20:]):
        return None
    lists: list[list[tuple[int, int]]] = [[], []]
    # Behind the uuid and the size: the areas of data, and those of metadata.
    places = struct.iter_unpack("<QQ", sector[72 : 72 + 16 * ((_SECTOR - 72) // 16)])
    for areas in lists:
        for place in places:
            if place == (0, 0):
                break
            areas.append(place)
    if len(lists[1]) != 1:
        return None
    ((begin, size),) = lists[1]
    end = min(begin + size, LABEL_SPACE)
    return (begin, end) if BEHIND_LABEL <= begin <= end - _SECTOR else None


def _is_uncommitted(sector: bytes, begin: int) -> bool:
    """Is it the header of a metadata area in which no group was ever committed? (lvm2,
    format_text/layout.h, struct mda_header)
    """
    checksum, magic, version, start, _ = struct.unpack_from("<I16sIQQ", sector)
    if (magic, version, start) != (_MAGIC, 1, begin) or checksum != _checksum(sector[4:]):
        return False
    return sector[40:64] == _EMPTY


def _checksum(data: bytes) -> int:
    """A CRC-32 that begins elsewhere, and is not turned at its end (lvm2, misc/crc.c)."""
    return zlib.crc32(data, ~0xF597A6CF & 0xFFFFFFFF) ^ 0xFFFFFFFF
