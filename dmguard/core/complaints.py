"""What LVM's own words mean, where they say why it did not do what it was to do.

The words are those of lvm2: lib/activate for thin_check and for the kernel's module,
libdm/libdm-deptree.c for the transaction id, libdm/ioctl/libdm-iface.c for what the kernel refuses,
lib/label/label.c for a disk that cannot be opened, read or written.
"""

from __future__ import annotations

import re

_MEANINGS = (
    (re.compile(r"\bCheck of pool \S+ failed \(status:-?\d+\)"), "thin-check-failed"),
    (re.compile(r"\btransaction_id is \d+, while expected \d+"), "transaction-id-mismatch"),
    (
        re.compile(
            r"\bresume ioctl on .*\bfailed: Invalid argument\s.*\bUnable to resume ", re.DOTALL
        ),
        "pool-table-refused",
    ),
    (re.compile(r"\bthin-pool target support missing from kernel"), "thin-target-missing"),
)

# lib/format_text/archiver.c and archive.c: a directory that is read-only, full, or none.
_UNARCHIVED = re.compile(r"archiv|/\.lvm_\S+: ", re.IGNORECASE)

LASTING = frozenset(code for _, code in _MEANINGS)
"""What does not pass by itself, and is mended by no act of dmguard's."""

_PASSING = re.compile(
    r": (?:Input/output error|Device or resource busy|Resource temporarily unavailable"
    r"|Cannot allocate memory|No space left on device|Read-only file system|Too many open files"
    r"|Interrupted system call|Connection timed out|Remote I/O error)$"
    r"|\bError (?:reading|writing) device |\bCan't open \S+ exclusively\b",
    re.MULTILINE,
)
_FOUND = re.compile(r"\bAborted wiping of ")
"""It read so much of the disk that it saw what is there."""


def may_pass(complaint: str) -> bool:
    """Is it nothing that LVM has against the disk, so that the same may be done a while later?"""
    return bool(_PASSING.search(complaint)) and not _FOUND.search(complaint)


def is_unarchived(complaint: str) -> bool:
    """Did LVM refuse because it could not keep a copy of the metadata that it was to change?"""
    return _UNARCHIVED.search(complaint) is not None


def meaning_of(complaint: str) -> str:
    """The code of why LVM refused; empty if its words do not tell."""
    return next((code for words, code in _MEANINGS if words.search(complaint)), "")
