"""What LVM's own words mean, where they say why a pool does not come up.

The words are those of lvm2: lib/activate for thin_check and for the kernel's module,
libdm/libdm-deptree.c for the transaction id, libdm/ioctl/libdm-iface.c for what the kernel refuses.
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

LASTING = frozenset(code for _, code in _MEANINGS)
"""What does not pass by itself, and is mended by no act of dmguard's."""


def meaning_of(complaint: str) -> str:
    """The code of why LVM refused; empty if its words do not tell."""
    return next((code for words, code in _MEANINGS if words.search(complaint)), "")
