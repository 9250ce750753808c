"""Stand-ins for what the loop reaches the host through."""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, get_args

from dmguard.core.entry import Entry
from dmguard.core.model import State
from dmguard.core.steps import Lvm, Step
from dmguard.loop.books import Books
from dmguard.loop.execute import Executor
from dmguard.loop.ink import Ink
from dmguard.loop.record import Paths, Recorder
from dmguard.loop.walk import Done, Hands

if TYPE_CHECKING:
    from dmguard.edge.systemd import JournalWriter
    from dmguard.loop.observe import Observer

T = TypeVar("T")


class FakeObserver:
    """Sees what `state` is, or raises it; with `truths`, one of them a look. Notes its looks.

    `owes`: a quick look leaves LVM unasked.
    """

    def __init__(self, state: State | Exception) -> None:
        self.state = state
        self.looks: list[bool] = []
        self.read: list[tuple[bool, bool]] = []
        self.forgot = 0
        self.touched: list[set[str]] = []
        self.quick: list[bool] = []
        self.glances: list[str] = []
        self.only: list[set[str] | None] = []
        self.truths: list[State] = []
        self.owes = self.behind = False
        self.unanswered = ""

    def forget(self) -> None:
        self.forgot += 1

    async def look(
        self,
        *,
        fresh: bool = False,
        disks: bool = False,
        units: bool = False,
        host: bool = False,
        touched: Collection[str] = (),
        quick: bool = False,
        only: Collection[str] | None = None,
    ) -> State:
        self.behind = quick and self.owes
        self.looks.append(fresh)
        self.read.append((disks, units))
        self.touched.append(set(touched))
        self.quick.append(quick)
        self.only.append(None if only is None else set(only))
        if self.truths:
            self.state = self.truths.pop(0)
        if isinstance(self.state, Exception):
            raise self.state
        return self.state

    def glance(self, pool: str = "") -> State:
        self.glances.append(pool)
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


class FakeJournal:
    """Takes every entry at once, or when `flows` is set."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.pending: list[Future[None]] = []
        self.flows = True

    def send(self, message: str, **fields: str) -> Future[None]:
        self.sent.append({"MESSAGE": message, **fields})
        self.pending.append(Future())
        if self.flows:
            self.pending[-1].set_result(None)
        return self.pending[-1]


class Bench:
    """An executor with a fake host, real files, and one hand that `does` something."""

    def __init__(self, root: Path, state: State | Exception) -> None:
        self.paths = Paths(run=root / "run", lib=root / "lib")
        self.observer = FakeObserver(state)
        self.journal = FakeJournal()
        self.steps: list[tuple[str, ...]] = []
        self.locks: list[int] = []
        self.does: Callable[[], Done] = lambda: Done(ok=True)
        self.ink = Ink()
        self.recorder = Recorder(self.paths, cast("JournalWriter", self.journal), self.ink)
        hands: Hands = dict.fromkeys(get_args(Step), self._hand)
        self.books = Books(self.paths, self.ink)
        self.executor = Executor(
            hands, cast("Observer", self.observer), self.recorder, self.ink, self.paths
        )

    def _hand(self, step: Step, lock: int) -> Awaitable[Done]:
        self.steps.append(step.argv if isinstance(step, Lvm) else (str(step),))
        self.locks.append(lock)
        return self._do()

    async def _do(self) -> Done:
        return self.does()

    def told(self) -> list[Entry]:
        return self.recorder.recent


async def finish(bench: Bench, work: Coroutine[object, object, T]) -> T:
    """Await the work, and end the bench's thread whatever comes of it."""
    try:
        return await work
    finally:
        bench.ink.close()
