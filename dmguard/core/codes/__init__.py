"""The one table of stable codes: what each means, what it threatens, and what cures it.

`dmguard explain`, the journal catalog and the man page are made from it. A code is never renamed
and never given another meaning, because scripts and alerts match on it.
"""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity
from dmguard.core.codes.disks import DISKS
from dmguard.core.codes.host import HOST
from dmguard.core.codes.loops import LOOPS
from dmguard.core.codes.pools import POOLS
from dmguard.core.codes.setup import SETUP

__all__ = ["CODES", "Code", "Severity"]

CODES: dict[str, Code] = {row.code: row for row in (*POOLS, *DISKS, *SETUP, *HOST, *LOOPS)}
