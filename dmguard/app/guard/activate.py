"""`dmguard activate`: pools come up before those who use them, however late their disks are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.app.guard.lock import take_lock
from dmguard.core.actions import Result
from dmguard.core.codes import CODES
from dmguard.core.complaints import LASTING
from dmguard.core.entry import Entry
from dmguard.core.goals import ActivateAll
from dmguard.core.model import State, Trigger
from dmguard.core.obstacle import obstacle
from dmguard.core.plan import Past, make_plan, raws
from dmguard.core.plan.activate import is_meant, missing_pools
from dmguard.edge import files, systemd
from dmguard.edge.consumers import read_consumers
from dmguard.edge.files import BusyError, Lock
from dmguard.loop.reconcile import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.outcome import Outcome

log = logging.getLogger(__name__)

_POLL_S = 0.25
_ANYWAY_S = 3.0
_TRIES = 3
_EXTENSION_S = 60
_LONGEST_S = 3600.0
BLOCK = Path("/sys/class/block")


@dataclass
class Activated:
    """What became of the pools: `up`, `late` (their disks did not come), `down` (it failed), and
    `blocked`: something forbids to touch their VG.
    """

    outcomes: list[tuple[Action, Outcome]] = field(default_factory=list)
    up: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.late and not self.down and not self.blocked


async def activate(
    loop: Loop, pools: tuple[str, ...], *, timeout_s: float | None, trigger: Trigger
) -> Activated:
    """Bring them up, and wait for disks that are late. BusyError if the lock does not come free.

    The time counts from now if `timeout_s` is given. Otherwise it is the configured one, and
    counts from the first time that this is run after a boot: what is started again and again for
    want of its pool is held up once.
    """
    deadline = time.monotonic() + timeout_s if timeout_s is not None else await _deadline(loop)
    by_service = not pools and trigger is Trigger.START
    # A consumer that is started later in the day gets what it needs, and nothing else is touched:
    # what is down by then may have been taken down.
    goal = ActivateAll(pools, needed=by_service and time.monotonic() > deadline)
    result = Activated()
    tries: dict[str, int] = {}
    async with _patience():
        while True:
            before = _block_devices()
            trouble = await _try(loop, goal, result, trigger, tries)
            given_up = all(tries.get(name, 0) >= _TRIES for name in result.down)
            if trouble is None and not result.late and given_up:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                if trouble is not None and not result.late:
                    raise trouble
                break
            systemd.notify(STATUS=f"waiting for {', '.join((*result.late, *result.down))}")
            await _until_something_happens(before, min(left, _ANYWAY_S))
    await _tell(loop, result, trigger, remember=not pools)
    return result


async def _try(
    loop: Loop, goal: ActivateAll, result: Activated, trigger: Trigger, tries: dict[str, int]
) -> Exception | None:
    """Act, and sort the pools. What cannot be read, or a lock that is held, may be well soon: it
    is returned, and what a consumer needs counts as late as long as nothing better is known.
    """
    trouble = None
    try:
        await _act(loop, goal, result, trigger, tries)
    except (BusyError, *UNREADABLE) as error:
        log.warning("%s", error)
        trouble = error
    state = loop.reconciler.state
    if state is None:
        nothing = State((), (), consumers=read_consumers(loop.settings.consumers))
        result.late = missing_pools(nothing, loop.settings, goal.pools)
    else:
        _sort(result, state, loop, goal)
    return trouble


async def _act(
    loop: Loop, goal: ActivateAll, result: Activated, trigger: Trigger, tries: dict[str, int]
) -> None:
    lock = _undisputed(loop)
    if lock is None:
        state = await loop.observer.look(fresh=True)
        loop.reconciler.state = state
        planned = make_plan(state, loop.settings, Past(), goal).actions
        if not planned and not loop.executor.interrupted:
            return
        lock = await take_lock(loop.paths)
    with lock:
        await loop.executor.resume(lock)
        # Under the lock, and so perhaps again: LVM's own activation is at work at the same moment.
        state = await loop.observer.look(fresh=True)
        loop.reconciler.state = state
        for action in make_plan(state, loop.settings, Past(), goal).actions:
            if tries.get(action.pool, 0) >= _TRIES:
                continue
            outcome = await loop.executor.carry_out(action, trigger, lock)
            # A lock that is held is no failure: LVM's own activation has it.
            # What is damaged is checked once, for that takes minutes where it is large.
            if outcome.reason == "activation-off" or outcome.reason in LASTING:
                tries[action.pool] = _TRIES
            elif outcome.result is not Result.DONE and outcome.reason != "vg-busy":
                tries[action.pool] = tries.get(action.pool, 0) + 1
            result.outcomes.append((action, outcome))
    loop.reconciler.state = loop.observer.glance()


def _undisputed(loop: Loop) -> Lock | None:
    """The lock, if it is free and nobody will need it: the kernel runs no thin pool to be grown.

    Then one look is enough. It is what a boot waits for most, but for the activation itself.
    """
    state = loop.observer.glance()
    if state.unknown or state.bare or any(pool.kernel is not None for pool in state.pools):
        return None
    with contextlib.suppress(BusyError):
        return Lock.acquire(loop.paths.lock)
    return None


def _sort(result: Activated, state: State, loop: Loop, goal: ActivateAll) -> None:
    wanted = [
        pool
        for pool in state.pools
        if is_meant(pool, state, loop.settings, goal.pools, needed=goal.needed)
    ]
    left_off = {a.pool for a, outcome in result.outcomes if outcome.reason == "activation-off"}
    inactive = {
        pool.name: obstacle(pool, state)
        for pool in wanted
        if pool.kernel is None and pool.name not in left_off
    }
    incomplete = tuple(name for name, code in inactive.items() if code == "vg-missing-pv")
    result.up = tuple(pool.name for pool in wanted if pool.kernel is not None)
    result.late = (*incomplete, *missing_pools(state, loop.settings, goal.pools))
    result.blocked = tuple(
        name for name, code in inactive.items() if code not in ("vg-missing-pv", "pool-inactive")
    )
    result.down = tuple(name for name, code in inactive.items() if code == "pool-inactive")
    _sort_raws(result, state, goal)


def _sort_raws(result: Activated, state: State, goal: ActivateAll) -> None:
    """The same of the raw pools."""
    codes = {
        raw.rule.name: raws.raw_obstacle(raw)
        for raw in state.raws
        if raws.is_meant(raw, state, goal.pools, needed=goal.needed)
    }

    def of(*wanted: str | None) -> tuple[str, ...]:
        return tuple(name for name, code in codes.items() if code in wanted)

    result.up += of(None)
    result.late += of("raw-missing")
    result.down += of("pool-inactive")
    result.blocked += of("raw-taken", "raw-no-pool", "raw-block-size", "raw-too-small")


async def _deadline(loop: Loop) -> float:
    """Of the configured timeout, from the first activation of this boot (/run is a tmpfs)."""
    path = loop.paths.activation
    try:
        values = json.loads(path.read_text())
        begun = float(values["begun"])
    except (OSError, ValueError, KeyError, TypeError):
        begun = time.monotonic()
        data = json.dumps({"begun": begun, "late": []}).encode()
        files.write_atomic(path, data, sync=False)
    return begun + loop.settings.activate_timeout


@contextlib.asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Keep the service manager from giving up meanwhile: thin_check of a large pool takes long."""

    async def extend() -> None:
        until = time.monotonic() + _LONGEST_S
        while time.monotonic() < until:
            systemd.notify(EXTEND_TIMEOUT_USEC=str(_EXTENSION_S * 1_000_000))
            await asyncio.sleep(_EXTENSION_S / 6)

    task = asyncio.create_task(extend())
    try:
        yield
    finally:
        task.cancel()


def _block_devices() -> frozenset[str]:
    return frozenset(os.listdir(BLOCK)) if BLOCK.is_dir() else frozenset()  # noqa: PTH208 - names do, without a Path for each


async def _until_something_happens(before: frozenset[str], within_s: float) -> None:
    """Until a block device comes or goes, which costs no process to see."""
    for _ in range(max(1, int(within_s / _POLL_S))):
        if _block_devices() != before:
            return
        await asyncio.sleep(_POLL_S)


async def _tell(loop: Loop, result: Activated, trigger: Trigger, *, remember: bool) -> None:
    for name in result.late:
        vg, _, lv = name.partition("/")
        entry = Entry(
            code="pool-late",
            action="activate",
            result=str(Result.FAILED),
            trigger=str(trigger),
            vg=vg if lv else "",
            pool=name,
            reason="pool-late",
            message=f"{name}: {CODES['pool-late'].clause}",
        )
        if name not in loop.books.read_late():
            await loop.recorder.record(entry)
    if remember and frozenset(result.late) != loop.books.read_late():
        with await take_lock(loop.paths):
            await loop.books.write_late(frozenset(result.late))
