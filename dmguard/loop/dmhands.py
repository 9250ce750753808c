"""What does the steps on loop devices and on the tables of pools that are none of LVM's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmguard.core.bare import read_superblock
from dmguard.core.sizing import usage
from dmguard.core.steps.dm import (
    AttachFile,
    CreateRaw,
    CutFile,
    DetachFile,
    DropTable,
    LoadTable,
    RestoreTable,
    ResumePool,
    SetCapacity,
    SetFileSize,
)
from dmguard.edge.dm import Tables
from dmguard.edge.loopdev import Loops
from dmguard.edge.loopfile import LoopChangedError, LoopRoomError, cut_file, grow_file, read_head
from dmguard.loop.walk import Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.bare import Table
    from dmguard.edge.run import Runner


class DmHands:
    """Each change is one system call in the writer's turn: it comes to its end whatever is
    cancelled, and no other change is under way meanwhile.
    """

    def __init__(
        self,
        runner: Runner,
        open_tables: Callable[[], Tables] = Tables.open,
        loops: Loops | None = None,
    ) -> None:
        self._runner = runner
        self._open = open_tables
        self._loops = loops or Loops()

    def as_table(self) -> dict[Any, Any]:
        """For each kind of step what does it."""
        return {
            SetFileSize: self._set_file_size,
            CutFile: self._cut_file,
            SetCapacity: self._set_capacity,
            LoadTable: self._load,
            ResumePool: self._resume,
            DropTable: self._drop,
            RestoreTable: self._restore,
            AttachFile: self._attach,
            DetachFile: self._detach,
            CreateRaw: self._create,
        }

    async def _do(self, change: Callable[[], object]) -> Done:
        try:
            await self._runner.work("a change of tables or of a loop device's file", change)
        except LoopChangedError as error:
            return Done(ok=False, complaint=str(error), code="loop-changed")
        except LoopRoomError as error:
            return Done(ok=False, complaint=str(error), code="loop-no-space")
        return Done(ok=True)

    async def _set_file_size(self, step: SetFileSize, lock: int) -> Done:
        del lock
        return await self._do(lambda: grow_file(step.path, step.inode, step.was, step.size))

    async def _cut_file(self, step: CutFile, lock: int) -> Done:
        del lock

        def cut() -> None:
            with self._open() as tables:
                pools = [pool.kernel for pool in tables.read_bare() if pool.name == step.pool]
            shown = usage(pools[0], step.resource) if pools else None
            if shown is None or shown.total > step.kept:
                raise LoopChangedError(f"{step.pool}: not certain that it has its old size")
            cut_file(step.path, step.inode, step.was, step.size)

        return await self._do(cut)

    async def _set_capacity(self, step: SetCapacity, lock: int) -> Done:
        del lock
        name = step.node.removeprefix("/dev/")
        return await self._do(lambda: self._loops.set_capacity(name, step.inode))

    async def _load(self, step: LoadTable, lock: int) -> Done:
        del lock

        def load() -> None:
            with self._open() as tables:
                live = tables.read_live(step.pool)
                known = (step.was, step.table)
                if live is None or live.table not in known or live.suspended:
                    now = live and live.table
                    raise LoopChangedError(f"{step.pool}: its live table is {now} now")
                tables.load(step.pool, step.table)

        return await self._do(load)

    async def _resume(self, step: ResumePool, lock: int) -> Done:
        del lock

        def resume() -> None:
            with self._open() as tables:
                try:
                    tables.resume(step.pool)
                except OSError:
                    _let_it_go_on(tables, step)
                    raise

        return await self._do(resume)

    async def _drop(self, step: DropTable, lock: int) -> Done:
        del lock

        def drop() -> None:
            with self._open() as tables:
                loaded = tables.read_loaded(step.pool)
                if loaded not in (None, step.table):
                    raise LoopChangedError(f"{step.pool}: another table is loaded: {loaded}")
                if loaded is not None:
                    tables.clear(step.pool)

        return await self._do(drop)

    async def _restore(self, step: RestoreTable, lock: int) -> Done:
        del lock

        def restore() -> None:
            with self._open() as tables:
                _let_it_go_on(tables, step)

        return await self._do(restore)

    async def _attach(self, step: AttachFile, lock: int) -> Done:
        del lock
        return await self._do(lambda: self._loops.attach(step.path))

    async def _detach(self, step: DetachFile, lock: int) -> Done:
        del lock
        return await self._do(lambda: self._loops.detach(step.path))

    async def _create(self, step: CreateRaw, lock: int) -> Done:
        nodes: list[str] = []

        def prove() -> None:
            nodes.append(self._node(step.metadata, is_file=step.metadata_is_file))
            nodes.append(self._node(step.data, is_file=step.data_is_file))
            heads.append(read_head(nodes[0]))

        heads: list[bytes] = []
        done = await self._do(prove)
        if not done.ok:
            return done
        if read_superblock(heads[0]) is None:
            return Done(ok=False, complaint=f"{step.metadata}: no pool on it", code="raw-no-pool")
        table = f"0 {step.sectors} thin-pool {nodes[0]} {nodes[1]} {step.rest}"
        argv = ("dmsetup", "create", step.pool, "--table", table)
        completed = await self._runner.change(argv, stdin=lock)
        return Done(ok=completed.status == 0, complaint=completed.complaint)

    def _node(self, path: str, *, is_file: bool) -> str:
        return f"/dev/{self._loops.attach(path)}" if is_file else path


def _let_it_go_on(tables: Tables, step: RestoreTable | ResumePool) -> None:
    """Drop what is loaded; resume what is suspended. OSError if the kernel takes no table."""
    tables.clear(step.pool)
    live = tables.read_live(step.pool)
    if live is None or not live.suspended:
        return
    error: OSError | None = None
    for table in _candidates(live.table, step):
        try:
            if table != live.table:
                tables.load(step.pool, table)
            tables.resume(step.pool)
        except OSError as failed:
            error = failed
            tables.clear(step.pool)
        else:
            return
        live = tables.read_live(step.pool) or live
    if error is not None:
        raise error


def _candidates(live: Table, step: RestoreTable | ResumePool) -> tuple[Table, ...]:
    """What to resume a suspended pool with, in this order.

    With the old table if that is possible. Where the kernel has resized the pool before it failed
    it takes only the new one.
    """
    if live.params != step.was.params:
        return (live,)
    return (step.was, step.table)
