"""Storage options with which Docker's devicemapper driver does not start, whatever its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.findings.host.docker import DEVICE, configured
from dmguard.core.units import parse_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.findings.host.docker import Configured
    from dmguard.core.host import Host
    from dmguard.core.model import State
    from dmguard.core.settings import Settings

_KNOWN = frozenset(
    f"dm.{name}"
    for name in (
        "basesize",
        "blkdiscard",
        "blocksize",
        "datadev",
        "directlvm_device",
        "directlvm_device_force",
        "fs",
        "libdm_log_level",
        "loopdatasize",
        "loopmetadatasize",
        "metadatadev",
        "min_free_space",
        "mkfsarg",
        "mountopt",
        "override_udev_sync_check",
        "thinp_autoextend_percent",
        "thinp_autoextend_threshold",
        "thinp_metapercent",
        "thinp_percent",
        "thinpooldev",
        "use_deferred_deletion",
        "use_deferred_removal",
        "xfs_nospace_max_retries",
    )
)
"""Every option of the driver (moby, daemon/graphdriver/devmapper/deviceset.go, in 24.0)."""

_LVM_DEVICE = "dm.directlvm_device"
_SHARES = ("dm.thinp_percent", "dm.thinp_metapercent")
_OF_DEVICE = (*_SHARES, "dm.thinp_autoextend_percent", "dm.thinp_autoextend_threshold")
_DELETION, _REMOVAL = "dm.use_deferred_deletion", "dm.use_deferred_removal"
_NO = ("0", "f", "false")


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    del state, settings
    for its in configured(host):
        complaints = "; ".join(_complaints(its)) if its.name == "docker" else ""
        if complaints:
            yield Finding("options-refused", its.path, f"docker: {complaints}")


def _complaints(its: Configured) -> Iterator[str]:
    unknown = sorted(set(its.daemon.options) - _KNOWN)
    if unknown:
        yield f"{', '.join(unknown)}: no option of this driver"
    deletion, removal = its.option(_DELETION), its.option(_REMOVAL)
    if deletion and deletion.lower() not in _NO and removal.lower() in _NO:
        yield f"{_DELETION} without {_REMOVAL}"
    if its.option(_LVM_DEVICE):
        yield from _of_device(its)
    elif any(its.option(name) for name in _OF_DEVICE):
        yield f"dm.thinp_ options without {_LVM_DEVICE}"


def _of_device(its: Configured) -> Iterator[str]:
    if its.option(DEVICE):
        yield f"both {_LVM_DEVICE} and {DEVICE}"
    shares = [its.option(name) for name in _SHARES if its.option(name)]
    if len(shares) == 1:
        yield f"only one of {' and '.join(_SHARES)}"
    numbers = [number for share in shares if (number := parse_count(share)) is not None]
    if len(numbers) == len(shares) and sum(numbers) > 100:
        yield f"{' and '.join(_SHARES)} are more than 100 together"
