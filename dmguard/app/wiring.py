"""Puts the loop together, for the agent and for the commands alike."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger
from dmguard.core.verdict import CONTENT, cheap_objections, needs_probe
from dmguard.core.wake import Wake
from dmguard.edge.consumers import is_plugin_broken, read_consumers
from dmguard.edge.members import answering_members
from dmguard.edge.run import Runner
from dmguard.edge.standing import lies_on
from dmguard.edge.systemd import JournalWriter
from dmguard.edge.udevdb import Appearances
from dmguard.loop.bare import Below
from dmguard.loop.books import Books
from dmguard.loop.clients import Clients
from dmguard.loop.execute import Executor
from dmguard.loop.hands import make_hands
from dmguard.loop.ink import Ink
from dmguard.loop.memory import Memory
from dmguard.loop.observe import Observer, Senses
from dmguard.loop.reconcile import Reconciler
from dmguard.loop.record import Paths, Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import Disk, State
    from dmguard.core.settings import Settings
    from dmguard.core.steps import Prove
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.resident.client import Resident
    from dmguard.loop.survey import Survey
    from dmguard.loop.walk import Done

_BRIEF_S = 10.0
"""How long the proof of a disk may take, with the lock held."""

COPIES = Path("/etc/lvm")
"""Its archive and its backups."""

DMEVENTD = Path("/run/dmeventd-client")
"""dmeventd's socket: there when systemd listens for it, or it runs."""


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
    books: Books
    resident: Resident | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a loop reaches beyond LVM and the kernel.

    `disks`: udev and what is on the disks, `every` of them or only those that a rule is for;
    `content`: also those that are known to have something on them.
    `patience_s`: how long one look waits for what is on the disks. `bus`: systemd's units. What
    starts at boot has neither, and imports neither library. `resident`: an LVM that stays.
    """

    disks: bool = True
    every: bool = False
    content: bool = False
    patience_s: float = math.inf
    bus: SystemBus | None = None
    resident: bool = False


@contextmanager
def open_loop(
    settings: Settings,
    *,
    paths: Paths | None = None,
    journal: JournalWriter | None = None,
    reach: Reach | None = None,
) -> Iterator[Loop]:
    """Everything opened, and closed again in the reverse order. Enter it in a running loop."""
    paths = paths or Paths()
    reach = reach or Reach()
    writer = journal or JournalWriter()
    ink = Ink()
    with Runner() as runner:
        books = Books(paths, ink)

        def in_force() -> Settings:
            return reconciler.settings

        def answered() -> None:
            reconciler.wake(Wake(Trigger.UDEV, "a close look came back"))

        survey = _make_survey(runner, in_force, reach, answered) if reach.disks else None
        observer = Observer(runner, senses=_senses(runner, books, survey, in_force, reach))

        async def prove(step: Prove) -> Done:
            assert survey is not None
            return await survey.prove(step, lambda: observer.look(fresh=True))

        resident = _make_resident(runner) if reach.resident else None
        hands = make_hands(
            runner,
            prove=prove if survey else None,
            manager=reach.bus,
            resident=resident,
            devices_of=observer.devices_of,
            may_wait=observer.may_wait,
        )
        recorder = Recorder(paths, writer, ink)
        executor = Executor(hands, observer, recorder, ink, paths)
        memory = Memory()
        reconciler = Reconciler(
            settings=settings,
            observer=observer,
            executor=executor,
            recorder=recorder,
            memory=memory,
            paths=paths,
            books=books,
        )
        if resident is not None:
            reconciler.expect = lambda near: resident.expect(growth=near)
        try:
            yield Loop(
                settings,
                paths,
                runner,
                observer,
                recorder,
                executor,
                memory,
                reconciler,
                books,
                resident,
            )
        finally:
            observer.close()
            ink.close()
            if journal is None:
                writer.close()


def _make_resident(runner: Runner) -> Resident:
    from dmguard.edge.resident.client import Resident

    return Resident(runner)


def _senses(
    runner: Runner,
    books: Books,
    survey: Survey | None,
    in_force: Callable[[], Settings],
    reach: Reach,
) -> Senses:
    below = Below(in_force)
    return Senses(
        survey=survey,
        clients=Clients(
            in_force,
            lambda: read_consumers(in_force().consumers),
            read_unit=reach.bus.read_unit if reach.bus else None,
            is_broken=lambda: is_plugin_broken(runner),
        ),
        ledger=books.read_ledger,
        appeared=Appearances().at,
        dmeventd=DMEVENTD.exists,
        late=books.read_late,
        bare=below.fill,
        raws=below.read_raws,
        heads=below.read_heads,
        copies_on=lambda devices: lies_on(COPIES, devices),
        members=answering_members,
        host=_host_reader(runner, in_force),
    )


def _host_reader(
    runner: Runner, in_force: Callable[[], Settings]
) -> Callable[[State], Awaitable[Host]]:
    version: str | None = None

    async def read(state: State) -> Host:
        from dmguard.edge.host import read_host

        nonlocal version
        host = await read_host(
            runner,
            dmeventd=state.dmeventd,
            consumers=state.consumers,
            policies=in_force().consumers,
            docker_version=version,
        )
        version = host.docker_version
        return host

    return read


def _make_survey(
    runner: Runner, in_force: Callable[[], Settings], reach: Reach, answered: Callable[[], None]
) -> Survey:
    from dmguard.edge.block import probe
    from dmguard.edge.udev import read_disks
    from dmguard.loop.survey import Survey

    def wants(disk: Disk, state: State) -> bool:
        if reach.every:
            forgiven = CONTENT if reach.content else ()
            return all(reason.code in forgiven for reason in cheap_objections(disk, state))
        return needs_probe(disk, state, in_force())

    return Survey(
        read_disks,
        lambda disk: probe(disk, runner),
        lambda disk: probe(disk, runner, brief=True, timeout_s=_BRIEF_S),
        wants,
        patience_s=reach.patience_s,
        answered=answered,
    )
