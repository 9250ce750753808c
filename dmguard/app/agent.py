"""`dmguard run`: the loop, its sources under supervision, signals and the watchdog."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from dmguard.core.entry import Entry
from dmguard.core.model import State, Trigger
from dmguard.core.plan import Past, make_plan
from dmguard.core.wake import Wake
from dmguard.edge import systemd
from dmguard.edge.config import ConfigError, load_settings
from dmguard.edge.dm import DmUnavailableError
from dmguard.edge.memlock import lock_memory
from dmguard.edge.sources import teller
from dmguard.edge.sources.dmevents import DmEvents
from dmguard.edge.sources.journal import JournalEvents
from dmguard.edge.sources.timer import Timer
from dmguard.edge.sources.udev import UdevEvents
from dmguard.edge.sources.units import UnitEvents
from dmguard.loop.publish import Publisher, published_findings, read_published

if TYPE_CHECKING:
    from dmguard.app.wiring import Loop
    from dmguard.core.settings import Settings
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.sources import Source

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""How long one look waits for what is on the disks: meanwhile no pool is grown."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_STUCK_S = 300.0
_SLOW_S = 60.0
_WORDS = {
    "config-rejected": ("reload", "failed"),
    "config-loaded": ("reload", "done"),
    "source-down": ("watch", "failed"),
    "lvm-slow": ("watch", "failed"),
}


class Agent:
    """One task group: whatever ends in it ends it, and the service manager starts it anew."""

    def __init__(self, loop: Loop, bus: SystemBus) -> None:
        """`bus` is the one that the loop reads units from: its source keeps it connected."""
        self._loop = loop
        self._bus = bus
        self._reconciler = loop.reconciler
        self._publisher = Publisher(loop.paths, loop.memory, loop.recorder)
        self._timer = Timer(loop.settings.resync)
        self._supervised: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._status = ""
        self._slow = ""

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. What is under way is finished first."""
        self._loop.memory.recall(published_findings(read_published(self._loop.paths)))
        self._reconciler.published = self._publish
        self._reconciler.look_within = self._timer.look_within
        self._catch_signals()
        self._load()
        problem = lock_memory()
        if problem:
            log.warning("memory is not locked: %s", problem)
        async with self._group:
            self._start_sources()
            self._reconciler.wake(Wake(Trigger.START))
            watchdog = self._group.create_task(self._feed_watchdog())
            systemd.notify(READY="1", STATUS="guarding")
            await self._reconciler.run()
            watchdog.cancel()
            self._stop_sources()
        if self._loop.resident is not None:
            await self._loop.resident.close()
        self._publisher.close()

    def _load(self) -> None:
        """What a look and an act load when they come to it: they may come to it without a disk."""
        make_plan(State((), ()), self._reconciler.settings, Past())

    def _publish(self) -> None:
        self._publisher.publish()
        state, findings = self._reconciler.state, self._loop.memory.findings
        guards = self._reconciler.settings.guards
        count = sum(guards(pool.name) for pool in state.pools) if state else 0
        status = f"guarding {count} thin pool{'' if count == 1 else 's'}"
        if findings:
            status += "; " + ", ".join(f"{f.subject}: {f.code}" for f in findings)
        if status != self._status:
            self._status = status
            systemd.notify(STATUS=status)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _stop(self) -> None:
        systemd.notify(STOPPING="1", STATUS="finishing what is under way")
        self._reconciler.stop()

    def _reload(self) -> None:
        systemd.notify_reloading()
        try:
            settings = load_settings()
        except (ConfigError, OSError) as error:
            self._tell(
                "config-rejected", f"configuration not accepted, the last one stays: {error}"
            )
        else:
            self._use(settings)
            self._tell("config-loaded", "configuration loaded anew")
        systemd.notify(READY="1")

    def _use(self, settings: Settings) -> None:
        self._reconciler.settings = settings
        self._loop.memory.forget_failures()
        self._stop_sources()
        self._timer = Timer(settings.resync)
        self._reconciler.look_within = self._timer.look_within
        self._start_sources()
        self._reconciler.wake(Wake(Trigger.COMMAND))

    def _tell(self, code: str, message: str, trigger: Trigger = Trigger.COMMAND) -> None:
        action, result = _WORDS[code]
        entry = Entry(code, action, result, str(trigger), "", "", code, message)
        self._group.create_task(self._loop.recorder.record(entry))

    def _start_sources(self) -> None:
        sources: dict[Trigger, Source] = {
            Trigger.UDEV: UdevEvents(),
            Trigger.JOURNAL: JournalEvents(partial(self._loop.runner.keep, teller.COMMAND)),
            Trigger.DM_EVENT: DmEvents(),
            Trigger.DBUS: UnitEvents(self._bus, self._units),
            Trigger.TIMER: self._timer,
        }
        self._supervised = [
            self._group.create_task(self._supervise(sources[name]), name=f"source {name}")
            for name in self._reconciler.settings.sources
        ]

    def _units(self) -> list[str]:
        """The units of all consumers that are known, whether or not they are on this host."""
        return sorted({policy.unit for policy in self._reconciler.settings.consumers.values()})

    def _stop_sources(self) -> None:
        for task in self._supervised:
            task.cancel()
        self._supervised = []
        self._publisher.sources = {}

    async def _supervise(self, source: Source) -> None:
        """Run a source for ever. One that breaks has lost events, so everything is read again."""
        pause, told = _FIRST_PAUSE_S, ""
        while True:
            self._publisher.sources[source.name] = "listening"
            began = time.monotonic()
            try:
                await source.run(self._reconciler.wake)
                reason = "it ended"
            except (OSError, DmUnavailableError) as error:
                reason = str(error)
            if time.monotonic() - began > _LONGEST_PAUSE_S:
                pause, told = _FIRST_PAUSE_S, ""
            if reason != told:
                message = f"source {source.name}: {reason}; it is tried again"
                self._tell("source-down", message, source.name)
                told = reason
            self._publisher.sources[source.name] = f"down: {reason}"
            self._publisher.publish()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            self._reconciler.wake(Wake(source.name))

    async def _feed_watchdog(self) -> None:
        """A sign of life for as long as the loop turns and no look takes for ever.

        A running LVM command is alive however long it takes: it must not be killed.
        """
        period = systemd.watchdog_s()
        while period is not None:
            since = self._reconciler.busy_since
            stuck = since is not None and time.monotonic() - since > _STUCK_S
            if not stuck or self._loop.runner.writing:
                systemd.notify(WATCHDOG="1")
            self._tell_slowness()
            await asyncio.sleep(period / 2)

    def _tell_slowness(self) -> None:
        """Once of each command: the reconciler, which waits for it, cannot."""
        words, seconds = self._loop.runner.writing_for or ("", 0.0)
        if seconds >= _SLOW_S and words != self._slow:
            told = (
                f"{words}: not at its end after {seconds:.0f} s, and nothing is changed till then"
            )
            self._tell("lvm-slow", told, Trigger.TIMER)
        if seconds >= _SLOW_S or not words:
            self._slow = words
