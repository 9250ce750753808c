"""The one reconciler: woken, it reads the truth, plans, acts, and reads again."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import Act, Claim, Result
from dmguard.core.findings import Finding
from dmguard.core.forecast import next_look, time_to
from dmguard.core.goals import Guard
from dmguard.core.ledger import keep_books
from dmguard.core.model import Trigger
from dmguard.core.outcome import finding_entry
from dmguard.core.plan import Plan, make_plan
from dmguard.core.plan.grow import plan_growth
from dmguard.core.plan.loops import policy_of
from dmguard.core.sizing import is_at_mark, is_growth_near, policy_for
from dmguard.core.wake import Wake
from dmguard.edge.dm import DmParseError
from dmguard.edge.files import BusyError, Lock
from dmguard.edge.lvm import ReportError
from dmguard.edge.run import RunError
from dmguard.loop.attention import GLANCE, Look, look_for
from dmguard.loop.memory import SETTLE_S
from dmguard.loop.turn import take

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dmguard.core.actions import Action
    from dmguard.core.model import State
    from dmguard.core.settings import Settings
    from dmguard.loop.books import Books
    from dmguard.loop.execute import Executor
    from dmguard.loop.memory import Memory
    from dmguard.loop.observe import Observer
    from dmguard.loop.record import Paths, Recorder

log = logging.getLogger(__name__)

_ROUNDS = 8
_QUICK = (Act.EXTEND_DATA, Act.EXTEND_METADATA, Act.GROW_LOOP)
"""Acts that others may follow at once. After any other the pools are looked at again: one may have
begun to fill meanwhile, and its growth waits behind one act, not behind all."""
_RESORT_S = 1.0
"""How long growths follow each other before it is seen which of them is needed most by now."""
_CAUSES = {
    Act.EXTEND_DATA: (Trigger.DM_EVENT, Trigger.JOURNAL),
    Act.EXTEND_METADATA: (Trigger.DM_EVENT, Trigger.JOURNAL),
    Act.GROW_LOOP: (Trigger.DM_EVENT, Trigger.JOURNAL),
    Act.CLAIM_DISK: (Trigger.UDEV,),
    Act.RESIZE_PV: (Trigger.UDEV,),
    Act.RESTORE_PV: (Trigger.UDEV,),
    Act.START_UNIT: (Trigger.DBUS,),
}
"""Which event an act is named for where several woke at once."""
_BUSY_S = 1.0
_LOCK_S = 15.0
_AFTER_EVENT_S = 1.0
_ALLOCATION_S = (0.002, 0.004, 0.008, 0.016, 0.032)
"""Pauses between looks at a pool whose event came before the chunk that it was raised for."""
_UNREADABLE_S = 5.0

UNREADABLE = (RunError, ReportError, DmParseError, OSError)


class Reconciler:
    """Single flight: one cycle at a time, and wakes that come during it cause exactly one more."""

    def __init__(
        self,
        *,
        settings: Settings,
        observer: Observer,
        executor: Executor,
        recorder: Recorder,
        memory: Memory,
        paths: Paths,
        books: Books,
    ) -> None:
        self.settings = settings
        self.books = books
        self.state: State | None = None
        self.plan = Plan()
        self.busy_since: float | None = None
        self.look_within: Callable[[float], None] = lambda _: None
        self.published: Callable[[], None] = lambda: None
        self.expect: Callable[[bool], None] = lambda _: None
        self._observer = observer
        self._executor = executor
        self._recorder = recorder
        self._memory = memory
        self._paths = paths
        self._stopping = False
        self._busy = False
        self._event: tuple[Wake, ...] = ()
        self._event_until = 0.0
        self._wakes: list[Wake] = []
        self._owed: tuple[Wake, ...] = ()
        self._shown: dict[str, Trigger] = {}
        self._woken = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    def wake(self, wake: Wake) -> None:
        """Look soon. Safe to call at any time, as often as one likes."""
        self._wakes.append(wake)
        self._woken.set()

    async def run(self) -> None:
        """Until stop(). A cycle that fails is told, and tried again."""
        try:
            while not self._stopping:
                await self._woken.wait()
                self._woken.clear()
                wakes, self._wakes = self._wakes, []
                if wakes and not self._stopping:
                    self.busy_since = time.monotonic()
                    events = (wake for wake in wakes if wake.trigger is Trigger.DM_EVENT)
                    wake = next(events, wakes[0])
                    try:
                        await self.cycle(wake, *wakes)
                    except Exception:
                        # The last resort: whatever this was, the guard goes on guarding.
                        log.exception("a look failed")
                        self._owed = tuple(wakes)
                        self._look_again(wake.trigger, _UNREADABLE_S)
                    self.busy_since = None
        finally:
            self._cancel_again()
            if self._settling is not None:
                # What it was at is settled at the next start.
                self._settling.cancel()

    def stop(self) -> None:
        """End run() after the act that is under way: it is verified and recorded, none follows."""
        self._stopping = True
        self._woken.set()

    async def cycle(self, wake: Wake, *others: Wake) -> None:
        """Observe, plan and act until nothing is left to do now; then tell what remains.

        `wake` is who is named as the trigger, but for acts that an event of another kind among
        them all is about. What any of the others may have changed is read, too.
        """
        log.debug("looking, woken by %s", wake)
        self._cancel_again()
        # What a look that failed was to read is still to be read.
        wakes, self._owed = (wake, *others, *self._owed), ()
        try:
            self.plan = await self._settle(wakes)
            if self._observer.unanswered:
                finding = Finding("lvm-unreadable", "lvm", self._observer.unanswered)
                self.plan = replace(self.plan, findings=(*self.plan.findings, finding))
            self._note_who_showed(wakes)
        except UNREADABLE as error:
            kept = tuple(f for f in self._memory.findings if f.code != "lvm-unreadable")
            self.plan = Plan(findings=(*kept, Finding("lvm-unreadable", "lvm", str(error))))
            # Without what they were about, so that everything is read.
            self._owed = tuple(map(Wake, dict.fromkeys(wake.trigger for wake in wakes)))
            self._look_again(wake.trigger, _UNREADABLE_S)
        await self._tell(self.plan, wake.trigger)
        self._schedule(wake)
        self.published()

    async def _settle(self, wakes: tuple[Wake, ...]) -> Plan:
        plan = Plan()
        if self._settling is None and self._executor.unattended:
            self._settling = asyncio.create_task(self._settle_apart())
        look = self._how_to_look(wakes)
        rounds = _ROUNDS
        while rounds:
            with ExitStack() as held:
                # A quick look has it from the beginning, and is not taken twice.
                lock = self._take_lock(held) if look.quick else None
                state, plan, due = await self._look_for_event(look)
                only = look.only and look.only | {action.pool for action in due}
                if not due and not self._executor.interrupted:
                    return plan
                is_true = lock is not None and not self._executor.interrupted
                lock = lock or self._take_lock(held)
                if lock is None:
                    self._busy = True
                    return plan
                only = None if self._executor.interrupted else only
                await self._executor.resume(lock)
                if not is_true:
                    # Again under the lock: another command may have been faster.
                    state, plan, due = await self._look(Look(only=only))
                    only = only and only | {action.pool for action in due}
                if due and not await self._act(due, state, wakes, lock):
                    return plan
            # What LVM says of a growth that the kernel shows is not needed before the next one:
            # whoever fills a pool does not wait for a report of its group.
            look = Look(quick=bool(due) and due[0].act in _QUICK, only=only)
            if not due or due[0].act is not Act.REFRESH:
                rounds -= 1
            elif self._wakes:
                # What a look does beside, as telling what is wrong, does not wait for a hundred
                # refreshes either: the rest is planned in the look of those who woke meanwhile.
                return plan
            # A refresh ends of itself: it is held back for a while once it was tried.
        log.debug("still something to do after %d rounds", _ROUNDS)
        self._look_again(wakes[0].trigger, _BUSY_S)
        return plan

    def _take_lock(self, held: ExitStack) -> Lock | None:
        """Until `held` ends; None if another has it."""
        try:
            return held.enter_context(Lock.acquire(self._paths.lock))
        except BusyError as error:
            log.debug("%s", error)
            return None

    async def _act(
        self, due: tuple[Action, ...], state: State, wakes: tuple[Wake, ...], lock: Lock
    ) -> bool:
        """Do what is due, up to where the lock is let go; is there to be another round?"""
        acted, queue, sorted_at = False, list(due), time.monotonic()
        while queue:
            if self._stopping:
                return False
            if time.monotonic() - sorted_at >= _RESORT_S and queue[0].act in _QUICK:
                if not self._sort(queue):
                    break
                sorted_at = time.monotonic()
            action = queue.pop(0)
            try:
                cause = self._cause_of(action, wakes)
                outcome = await self._executor.carry_out(action, cause, lock)
            except BusyError as error:
                # Another is at the consumers, and no pool is to wait for that.
                log.debug("%s", error)
                self._busy = True
                continue
            acted, done = True, outcome.result is Result.DONE
            self._memory.note(action, state, time.monotonic(), done=done, reason=outcome.reason)
            if action.act not in _QUICK:
                # The lock is let go, and the pools are looked at, before the next one.
                break
        return acted

    def _sort(self, queue: list[Action]) -> bool:
        """The growths that are needed most come first; False: none of these is, and all is to be
        planned anew.

        Growing a hundred pools takes long, and one of them, or another, may fill faster than that.
        """
        state = self._observer.glance()
        growth = plan_growth(state, self.settings, self._memory.past)
        wanted = self._memory.due(growth, state, time.monotonic())
        places = {(action.act, action.key): place for place, action in enumerate(wanted)}
        if wanted and (wanted[0].act, wanted[0].key) not in {(a.act, a.key) for a in queue}:
            return False
        queue.sort(key=lambda action: places.get((action.act, action.key), len(places)))
        return True

    async def _settle_apart(self) -> None:
        """Settle an act that waits for units, beside the looks: no pool waits for it."""
        try:
            with await take(self._paths.lock, _LOCK_S) as lock:
                await self._executor.resume_apart(lock)
        except (BusyError, *UNREADABLE) as error:
            log.warning("an act that was interrupted is not settled yet: %s", error)
        finally:
            self._settling = None
        self.wake(Wake(Trigger.COMMAND))

    def _cause_of(self, action: Action, wakes: tuple[Wake, ...]) -> Trigger:
        """Who an act is named for. Others wake while a disk settles, and it is not for them."""
        if isinstance(action, Claim) and action.identity in self._shown:
            return self._shown[action.identity]
        kinds = _CAUSES.get(action.act, ())
        # Its event may be told a moment later than a look sees it, or a moment earlier.
        before = self._event if time.monotonic() < self._event_until else ()
        woke = (*wakes, *self._wakes, *before)
        return next((wake.trigger for wake in woke if wake.trigger in kinds), wakes[0].trigger)

    def _how_to_look(self, wakes: tuple[Wake, ...]) -> Look:
        """What events of these kinds may have changed is read anew."""
        return look_for(wakes, claims=bool(self.settings.claims), wrong=bool(self._memory.findings))

    async def _look(self, look: Look) -> tuple[State, Plan, tuple[Action, ...]]:
        state = await self._observer.look(
            fresh=look.fresh,
            disks=look.disks,
            units=look.units,
            touched=look.touched,
            quick=look.quick,
            only=look.only,
        )
        now = time.monotonic()
        self._memory.sample(state, now)
        await self.books.keep(state)
        # What this very look shows counts: a disk that was just taken out is not claimed again.
        state = replace(state, ledger=keep_books(state.ledger, state))
        self.state = state
        plan = make_plan(state, self.settings, self._memory.past, Guard())
        due = self._memory.due(plan.actions, state, now)
        if due and self._observer.behind:
            # It was planned by what a VG had before the last growth.
            return await self._look(GLANCE)
        return state, plan, due

    async def _look_for_event(self, look: Look) -> tuple[State, Plan, tuple[Action, ...]]:
        """Look; and if it is for an event whose chunk is not allocated yet, until that is there, or
        somebody else wakes.
        """
        seen = state, _, due = await self._look(look)
        if not look.only:
            return seen
        for pause in _ALLOCATION_S:
            raised = (
                pool for pool in state.pools if pool.kernel and look.only & {*pool.kernel.names}
            )
            at_mark = any(is_at_mark(pool, self.settings) for pool in raised)
            if due or self._wakes or not at_mark:
                break
            await asyncio.sleep(pause)
            seen = state, _, due = await self._look(look)
        return seen

    async def _tell(self, plan: Plan, trigger: Trigger) -> None:
        new, gone = self._memory.compare(plan.findings, time.monotonic())
        for finding in new:
            await self._recorder.record(finding_entry(finding, trigger))
        for finding in gone:
            await self._recorder.record(finding_entry(finding, trigger, cleared=True))

    def _schedule(self, wake: Wake) -> None:
        """Ask for the next look: soon, if something is held or settling; else by the fill rate."""
        waits: list[tuple[float, Trigger]] = []
        now, trigger = time.monotonic(), wake.trigger
        if trigger in (Trigger.DM_EVENT, Trigger.JOURNAL) and wake.subject:
            self._event, self._event_until = (wake,), now + _AFTER_EVENT_S
        if now < self._event_until:
            # The kernel raises its event before the chunk is allocated that crosses the mark, and
            # raises it once: a look in between sees a pool that is not above its threshold yet.
            waits.append((self._event_until - now, self._event[0].trigger))
        if self._observer.behind:
            waits.append((_AFTER_EVENT_S, Trigger.DM_EVENT))
        if self._busy:
            self._busy = False
            waits.append((_BUSY_S, trigger))
        if self._memory.unsettled:
            waits.append((SETTLE_S, trigger))
        if self.plan.wait is not None:
            # For a disk that is waited for, in the name of who showed it, so that disks are read.
            wait = self.plan.wait
            shown = (who for disk, who in self._shown.items() if self.plan.waits.get(disk) == wait)
            waits.append((wait, next(shown, trigger)))
        held = self._memory.retry_in(now) if self.plan.actions else None
        tries = (held, self._executor.settle_in)
        waits.extend((wait, trigger) for wait in tries if wait is not None)
        if waits:
            soonest, who = min(waits, key=lambda wait: wait[0])
            self._look_again(who, max(0.1, soonest))
        full = min(self._times_to_threshold(), default=None)
        self.look_within(next_look(full, self.settings.resync))
        self.expect(is_growth_near(self.state, self.settings) if self.state else False)

    def _note_who_showed(self, wakes: tuple[Wake, ...]) -> None:
        """Who showed each disk that is still to be claimed; that is done in its name."""
        read = (wake.trigger for wake in wakes if self._how_to_look((wake,)).disks)
        now = next(read, Trigger.TIMER)
        claims = {action.identity for action in self.plan.actions if isinstance(action, Claim)}
        pending = claims | self.plan.waits.keys()
        self._shown = {disk: self._shown.get(disk, now) for disk in pending}

    def _times_to_threshold(self) -> list[float]:
        times = []
        rates = self._memory.past.data
        for pool in self.state.pools if self.state else ():
            kernel = pool.kernel
            if kernel is None or kernel.data is None or not self.settings.guards(pool.name):
                continue
            limit = kernel.data.total * policy_for(pool, self.settings).data_threshold // 100
            seconds = time_to(limit - kernel.data.used, rates.get(pool.lv.uuid))
            if seconds:
                times.append(seconds)
        return times + (self._loop_times(self.state, rates) if self.state else [])

    def _loop_times(self, state: State, rates: Mapping[str, float]) -> list[float]:
        """The same of the pools on loop devices that are grown."""
        times = []
        for pool in state.bare:
            data, policy = pool.kernel.data, policy_of(pool, self.settings)
            if data is not None and policy.max_size is not None:
                left = data.total * policy.data_threshold // 100 - data.used
                times.append(time_to(left, rates.get(pool.name)))
        return [seconds for seconds in times if seconds]

    def _look_again(self, trigger: Trigger, seconds: float) -> None:
        self._cancel_again()
        loop = asyncio.get_running_loop()
        self._again = loop.call_later(seconds, self.wake, Wake(trigger))

    def _cancel_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
