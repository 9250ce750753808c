"""The closed set of goals: what the agent and each command want of the planner."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The goal of `dmguard recover`: all that is wrong with these pools and can be cured is."""

    pools: tuple[str, ...] = ()


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


Goal = Guard | ExtendByHand | ActivateAll | Recover | ClaimByHand | ResizeLoop
