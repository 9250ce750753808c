"""Is there room for what a pool needs next: a step of data, metadata for its chunks, the spare?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.findings.host.growth import is_extended_by_lvm, lvm_policy
from dmguard.core.model import METADATA_CROPPED, Resource
from dmguard.core.obstacle import obstacle
from dmguard.core.sizing import is_above, policy_for, reserve_in, usage
from dmguard.core.units import format_size, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings

_SOON = 50
"""Percent used from which on a pool will want its next step: no threshold is lower."""

_NEAR = 10
"""So many points below its threshold a pool is near it."""


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    for pool in state.pools:
        if not settings.guards(pool.name) or obstacle(pool, state):
            continue
        yield from _of_step(pool, state, settings, host)
        yield from _of_metadata(pool)
        yield from _of_spare(pool)


def _of_step(pool: Pool, state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    policy, extent = policy_for(pool, settings), pool.vg.extent
    used = usage(pool.kernel, Resource.DATA) if pool.kernel else None
    room = max(0, pool.vg.free - reserve_in(pool.vg, state, settings))
    if is_above(used, policy.data_threshold) and room < extent:
        return  # that is told as vg-dry, or as pool-ceiling
    step = round_up(max(policy.step.of(pool.lv.size), extent), extent)
    if policy.max_size is not None:
        step = min(step, max(0, round_down(policy.max_size - pool.lv.size, extent)))
    sizes = f"a step is {format_size(step)}, and {pool.vg.name} has {format_size(room)} for it"
    if used is not None and is_above(used, _SOON) and room < step:
        near = is_above(used, policy.data_threshold - _NEAR)
        code = "vg-short" if near else "vg-room-low"
        yield Finding(code, pool.name, f"{pool.name}: {used.percent:.2f} % in use; {sizes}")
    elif _is_left_to_lvm(pool, host) and host.lvm is not None:
        whole = round_up(pool.lv.size * lvm_policy(pool, host.lvm).percent // 100, extent)
        if extent <= pool.vg.free < whole:
            yield Finding(
                "step-unfit",
                pool.name,
                f"{pool.name}: LVM's step is {format_size(whole)}, and {pool.vg.name} has"
                f" {format_size(pool.vg.free)} free",
            )


def _is_left_to_lvm(pool: Pool, host: Host) -> bool:
    # dmguard's agent takes what there is, and LVM's step is then never taken.
    conf = host.lvm
    return host.agent_runs is False and conf is not None and is_extended_by_lvm(pool, host, conf)


def metadata_estimate(pool: Pool) -> int:
    """Bytes of metadata that LVM gives a pool of this size and chunk: 64 for each chunk (lvm2,
    lib/metadata/thin_manip.c, estimate_metadata_size).
    """
    return min(pool.lv.size // pool.lv.chunk * 64, METADATA_CROPPED)


def _of_metadata(pool: Pool) -> Iterator[Finding]:
    estimate = metadata_estimate(pool)
    if pool.lv.metadata_size < estimate:
        yield Finding(
            "metadata-small",
            pool.name,
            f"{pool.name}: {format_size(pool.lv.metadata_size)} of metadata for"
            f" {pool.lv.size // pool.lv.chunk} chunks of {format_size(pool.lv.chunk)};"
            f" {format_size(estimate)} are enough for all of them",
        )


def _of_spare(pool: Pool) -> Iterator[Finding]:
    # One spare serves the whole VG, and is told of once: with the pool that it must be good for.
    largest = max(pool.vg.pools, key=lambda lv: lv.metadata_size, default=pool.lv)
    spare = pool.vg.spare
    if largest.uuid != pool.lv.uuid or (spare or 0) >= pool.lv.metadata_size:
        return
    has = "no spare for metadata" if spare is None else f"a spare of {format_size(spare)}"
    yield Finding(
        "spare-short",
        pool.name,
        f"{pool.name}: {pool.vg.name} has {has}, and its metadata has"
        f" {format_size(pool.lv.metadata_size)}",
    )
