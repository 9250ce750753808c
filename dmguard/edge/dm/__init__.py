"""The kernel's device-mapper: one file of buffers, one of lines, one of the conversation, and one
of what changes a table.
"""

from __future__ import annotations

from dmguard.edge.dm.control import CONTROL, Control
from dmguard.edge.dm.pools import Status, parse_status, parse_table
from dmguard.edge.dm.tables import Live, Tables
from dmguard.edge.dm.wire import (
    DmDevice,
    DmParseError,
    DmUnavailableError,
    Target,
    decode_deps,
    decode_list,
    decode_target,
    request_number,
)

__all__ = [
    "CONTROL",
    "Control",
    "DmDevice",
    "DmParseError",
    "DmUnavailableError",
    "Live",
    "Status",
    "Tables",
    "Target",
    "decode_deps",
    "decode_list",
    "decode_target",
    "parse_status",
    "parse_table",
    "request_number",
]
