"""The closed set of goals: what the agent and each command want of the planner."""

from __future__ import annotations

from dataclasses import dataclass

from dmguard.core.units import Amount


@dataclass(frozen=True, slots=True)
class Guard:
    """The goal of the agent: every guarded pool below its thresholds."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size asked for by hand: absolute, or a difference, or all there is (`value` None)."""

    value: int | None
    relative: bool = False


@dataclass(frozen=True, slots=True)
class ExtendByHand:
    """The goal of `dmguard extend`: this pool, so large."""

    pool: str
    data: Size | None = None
    metadata: Size | None = None


@dataclass(frozen=True, slots=True)
class ActivateAll:
    """The goal of `dmguard activate`: these pools are up, or all that are guarded.

    `needed`: only those that a consumer has, or that this boot waited for in vain.
    """

    pools: tuple[str, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Recover:
    """The goal of `dmguard recover`: all that is wrong with these pools and can be cured is.

    `offline`: also what takes their consumers to be stopped; the names of the copies that are kept
    have it. Empty: nothing of that kind.
    """

    pools: tuple[str, ...] = ()
    offline: str = ""


@dataclass(frozen=True, slots=True)
class Examine:
    """The goal of `dmguard doctor`: nothing on this host would make a pool stop."""


@dataclass(frozen=True, slots=True)
class ClaimByHand:
    """The goal of `dmguard claim`: this disk is a PV of this VG."""

    disk: str
    vg: str


@dataclass(frozen=True, slots=True)
class ResizeLoop:
    """The goal of `dmguard loop resize`: a pool on loop devices, so large.

    `pool` is `docker` or a device-mapper name; empty for the only one that there is.
    """

    pool: str = ""
    data: Size | None = None
    metadata: Size | None = None


@dataclass(frozen=True, slots=True)
class SetUp:
    """The goal of `dmguard setup`: these disks are a VG with a pool, and a consumer uses it.

    `disks` are names as they were typed. `named`: the VG was named, so that one that is there may
    be used. `data` and `metadata` are sizes, or shares of what the VG has free. `threshold` and
    `percent` of the LVM profile, None for those of Docker's manual unless a profile is attached.
    `chunk` in bytes. `forced`: serial numbers or by-id links of disks whose old content is given
    up. `consumer` is empty for none. `move_data`: what the consumer has is moved aside.
    """

    disks: tuple[str, ...] = ()
    vg: str = "docker"
    named: bool = False
    pool: str = "thinpool"
    consumer: str = ""
    data: Amount = Amount(percent=95.0)
    metadata: Amount = Amount(percent=1.0)
    chunk: int = 512 << 10
    zero: bool = False
    threshold: int | None = None
    percent: int | None = None
    forced: tuple[str, ...] = ()
    move_data: bool = False

    @property
    def pool_name(self) -> str:
        return f"{self.vg}/{self.pool}"


@dataclass(frozen=True, slots=True)
class KeepSettings:
    """The goal of what `dmguard setup` takes over: this text is a file of dmguard's settings."""

    path: str
    text: str


Goal = (
    Guard
    | ExtendByHand
    | ActivateAll
    | Recover
    | Examine
    | ClaimByHand
    | SetUp
    | KeepSettings
    | ResizeLoop
)
