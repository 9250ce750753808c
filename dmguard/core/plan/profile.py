"""The LVM profile of a pool: two settings by which dmeventd, and dmguard with it, let it grow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.actions import AttachProfile
from dmguard.core.host import Host
from dmguard.core.lvmprofile import extends, read_settings, with_settings
from dmguard.core.model import Profile
from dmguard.core.sizing import policy_for
from dmguard.core.steps.kinds import digest

if TYPE_CHECKING:
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

THRESHOLD, PERCENT = 80, 20
"""As Docker's manual has them."""

_FOLDER = "/etc/lvm/profile"


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A profile as it should be. `was` is the SHA-256 of what its file has, empty without one."""

    name: str
    path: str
    text: str
    was: str


def profile_for(pool: Pool, settings: Settings) -> Profile:
    """The policy in force in LVM's words: a crossing is one step, whoever of the two is first.

    A step of nothing, as only a profile can have it, is none: there the default counts.
    """
    policy = policy_for(pool, settings)
    step = settings.policy.step if policy.step.percent == 0 else policy.step
    percent = step.percent
    if percent is None:
        percent = 100 * step.of(pool.lv.size) / pool.lv.size
    return Profile(policy.data_threshold, max(1, math.ceil(percent)))


def choose_profile(
    pool: str, state: State, threshold: int | None, percent: int | None
) -> ProfileFile:
    """The profile for `vg/lv`. One that is attached and lets the pool grow is kept, unless
    something else is asked for; whatever else it has is kept in any case. Where others follow it,
    too, the pool is given one of its own with the same and what is new.
    """
    host, there = state.host or Host(), state.pool(pool)
    attached = there.lv.profile if there is not None else None
    own = pool.replace("/", "-")
    name = attached if attached in host.profiles and attached else own
    old = host.profiles.get(name)
    had = read_settings(old or "")
    if old is not None and extends(old) and threshold is percent is None:
        return _file(name, old, host)
    if threshold is None and had.get("threshold", 100) < 100:
        threshold = had["threshold"]
    if percent is None:
        percent = had.get("percent")
    text = with_settings(old or "", Profile(threshold or THRESHOLD, percent or PERCENT))
    if text != old and _is_followed(name, pool, state):
        name = _name_of_its_own(own, text, pool, state)
    return _file(name, text, host)


def _is_followed(name: str, pool: str, state: State) -> bool:
    """Does a VG follow the profile, or a volume that is not the pool?"""
    volumes = (volume.profile for vg in state.vgs for volume in vg.volumes)
    pools = (other.lv.profile for other in state.pools if other.name != pool)
    groups = (vg.profile for vg in state.vgs)
    return name in {*volumes, *pools, *groups}


def _name_of_its_own(own: str, text: str, pool: str, state: State) -> str:
    """The first name of which there is no file, or the very one that is wanted, and no follower."""
    profiles = state.host.profiles if state.host else {}
    names = (own, *(f"{own}-{number}" for number in range(2, 1000)))
    return next(
        name
        for name in names
        if profiles.get(name, text) == text and not _is_followed(name, pool, state)
    )


def is_attached(pool: Pool, profile: ProfileFile, host: Host) -> bool:
    return pool.lv.profile == profile.name and host.profiles.get(profile.name) == profile.text


def make_attachment(pool: Pool, profile: ProfileFile) -> AttachProfile:
    return AttachProfile(
        vg=pool.vg.name,
        lv=pool.lv.name,
        lv_uuid=pool.lv.uuid,
        profile=profile.name,
        path=profile.path,
        text=profile.text,
        was=profile.was,
    )


def _file(name: str, text: str, host: Host) -> ProfileFile:
    folder = host.lvm.profile_dir if host.lvm else _FOLDER
    old = host.profiles.get(name)
    return ProfileFile(name, f"{folder}/{name}.profile", text, "" if old is None else digest(old))
