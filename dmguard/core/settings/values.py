"""The settings in force, as values: policies, rules for disks, consumers."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.units import Amount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.model import Disk

SOURCES = (Trigger.UDEV, Trigger.JOURNAL, Trigger.DM_EVENT, Trigger.DBUS, Trigger.TIMER)
"""Every source of events."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done for one pool, and when. Sizes in bytes, times in seconds.

    `max_size` None means no ceiling. Thresholds are percent used; an act follows above them.
    """

    data_threshold: int = 75
    metadata_threshold: int = 70
    step: Amount = Amount(percent=20.0)
    min_step: int = 1 << 30
    headroom: float = 600.0
    max_size: int | None = None
    vg_reserve: Amount = Amount(percent=1.0)


@dataclass(frozen=True, slots=True)
class Match:
    """Which disks a rule is for: all that is given must hold. Texts are shell globs."""

    path: str | None = None
    link: str | None = None
    serial: str | None = None
    wwn: str | None = None
    model: str | None = None
    vendor: str | None = None
    bus: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    rotational: bool | None = None

    def takes(self, disk: Disk) -> bool:
        """Does the disk have all that is asked for? What is not known of it does not match."""
        globs = {name: getattr(self, name) for name in _GLOBS}
        if not all(
            value is None or _matches(getattr(disk, name), value) for name, value in globs.items()
        ):
            return False
        if self.link is not None and not any(_matches(link, self.link) for link in disk.links):
            return False
        return (
            (self.min_size is None or disk.size >= self.min_size)
            and (self.max_size is None or disk.size <= self.max_size)
            and (self.rotational is None or disk.rotational is self.rotational)
        )


_GLOBS = ("path", "serial", "wwn", "model", "vendor", "bus")


def _matches(text: str | None, glob: str) -> bool:
    return text is not None and fnmatch.fnmatchcase(text, glob)


class ClaimMode(StrEnum):
    """Whether a rule claims by itself, or waits for `dmguard claim`."""

    AUTO = "auto"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """Disks that may become PVs of a VG. `limit` is PVs in the VG, `settle` seconds."""

    vg: str
    match: Match
    limit: int | None = None
    mode: ClaimMode = ClaimMode.AUTO
    settle: float = 5.0


class OnRecovered(StrEnum):
    """What is done for a consumer that failed for want of its pool, once the pool is up."""

    START_IF_FAILED = "start-if-failed"
    RESTART = "restart"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """The systemd unit of a consumer, and what may be done with it."""

    unit: str
    on_recovered: OnRecovered


CONSUMERS: Mapping[str, ConsumerPolicy] = {
    "docker": ConsumerPolicy("docker.service", OnRecovered.START_IF_FAILED),
    "containerd": ConsumerPolicy("containerd.service", OnRecovered.RESTART),
    "isulad": ConsumerPolicy("isulad.service", OnRecovered.START_IF_FAILED),
}
"""The consumers that are known, as they are treated unless the configuration says otherwise."""


class PoolOption(StrEnum):
    """The options of a thin pool's table (Linux, Documentation/admin-guide/device-mapper/
    thin-provisioning.rst).
    """

    SKIP_BLOCK_ZEROING = "skip_block_zeroing"
    IGNORE_DISCARD = "ignore_discard"
    NO_DISCARD_PASSDOWN = "no_discard_passdown"
    ERROR_IF_NO_SPACE = "error_if_no_space"


@dataclass(frozen=True, slots=True)
class RawRule:
    """A thin pool without LVM, on files or devices that are there already. Sizes in bytes.

    `name` is its device-mapper name. `low_water` is in chunks, None for the mark of the policy's
    threshold. `max_size` None: it is not grown.
    """

    name: str
    data: str
    metadata: str
    block_size: int = 64 << 10
    low_water: int | None = None
    options: tuple[PoolOption, ...] = ()
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration in force. `loops` has the policies of pools on loop devices, by name."""

    pools: tuple[str, ...] = ("*/*",)
    resync: float = 30.0
    sources: tuple[Trigger, ...] = SOURCES
    policy: Policy = Policy()
    overrides: Mapping[str, Policy] = field(default_factory=dict)
    activate_timeout: float = 60.0
    claims: tuple[ClaimRule, ...] = ()
    consumers: Mapping[str, ConsumerPolicy] = field(default_factory=lambda: CONSUMERS)
    loops: Mapping[str, Policy] = field(default_factory=dict)
    raws: tuple[RawRule, ...] = ()
    _guarded: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def raw(self, name: str) -> RawRule | None:
        """The raw pool of this device-mapper name, if one is configured."""
        return next((rule for rule in self.raws if rule.name == name), None)

    def guards(self, pool: str) -> bool:
        """Is `vg/lv` one of the guarded pools? Each is asked for a dozen times a look."""
        known = self._guarded.get(pool)
        if known is None:
            known = any(fnmatch.fnmatchcase(pool, glob) for glob in self.pools)
            self._guarded[pool] = known
        return known

    def names(self, pool: str) -> bool:
        """Is it guarded by a word on its own VG, and not just because everything is?"""
        globs = (glob for glob in self.pools if glob.partition("/")[0].strip("*"))
        return any(fnmatch.fnmatchcase(pool, glob) for glob in globs)
