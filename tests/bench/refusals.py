"""When this very host is not to be measured on: the cases stop its guards and set LVM up anew."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.guards import VG

_GIB = 1 << 30
_PROGRAMS = ("dmguard", "dmeventd", "lvm", "dmsetup", "losetup", "systemctl", "udevadm")
_MORE_SETTINGS = Path("/etc/dmguard/conf.d")
_CONTROL = Path("/dev/mapper/control")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Facts:
    """What was found on the host. `entries` is how many files are in the scratch directory."""

    scratch: str
    root: bool = True
    is_directory: bool = True
    entries: int = 0
    free: int = 100 * _GIB
    missing: tuple[str, ...] = ()
    device_mapper: bool = True
    agent: str = "inactive"
    groups: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    monitored: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


def refusals(facts: Facts, need: int) -> list[str]:
    """Why it is not to be measured on, `need` bytes being written at most; none if it may."""
    if not facts.scratch:
        return ["name a directory for the disks: make bench HOST=1 SCRATCH=/some/dir"]
    found = [
        (not facts.root, "only root can do it"),
        (not facts.is_directory, f"{facts.scratch} is not a directory"),
        (facts.entries > 0, f"{facts.scratch} is not empty"),
        (
            facts.is_directory and facts.free < need,
            f"{facts.scratch} has {facts.free / _GIB:.1f} GiB free of {need / _GIB:.1f} needed",
        ),
        (bool(facts.missing), f"not installed: {', '.join(facts.missing)}"),
        (not facts.device_mapper, f"this kernel has no device-mapper: no {_CONTROL}"),
        (
            facts.agent not in ("inactive", "failed"),
            f"dmguard.service is {facts.agent}, and would be stopped: systemctl stop dmguard",
        ),
        (VG in facts.groups, f"there is a volume group {VG} already"),
        (bool(facts.pools), f"there are thin pools: {', '.join(facts.pools)}"),
        (
            bool(facts.monitored),
            f"dmeventd monitors {', '.join(facts.monitored)}, and would be stopped",
        ),
        (bool(facts.settings), f"dmguard has more settings: {', '.join(facts.settings)}"),
    ]
    return [why for is_so, why in found if is_so]


def look(scratch: str) -> Facts:
    """What is so on this host. Without root, or a scratch directory, nothing else is asked."""
    folder = Path(scratch or "/nowhere")
    root, is_directory = os.geteuid() == 0, folder.is_dir()
    if not scratch or not root or not is_directory:
        return Facts(scratch, root, is_directory)
    missing = tuple(name for name in _PROGRAMS if not shutil.which(name, path=ENV["PATH"]))
    entries, free = len(list(folder.iterdir())), shutil.disk_usage(folder).free
    if missing:
        return Facts(scratch, entries=entries, free=free, missing=missing)
    # A kernel that has it as a module makes the node when it is loaded.
    _lines("modprobe", "dm_thin_pool")
    if not _CONTROL.exists():
        return Facts(scratch, entries=entries, free=free, device_mapper=False)
    targets = _lines("dmsetup", "ls", "--target", "thin-pool")
    live = {line.split()[0] for line in targets if "\t" in line}
    volumes = _volumes("segtype=thin-pool")
    return Facts(
        scratch,
        entries=entries,
        free=free,
        agent="".join(_lines("systemctl", "is-active", "dmguard.service")),
        groups=tuple(_lines("vgs", "--noheadings", "-o", "vg_name")),
        pools=tuple(sorted(live | set(volumes))),
        monitored=_volumes("seg_monitor=monitored && segtype!=thin-pool"),
        settings=tuple(str(path) for path in sorted(_MORE_SETTINGS.glob("*.toml"))),
    )


def _volumes(which: str) -> tuple[str, ...]:
    return tuple(_lines("lvs", "-a", "--noheadings", "-o", "lv_full_name", "-S", which))


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
