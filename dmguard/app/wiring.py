"""Puts the loop together, for the agent and for the commands alike."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.edge.run import Runner
from dmguard.edge.systemd import JournalWriter
from dmguard.loop.execute import Executor, make_hands
from dmguard.loop.memory import Memory
from dmguard.loop.observe import Observer
from dmguard.loop.reconcile import Reconciler
from dmguard.loop.record import Ink, Paths, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Loop:
    """The parts of the loop that the floor above speaks to."""

    settings: Settings
    paths: Paths
    runner: Runner
    observer: Observer
    recorder: Recorder
    executor: Executor
    memory: Memory
    reconciler: Reconciler


@contextmanager
def open_loop(
    settings: Settings, *, paths: Paths | None = None, journal: JournalWriter | None = None
) -> Iterator[Loop]:
    """Everything opened, and closed again in the reverse order. Enter it in a running loop."""
    paths = paths or Paths()
    writer = journal or JournalWriter()
    ink = Ink()
    with Runner() as runner:
        observer = Observer(runner)
        recorder = Recorder(paths, writer, ink)
        executor = Executor(make_hands(runner), observer, recorder, ink, paths)
        memory = Memory()
        reconciler = Reconciler(
            settings=settings,
            observer=observer,
            executor=executor,
            recorder=recorder,
            memory=memory,
            paths=paths,
        )
        try:
            yield Loop(settings, paths, runner, observer, recorder, executor, memory, reconciler)
        finally:
            observer.close()
            ink.close()
            if journal is None:
                writer.close()
