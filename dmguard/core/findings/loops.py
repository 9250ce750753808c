"""A pool that is none of LVM's, and is full, stopped, filling without a way out, or not up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.codes import CODES
from dmguard.core.findings import Finding
from dmguard.core.model import Mode, Resource
from dmguard.core.obstacle import bare_obstacle, kernel_obstacle
from dmguard.core.plan.loops import (
    cut_to,
    is_ours,
    policy_of,
    spare_room,
    wanted,
)
from dmguard.core.plan.raws import raw_obstacle
from dmguard.core.sizing import is_above, usage
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.bare import BarePool
    from dmguard.core.model import State
    from dmguard.core.settings import Policy, Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for raw in state.raws:
        missing = raw_obstacle(raw)
        if missing is not None:
            yield _say(raw.rule.name, missing)
    for pool in state.bare:
        if not is_ours(pool, settings):
            continue
        stopped = kernel_obstacle(pool.kernel)
        if stopped is not None:
            is_full = stopped == "out-of-metadata"
            yield _say(pool.name, stopped, _of_metadata(pool) if is_full else "")
            continue
        yield from _find_full(pool, state, settings)


def _find_full(pool: BarePool, state: State, settings: Settings) -> Iterator[Finding]:
    kernel = pool.kernel
    if kernel.mode is Mode.OUT_OF_DATA:
        code = "out-of-data-errors" if kernel.errors_when_full else "out-of-data"
        yield _say(pool.name, code, f"all {format_size(kernel.size)} are in use")
    policy = policy_of(pool, settings)
    for resource in Resource:
        stuck = _stuck(pool, resource, state, policy) or _unbacked(pool, resource)
        if stuck is not None:
            used = usage(kernel, resource)
            percent = f"{used.percent:.2f} % of its {resource} is in use" if used else ""
            yield _say(pool.name, stuck, percent)


def _stuck(pool: BarePool, resource: Resource, state: State, policy: Policy) -> str | None:
    """Above its threshold, and why it does not grow."""
    data = resource is Resource.DATA
    threshold = policy.data_threshold if data else policy.metadata_threshold
    used = usage(pool.kernel, resource)
    if used is None or not is_above(used, threshold):
        return None
    code = bare_obstacle(pool, resource)
    if code is not None:
        return code
    if policy.max_size is None:
        return "loop-not-grown"
    target = wanted(pool, resource, policy)
    if target <= used.total:
        return "pool-ceiling" if data else "metadata-ceiling"
    fits = cut_to(pool, resource, target, spare_room(state, pool, resource))
    return None if fits else "loop-no-space"


def _unbacked(pool: BarePool, resource: Resource) -> str | None:
    """Will its file system soon be full, long before the pool is?

    That a file may take more than there is is usual, and no harm by itself. What counts is that
    less than a tenth of the pool is there, which is what Docker keeps free in a pool
    (dm.min_free_space), and does not look for below it.
    """
    file, used = pool.backing(resource).file, usage(pool.kernel, resource)
    if file is None or used is None:
        return None
    return "loop-no-space" if file.room < min(file.owed, used.total // 10) else None


def _of_metadata(pool: BarePool) -> str:
    used = pool.kernel.metadata
    return f"all {format_size(used.total)} of it are in use" if used else ""


def _say(name: str, code: str, more: str = "") -> Finding:
    return Finding(code, name, f"{name}: {CODES[code].clause}" + (f"; {more}" if more else ""))
