"""The one table of stable codes: what each means, what it threatens, and what cures it.

`dmguard explain`, the journal catalog and the man page are made from it. A code is never renamed
and never given another meaning, because scripts and alerts match on it.
"""

from __future__ import annotations

from dmguard.core.codes.boots import BOOTS
from dmguard.core.codes.code import Code, Severity
from dmguard.core.codes.consumers import CONSUMERS
from dmguard.core.codes.disks import DISKS
from dmguard.core.codes.growth import GROWTH
from dmguard.core.codes.loops import LOOPS
from dmguard.core.codes.lvm import LVM
from dmguard.core.codes.pools import POOLS
from dmguard.core.codes.repairs import REPAIRS
from dmguard.core.codes.setup import SETUP
from dmguard.core.codes.verdicts import VERDICTS

__all__ = ["AROUND", "CODES", "Code", "Severity"]

AROUND = (*GROWTH, *LVM, *CONSUMERS)
"""What is said of the host around the pools, by `dmguard doctor` alone."""

CODES: dict[str, Code] = {
    row.code: row for row in (*POOLS, *REPAIRS, *DISKS, *VERDICTS, *BOOTS, *SETUP, *AROUND, *LOOPS)
}
