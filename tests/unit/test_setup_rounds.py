"""A set-up is as many actions as it takes, and ends when one of them comes to nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from dmguard.app.guard.setup import SetUpDone, set_up
from dmguard.core.actions import CreatePool, CreateVg, Result, WipeDisk
from dmguard.core.model import Probe, State
from dmguard.core.outcome import Outcome
from dmguard.core.settings import Settings
from dmguard.loop.record import Paths
from tests.unit.disks import make_disk
from tests.unit.test_setup import BARE, GOAL, done

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dmguard.app.wiring import Loop
    from dmguard.core.actions import Action
    from dmguard.core.entry import Entry
    from dmguard.core.goals import SetUp

MANY = tuple(
    make_disk(
        "b",
        name=f"sd{number}",
        devno=(8, 16 * number),
        serial=f"serial-{number}",
        links=(f"/dev/disk/by-id/scsi-{number}",),
        probe=Probe(signatures=("ext4 at 0x438",)),
    )
    for number in range(1, 101)
)
FORCED = replace(
    GOAL,
    consumer="",
    disks=tuple(disk.node for disk in MANY),
    forced=tuple(f"serial-{number}" for number in range(1, 101)),
)


class Host:
    """A host on which each action becomes what `change` makes of it."""

    def __init__(self, root: Path, state: State, change: Callable[[State, Action], State]) -> None:
        self.paths = Paths(run=root, lib=root)
        self.state = state
        self.change = change
        self.told: list[Entry] = []

    async def look(self, **_: bool) -> State:
        return self.state

    async def carry_out(self, action: Action, *_: object) -> Outcome:
        self.state = self.change(self.state, action)
        return Outcome(Result.DONE, action.reason)

    async def resume(self, _: object) -> None: ...

    async def record(self, entry: Entry) -> None:
        self.told.append(entry)

    def set_up(self, goal: SetUp) -> SetUpDone:
        async def connect() -> None: ...

        loop = SimpleNamespace(
            paths=self.paths,
            observer=self,
            settings=Settings(),
            executor=SimpleNamespace(
                carry_out=self.carry_out, resume=self.resume, resume_apart=self.resume
            ),
            recorder=self,
        )
        return asyncio.run(set_up(cast("Loop", loop), goal, dry_run=False, connect=connect))


def test_a_hundred_disks_are_given_up_in_one_set_up(tmp_path: Path) -> None:
    host = Host(tmp_path, replace(BARE, disks=MANY), done)
    did = host.set_up(FORCED)
    assert did.succeeded
    kinds = [type(action) for action, _ in did.outcomes]
    assert kinds == [WipeDisk] * len(MANY) + [CreateVg, CreatePool]
    assert host.state.pool("docker/thinpool") is not None


def test_what_is_done_and_is_to_be_done_again_is_a_failure(tmp_path: Path) -> None:
    """Something else takes it back each time, or the host does not show it."""
    host = Host(tmp_path, BARE, lambda state, _: state)
    did = host.set_up(replace(GOAL, consumer=""))
    assert not did.succeeded
    assert [outcome.result for _, outcome in did.outcomes] == [Result.DONE, Result.FAILED]
    (entry,) = host.told
    assert (entry.action, entry.result, entry.reason) == ("create-vg", "failed", "act-failed")
