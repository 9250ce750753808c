"""Where it was measured, and with what."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.plan import Plan
    from tests.lab.stand import Stand


def tell(m: Stand, kind: str, plan: Plan) -> dict[str, str]:
    """What the report begins with, a line each."""
    return {
        "measured on": kind,
        "kernel": m.run("uname -r").out.strip(),
        "LVM": _version(m.run("lvm version").out),
        "dmguard": m.run("dpkg-query -W -f '${Version}' dmguard", check=False).out.strip(),
        "processor": f"{_processor()}, {os.cpu_count()} of them",
        "kernel of the host": platform.release(),
        "rounds": str(plan.rounds),
    }


def _version(said: str) -> str:
    found = re.search(r"LVM version:\s*(\S+)", said)
    return found[1] if found else "unknown"


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
