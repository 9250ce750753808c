"""Pools on loop devices grow, by themselves below a ceiling, or by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, GrowLoop
from dmguard.core.codes import CODES
from dmguard.core.model import METADATA_BLOCK, METADATA_MAX, Resource
from dmguard.core.obstacle import bare_obstacle
from dmguard.core.plan import Refusal
from dmguard.core.sizing import is_above, usage
from dmguard.core.units import format_size, round_down, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dmguard.core.bare import BarePool, Inode
    from dmguard.core.goals import ResizeLoop, Size
    from dmguard.core.model import State
    from dmguard.core.plan import Past
    from dmguard.core.settings import Policy, Settings

DOCKER = "docker"
"""What Docker's own pool is called, whatever its device-mapper name."""


def policy_of(pool: BarePool, settings: Settings) -> Policy:
    """Its own section, or Docker's, or the defaults, with the ceiling of its raw pool. The
    general max_size is not one for these: with it they would grow without a word on them.
    """
    named = settings.loops.get(pool.name)
    if named is None and pool.is_docker:
        named = settings.loops.get(DOCKER)
    policy = named or replace(settings.policy, max_size=None)
    rule = settings.raw(pool.name)
    if rule is not None and rule.max_size is not None:
        return replace(policy, max_size=rule.max_size)
    return policy


def is_ours(pool: BarePool, settings: Settings) -> bool:
    """Is it for dmguard to look after? Others make such pools, too, and look after them."""
    configured = pool.name in settings.loops or settings.raw(pool.name) is not None
    return pool.is_docker or configured


def plan_growth(state: State, settings: Settings, past: Past) -> tuple[GrowLoop, ...]:
    """Those that have a ceiling and are above a threshold: metadata first, then data.

    What a file system has free is dealt out once, and only what the files of pools on it may not
    still take at their present sizes.
    """
    pools = [pool for pool in state.bare if is_ours(pool, settings)]
    actions: list[GrowLoop] = []
    spent: dict[int, int] = {}
    for resource in (Resource.METADATA, Resource.DATA):
        for pool in pools:
            policy = policy_of(pool, settings)
            if policy.max_size is None or bare_obstacle(pool, resource) is not None:
                continue
            room = _left(state, pool, resource, spent)
            headroom = min(int((past.data.get(pool.name) or 0.0) * policy.headroom), room // 2)
            target = wanted(pool, resource, policy, headroom)
            growth = cut_to(pool, resource, target, room)
            if growth > 0:
                action = make_grow(pool, resource, _size(pool, resource) + growth)
                spent[_system(pool, resource)] = spent.get(_system(pool, resource), 0) + growth
                actions.append(action)
    return tuple(actions)


def wanted(pool: BarePool, resource: Resource, policy: Policy, headroom: int = 0) -> int:
    """The size that it should have, within its ceiling; the present one if it need not grow.

    Data grows by `headroom` bytes at least.
    """
    size, used = _size(pool, resource), usage(pool.kernel, resource)
    data = resource is Resource.DATA
    threshold = policy.data_threshold if data else policy.metadata_threshold
    if used is None or not is_above(used, threshold):
        return size
    back_below = -(-used.used * 100 // threshold) - size
    if not data:
        step = max(policy.step.of(size), back_below, METADATA_BLOCK)
        return min(size + round_up(step, METADATA_BLOCK), METADATA_MAX)
    step = max(policy.step.of(size), policy.min_step, back_below, headroom)
    ceiling = size if policy.max_size is None else policy.max_size
    unit = pool.kernel.chunk
    return max(size, round_down(min(round_up(size + step, unit), ceiling), unit))


def cut_to(pool: BarePool, resource: Resource, target: int, room: int) -> int:
    """By how much it can grow towards its target with so much room."""
    size = _size(pool, resource)
    file = pool.backing(resource).file
    if file is None:
        return 0
    # A file that is larger than the pool already costs no room up to its own size.
    there = max(0, file.size - file.offset - size)
    return max(0, round_down(min(target - size, there + max(0, room)), _unit(pool, resource)))


def spare_room(state: State, pool: BarePool, resource: Resource) -> int:
    """Bytes that its file system has free beyond what it owes: all that the files of pools on it,
    this one's among them, may still take as they are.
    """
    file = pool.backing(resource).file
    if file is None:
        return 0
    owed = {inode: size for inode, size in _owed(state) if inode[0] == file.inode[0]}
    return max(0, file.room - sum((owed | {file.inode: file.owed}).values()))


def _left(state: State, pool: BarePool, resource: Resource, spent: Mapping[int, int]) -> int:
    """What is left of that when so much of each file system is promised already."""
    return max(0, spare_room(state, pool, resource) - spent.get(_system(pool, resource), 0))


def _owed(state: State) -> Iterator[tuple[Inode, int]]:
    """The files below pools, whoever made them, and what each may still take."""
    for raw in state.raws:
        for place in (raw.metadata, raw.data):
            if place is not None and place.inode is not None:
                yield place.inode, place.owed
    for pool in state.bare:
        for backing in (pool.metadata, pool.data):
            if backing.file is not None:
                yield backing.file.inode, backing.file.owed


def _system(pool: BarePool, resource: Resource) -> int:
    file = pool.backing(resource).file
    return 0 if file is None else file.inode[0]


def _size(pool: BarePool, resource: Resource) -> int:
    if resource is Resource.DATA:
        return pool.kernel.size
    return pool.kernel.metadata.total if pool.kernel.metadata else 0


def _unit(pool: BarePool, resource: Resource) -> int:
    return pool.kernel.chunk if resource is Resource.DATA else METADATA_BLOCK


def make_grow(
    pool: BarePool, resource: Resource, target: int, reason: str = "above-threshold"
) -> GrowLoop:
    """The action that grows one resource of a pool whose file is known."""
    backing = pool.backing(resource)
    file = backing.file
    assert file is not None
    used = usage(pool.kernel, resource)
    return GrowLoop(
        name=pool.name,
        resource=resource,
        size=_size(pool, resource),
        target=target,
        path=file.path,
        inode=file.inode,
        file_size=file.size,
        file_target=max(file.size, file.offset + target),
        node=backing.node,
        sectors=pool.table.sectors,
        params=pool.table.params,
        used=None if used is None else used.used,
        room=file.room,
        reason=reason,
    )


def plan_resize(
    state: State, settings: Settings, goal: ResizeLoop
) -> tuple[tuple[GrowLoop, ...], tuple[Refusal, ...]]:
    """What was asked for, whole, or a refusal. Metadata first."""
    pools = find_loops(state, goal.pool)
    if len(pools) != 1:
        name = goal.pool or "loop"
        code = "loop-several" if pools else "no-such-pool"
        return (), (_refuse(name, code, ", ".join(pool.name for pool in pools)),)
    pool, actions, refusals = pools[0], [], []
    spent: dict[int, int] = {}
    for resource, size in ((Resource.METADATA, goal.metadata), (Resource.DATA, goal.data)):
        if size is None:
            continue
        room = _left(state, pool, resource, spent)
        outcome = _resize(pool, resource, size, policy_of(pool, settings), room)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        else:
            spent[_system(pool, resource)] = outcome.file_target - outcome.file_size
            actions.append(outcome)
    return tuple(actions), tuple(refusals)


def find_loops(state: State, name: str) -> tuple[BarePool, ...]:
    """The pools on loop devices that a name may mean; all of them without one."""
    loops = (pool for pool in state.bare if pool.is_loop)
    if not name:
        return tuple(loops)
    return tuple(pool for pool in loops if pool.name == name or (name == DOCKER and pool.is_docker))


def _resize(
    pool: BarePool, resource: Resource, size: Size, policy: Policy, room: int
) -> GrowLoop | Refusal:
    code = bare_obstacle(pool, resource)
    if code is not None:
        return _refuse(pool.name, code)
    now = _size(pool, resource)
    target = round_up((size.value or 0) + (now if size.relative else 0), _unit(pool, resource))
    ceiling = policy.max_size if resource is Resource.DATA else METADATA_MAX
    if target <= now:
        code = "not-larger" if target == now else "loop-shrink"
        return _refuse(pool.name, code, f"its {resource} has {format_size(now)}")
    if ceiling is not None and target > ceiling:
        code = "pool-ceiling" if resource is Resource.DATA else "metadata-ceiling"
        return _refuse(pool.name, code, f"the limit is {format_size(ceiling)}")
    action = make_grow(pool, resource, target, "asked")
    if action.file_target - action.file_size > room:
        free = f"{format_size(room)} are free below {action.path}, beyond what pools there may take"
        return _refuse(pool.name, "loop-no-space", free)
    return action


def _refuse(pool: str, code: str, more: str = "") -> Refusal:
    message = f"{pool}: {CODES[code].clause}" + (f"; {more}" if more else "")
    return Refusal(pool, code, message, Act.GROW_LOOP)
