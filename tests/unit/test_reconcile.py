"""The one loop: woken, it reads the truth, plans, acts, and reads again."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmguard.core.actions import dump_action
from dmguard.core.model import Mode, Pool, Probe, State, Trigger, Usage
from dmguard.core.wake import Wake
from dmguard.edge.files import Lock, write_atomic
from dmguard.edge.lvm import ReportError
from dmguard.loop.turn import is_held
from dmguard.loop.walk import Done
from tests.unit.builders import (
    MIB,
    in_kernel,
    make_extend,
    make_pool,
    make_state,
    make_vg,
)
from tests.unit.disks import CLAIMS, DISK, consumer, host, make_disk, vg_of
from tests.unit.fakes import finish
from tests.unit.rig import FINE, TIMER, Rig

EVENT = Wake(Trigger.DM_EVENT, "253:4")
HUNGRY = make_state(make_pool(80))
GROWN = make_state(make_pool(66, size=12_000))
AT_MARK = make_state(make_pool(75))
DRY = make_state(make_pool(80, vg=make_vg(free=0)))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def test_a_pool_above_its_threshold_is_grown_once_and_the_loop_rests(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.cycle(HUNGRY)
    assert len(rig.bench.steps) == 1
    assert rig.told() == ["data-extended"]
    assert rig.loop.plan.actions == ()


def test_it_is_told_at_each_look_whether_growth_is_near(rig: Rig) -> None:
    rig.cycle(FINE)
    rig.cycle(make_state(make_pool(70)))
    assert rig.near == [False, True]


def test_a_pool_below_its_threshold_is_left_and_no_lock_is_taken(rig: Rig) -> None:
    rig.cycle(FINE)
    assert (rig.bench.steps, rig.told()) == ([], [])
    assert not rig.bench.paths.lock.exists()


def test_an_act_that_fails_is_not_tried_again_at_once(rig: Rig) -> None:
    rig.hand(HUNGRY, ok=False)
    rig.cycle(HUNGRY)
    assert len(rig.bench.steps) == 1
    assert rig.told() == ["act-failed"]
    assert rig.loop.plan.actions != ()


def test_what_another_command_did_meanwhile_is_not_done_again(rig: Rig) -> None:
    # It is seen in the look under the lock.
    lock_free = rig.bench.executor.resume

    async def resume(lock: Lock) -> None:
        await lock_free(lock)
        rig.observer.state = GROWN

    rig.bench.executor.resume = resume  # type: ignore[method-assign]
    rig.cycle(HUNGRY)
    assert rig.bench.steps == []


def test_an_interrupted_act_is_settled_before_the_next_one(rig: Rig) -> None:
    intent = {"id": "1", "trigger": "timer", "action": dump_action(make_extend())}
    write_atomic(rig.bench.paths.intent, json.dumps(intent).encode())
    rig.hand(GROWN)
    rig.cycle(HUNGRY)
    assert rig.told() == ["act-interrupted", "data-extended"]


def test_wakes_during_a_cycle_cause_exactly_one_more(rig: Rig) -> None:
    looks: list[int] = []
    look = rig.observer.look

    async def wake_thrice(**how: Any) -> State:
        looks.append(rig.cycles)
        if len(looks) == 1:
            for _ in range(3):
                rig.loop.wake(Wake(Trigger.DM_EVENT))
        return await look(**how)

    rig.observer.look = wake_thrice  # type: ignore[method-assign]
    rig.run(cycles=2)
    assert (rig.cycles, looks) == (2, [0, 1])
    assert rig.loop._wakes == []


def test_an_act_is_named_for_its_event_also_if_that_comes_during_the_look(rig: Rig) -> None:
    look = rig.observer.look

    async def overtake(**how: Any) -> State:
        rig.loop.wake(Wake(Trigger.UDEV, "sdb"))
        rig.loop.wake(Wake(Trigger.DM_EVENT, "vg-pool"))
        return await look(**how)

    rig.observer.look = overtake  # type: ignore[method-assign]
    rig.hand(GROWN)
    rig.cycle(HUNGRY, wake=Wake(Trigger.DBUS))
    assert [entry.trigger for entry in rig.bench.told()] == ["dm-event"]


def test_an_act_is_named_for_the_event_of_the_last_second(rig: Rig) -> None:
    """The event comes before the chunk that crosses the mark; others wake in between."""
    rig.hand(GROWN)

    async def work() -> None:
        rig.observer.state = FINE
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "vg-pool"))
        rig.now += 0.5
        rig.observer.state = HUNGRY
        await rig.loop.cycle(Wake(Trigger.DBUS))

    asyncio.run(finish(rig.bench, work()))
    assert [entry.trigger for entry in rig.bench.told()] == ["dm-event"]


def test_an_act_is_not_named_for_an_event_of_long_ago(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.cycle(FINE, wake=Wake(Trigger.DM_EVENT, "vg-pool"))
    rig.cycle(HUNGRY, wake=Wake(Trigger.DBUS))
    assert [entry.trigger for entry in rig.bench.told()] == ["dbus"]


def test_a_lock_that_is_busy_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmguard.loop.reconcile._BUSY_S", 0.0)
    held = Lock.acquire(rig.bench.paths.lock)
    look = rig.observer.look

    async def release_at_the_second(**how: Any) -> State:
        state = await look(**how)
        if len(rig.observer.looks) == 2:
            assert rig.bench.steps == []
            held.release()
        return state

    rig.observer.look = release_at_the_second  # type: ignore[method-assign]
    rig.observer.state = HUNGRY
    rig.hand(GROWN)
    rig.run(cycles=2)
    assert rig.told() == ["data-extended"]


def test_stop_ends_the_loop_after_the_act_that_is_under_way(rig: Rig) -> None:
    two = make_state(make_pool(80), make_pool(80, vg=make_vg(name="other")))

    def do() -> Done:
        rig.loop.stop()
        return Done(ok=True)

    rig.bench.does = do
    rig.observer.state = two
    rig.run(cycles=99)
    assert len(rig.bench.steps) == 1
    assert "vg/pool" in {entry.pool for entry in rig.bench.told()}
    assert not rig.bench.paths.intent.exists()


def test_a_loop_that_is_stopped_before_it_begins_does_nothing(rig: Rig) -> None:
    rig.loop.stop()
    rig.run(cycles=99)
    assert rig.observer.looks == []


def test_a_finding_is_told_once_and_cleared_once(rig: Rig) -> None:
    rig.cycle(DRY, DRY, FINE, FINE)
    assert rig.told() == ["vg-dry", "finding-cleared"]


def test_what_passes_is_told_only_when_it_stays(rig: Rig) -> None:
    suspended = make_state(in_kernel(make_pool(), suspended=True))
    rig.cycle(suspended, FINE, suspended, suspended)
    assert rig.told() == ["pool-suspended"]


def test_a_report_that_stays_unreadable_is_told_and_what_was_found_stays_open(rig: Rig) -> None:
    rig.cycle(DRY, ReportError("x"), ReportError("x"), DRY)
    assert rig.told() == ["vg-dry", "lvm-unreadable", "finding-cleared"]
    assert [finding.code for finding in rig.memory.findings] == ["vg-dry"]


def test_that_lvm_does_not_answer_on_everything_is_told_beside_what_is_found(rig: Rig) -> None:
    rig.observer.unanswered = "no answer"
    rig.cycle(DRY, DRY)
    assert rig.told() == ["vg-dry", "lvm-unreadable"]
    rig.observer.unanswered = ""
    rig.cycle(DRY)
    assert rig.told() == ["vg-dry", "lvm-unreadable", "finding-cleared"]


def test_the_timer_asks_lvm_each_time_while_something_is_wrong(rig: Rig) -> None:
    rig.cycle(FINE, DRY, DRY, FINE, FINE)
    assert rig.observer.looks == [False, False, True, True, False]


def test_an_event_alone_does_not_ask_lvm(rig: Rig) -> None:
    rig.cycle(DRY, DRY, wake=Wake(Trigger.DM_EVENT))
    assert rig.observer.looks == [False, False]


def test_the_next_look_comes_sooner_the_sooner_the_threshold_is_reached(rig: Rig) -> None:
    pool = make_pool(50)
    later = in_kernel(pool, data=Usage(6_000 * MIB, 10_000 * MIB))
    rig.cycle(make_state(pool), make_state(later))
    # 100 MiB a second, and 1500 MiB to the threshold: 15 s.
    assert rig.within == [30.0, 3.75]


def test_a_pool_that_is_full_and_can_grow_is_told_only_as_grown(rig: Rig) -> None:
    rig.hand(make_state(make_pool(72, size=14_000)))
    rig.cycle(make_state(in_kernel(make_pool(100), mode=Mode.OUT_OF_DATA)))
    assert rig.told() == ["data-extended"]


def test_new_settings_are_those_of_the_next_cycle(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.loop.settings = replace(rig.loop.settings, pools=("other/*",))
    rig.cycle(HUNGRY)
    assert rig.bench.steps == []


def test_a_quiet_host_is_left_to_the_timer(rig: Rig) -> None:
    rig.cycle(FINE)
    assert (rig.again, rig.within) == (None, [30.0])


def test_after_an_event_of_the_kernel_there_is_one_more_look_a_second_later(rig: Rig) -> None:
    rig.cycle(FINE, wake=Wake(Trigger.DM_EVENT, "vg-pool"))
    assert rig.again is not None
    assert 0.0 < rig.again <= 1.0


def test_what_may_pass_is_looked_at_again_when_it_should_have_passed(rig: Rig) -> None:
    rig.cycle(make_state(in_kernel(make_pool(), suspended=True)))
    assert rig.again is not None
    assert 1.0 < rig.again <= 2.0


def test_a_failed_act_is_tried_again_when_its_back_off_ends(rig: Rig) -> None:
    rig.hand(HUNGRY, ok=False)
    rig.cycle(HUNGRY)
    assert rig.again is not None
    assert 0.0 < rig.again <= 1.0


def test_what_could_not_be_undone_behind_a_lock_is_tried_again_soon(rig: Rig) -> None:
    suspended = make_state(in_kernel(make_pool(), suspended=True))
    intent = {"id": "1", "trigger": "timer", "action": dump_action(make_extend(target=12_000))}
    write_atomic(rig.bench.paths.intent, json.dumps(intent).encode())
    rig.bench.does = lambda: Done(ok=False, complaint="Can't get lock", code="vg-busy")
    rig.cycle(suspended, suspended, suspended)
    assert rig.told() == ["vg-busy", "pool-suspended"]
    assert rig.again is not None
    assert 1.0 < rig.again <= 2.0


def test_a_report_that_is_unreadable_is_read_again_within_seconds(rig: Rig) -> None:
    rig.cycle(ReportError("x"), ReportError("x"))
    assert rig.again is not None
    assert 0.0 < rig.again <= 5.0


def test_what_is_wrong_is_told_while_another_holds_the_lock(rig: Rig) -> None:
    full = make_state(in_kernel(make_pool(100), mode=Mode.OUT_OF_DATA))
    with Lock.acquire(rig.bench.paths.lock):
        rig.cycle(full, full)
    assert rig.told() == ["out-of-data"]
    assert rig.bench.steps == []


def test_an_interrupted_act_is_settled_although_nothing_is_to_be_done(rig: Rig) -> None:
    action = make_extend(target=12_000)
    values = {"id": "1", "trigger": "timer", "phase": "intended", "action": dump_action(action)}
    write_atomic(rig.bench.paths.intent, json.dumps(values).encode())
    rig.cycle(FINE, FINE)
    assert rig.told() == ["act-interrupted"]
    assert not rig.bench.paths.intent.exists()


def test_the_look_after_a_kernel_event_is_not_lost_to_another_wake(rig: Rig) -> None:
    rig.cycle(FINE, wake=Wake(Trigger.DM_EVENT, "uuid"))
    rig.now -= 9.5
    rig.cycle(FINE, wake=TIMER)
    assert rig.again is not None
    assert rig.again <= 0.5
    rig.cycle(FINE, wake=TIMER)
    assert rig.again is None


def test_a_kernel_event_among_other_wakes_is_the_one_that_is_followed(rig: Rig) -> None:
    rig.loop.wake(TIMER)
    rig.loop.wake(Wake(Trigger.DM_EVENT, "uuid"))
    rig.hand(GROWN)
    rig.observer.state = HUNGRY
    rig.run(cycles=1)
    assert [entry.trigger for entry in rig.bench.told()] == ["dm-event"]


def test_a_look_that_fails_in_an_unforeseen_way_does_not_end_the_guard(rig: Rig) -> None:
    look = rig.observer.look

    async def fail_once(**how: Any) -> State:
        rig.observer.look = look  # type: ignore[method-assign]
        rig.loop.wake(TIMER)
        raise KeyError(*how)

    rig.observer.look = fail_once  # type: ignore[method-assign]
    rig.observer.state = HUNGRY
    rig.hand(GROWN)
    rig.run(cycles=1)
    assert rig.told() == ["data-extended"]


LOOKS = [
    (Trigger.UDEV, True, True, True),
    (Trigger.START, False, True, True),
    (Trigger.COMMAND, False, True, True),
    (Trigger.TIMER, False, True, True),
    (Trigger.DBUS, False, False, True),
    (Trigger.DM_EVENT, False, False, False),
    (Trigger.JOURNAL, False, False, False),
]


@pytest.mark.parametrize(("trigger", "fresh", "disks", "units"), LOOKS)
def test_what_an_event_may_have_changed_is_read_anew(
    rig: Rig,
    trigger: Trigger,
    fresh: bool,  # noqa: FBT001 - a table
    disks: bool,  # noqa: FBT001
    units: bool,  # noqa: FBT001
) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.cycle(FINE, wake=Wake(trigger))
    assert (rig.observer.looks, rig.observer.read) == ([fresh], [(disks, units)])


@pytest.mark.parametrize("trigger", [row[0] for row in LOOKS])
def test_without_a_rule_no_disk_is_looked_at(rig: Rig, trigger: Trigger) -> None:
    rig.cycle(FINE, wake=Wake(trigger))
    assert [disks for disks, _ in rig.observer.read] == [False]


UDEV = Wake(Trigger.UDEV)
HOME = make_disk("a")
ARRIVED = host(HOME, DISK)
CLAIMED = host(HOME, DISK, vg=vg_of(HOME, DISK))


def test_a_disk_that_settles_is_looked_at_again_when_it_has(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.cycle(ARRIVED, wake=UDEV)
    assert (rig.told(), rig.bench.steps) == ([], [])
    assert rig.again is not None
    assert 4.0 < rig.again <= 5.0


def test_a_disk_that_has_settled_is_claimed_once(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.hand(CLAIMED)
    rig.cycle(ARRIVED, ARRIVED, CLAIMED, wake=UDEV)
    assert rig.told() == ["disk-claimed"]
    assert len(rig.bench.steps) == 3
    assert rig.again is None


@pytest.mark.parametrize("other", [Trigger.TIMER, Trigger.DM_EVENT, Trigger.DBUS])
def test_a_disk_is_claimed_in_the_name_of_who_showed_it_whoever_wakes_later(
    rig: Rig, other: Trigger
) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.cycle(ARRIVED, wake=UDEV)
    rig.hand(CLAIMED)
    rig.cycle(ARRIVED, wake=Wake(other))
    assert [(entry.code, entry.trigger) for entry in rig.bench.told()] == [("disk-claimed", "udev")]
    # The next one is another's.
    third = make_disk("c")
    rig.cycle(host(HOME, DISK, third, vg=vg_of(HOME, DISK)), wake=Wake(Trigger.START))
    rig.hand(host(HOME, DISK, third, vg=vg_of(HOME, DISK, third)))
    rig.cycle(host(HOME, DISK, third, vg=vg_of(HOME, DISK)), wake=Wake(other))
    assert [entry.trigger for entry in rig.bench.told()] == ["udev", "start"]


def test_a_claim_that_another_command_held_up_is_still_in_the_name_of_who_showed_it(
    rig: Rig,
) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.cycle(ARRIVED, wake=UDEV)
    with Lock.acquire(rig.bench.paths.lock):
        rig.cycle(ARRIVED, wake=TIMER)
    rig.hand(CLAIMED)
    rig.cycle(ARRIVED, wake=TIMER)
    assert [(entry.code, entry.trigger) for entry in rig.bench.told()] == [("disk-claimed", "udev")]


def test_each_disk_is_claimed_in_the_name_of_who_showed_it(rig: Rig) -> None:
    """Also while another one waits for ever, and if its own look took its time."""
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    third = make_disk("c")
    slow = replace(DISK, probe=Probe(under_way=True))
    rig.cycle(host(HOME, slow), wake=Wake(Trigger.START))
    rig.cycle(host(HOME, slow, third), wake=TIMER)
    rig.hand(host(HOME, slow, third, vg=vg_of(HOME, third)))
    rig.cycle(host(HOME, slow, third), wake=UDEV)
    rig.hand(host(HOME, DISK, third, vg=vg_of(HOME, DISK, third)))
    rig.cycle(host(HOME, DISK, third, vg=vg_of(HOME, third)), wake=UDEV)
    told = [(entry.disk, entry.trigger) for entry in rig.bench.told()]
    assert told == [(third.node, "timer"), (DISK.node, "start")]


def test_what_a_failed_look_was_to_read_is_read_by_the_next_one_whoever_wakes(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    wakes = (Wake(Trigger.DM_EVENT, "uuid"), UDEV)

    async def work() -> None:
        rig.observer.state = ReportError("x")
        await rig.loop.cycle(*wakes)
        rig.observer.state = FINE
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "uuid"))
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "uuid"))

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.looks == [True, True, False]
    assert rig.observer.read == [(True, True), (True, True), (False, False)]


@pytest.mark.parametrize("first", [TIMER, Wake(Trigger.DM_EVENT, "uuid")])
def test_an_act_is_named_for_the_event_of_its_kind_among_several(rig: Rig, first: Wake) -> None:
    claims = tuple(replace(claim, settle=0.0) for claim in CLAIMS.claims)
    rig.loop.settings = replace(rig.loop.settings, claims=claims)
    rig.hand(CLAIMED)
    rig.observer.state = ARRIVED

    async def work() -> None:
        await rig.loop.cycle(first, UDEV)

    asyncio.run(finish(rig.bench, work()))
    assert [(entry.code, entry.trigger) for entry in rig.bench.told()] == [("disk-claimed", "udev")]


def test_a_disk_that_changes_while_it_settles_settles_anew(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    changing = [host(HOME, replace(DISK, stamp=number)) for number in range(3)]
    rig.hand(CLAIMED)
    rig.cycle(*changing, wake=UDEV)
    assert rig.bench.steps == []
    rig.cycle(changing[-1], wake=UDEV)
    assert rig.told() == ["disk-claimed"]


def test_a_disk_that_is_refused_is_told_once_and_left(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    removable = host(HOME, replace(DISK, removable=True))
    rig.cycle(*[removable] * 4, wake=UDEV)
    assert (rig.told(), rig.bench.steps) == (["disk-removable"], [])
    assert rig.bench.told()[0].disk == "/dev/sdb"


def test_who_took_a_disk_out_is_kept_and_it_is_not_claimed_again(rig: Rig) -> None:
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    books = rig.bench.books

    def now(state: State) -> State:
        return replace(state, ledger=books.read_ledger())

    rig.cycle(CLAIMED, wake=UDEV)
    assert len(books.read_ledger().members) == 2
    rig.cycle(now(ARRIVED), wake=UDEV)
    assert books.read_ledger().taken_out == {DISK.identity}
    rig.cycle(*[now(ARRIVED)] * 3, wake=UDEV)
    assert rig.bench.steps == []
    assert rig.told() == ["disk-taken-out"]


def test_a_consumer_that_failed_for_want_of_its_pool_is_started_when_it_is_up(rig: Rig) -> None:
    up = make_state(in_kernel(make_pool(), appeared=1000))
    down = replace(up, consumers=(consumer("failed", tried=900),))
    rig.hand(replace(up, consumers=(consumer("active", tried=1100, entered=1100),)))
    rig.cycle(down, wake=Wake(Trigger.DBUS))
    assert rig.told() == ["unit-started"]
    assert rig.bench.steps == [
        ("systemctl reset-failed docker.service",),
        ("systemctl start --no-block docker.service",),
    ]


@pytest.mark.parametrize(
    ("trigger", "then"),
    [
        (Trigger.DM_EVENT, Trigger.TIMER),
        (Trigger.JOURNAL, Trigger.TIMER),
        (Trigger.DBUS, Trigger.TIMER),
        (Trigger.UDEV, Trigger.UDEV),
    ],
)
def test_a_disk_that_is_waited_for_is_read_at_the_next_look_whoever_woke(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, trigger: Trigger, then: Trigger
) -> None:
    asked: list[Trigger] = []

    def note(asker: Trigger, _: float) -> None:
        asked.append(asker)

    monkeypatch.setattr(rig.loop, "_look_again", note)
    rig.loop.settings = replace(rig.loop.settings, claims=CLAIMS.claims)
    rig.cycle(host(HOME, replace(DISK, probe=None)), wake=Wake(trigger))
    assert asked == [then]
    seen = len(rig.observer.read)
    rig.cycle(host(HOME, DISK), wake=Wake(then))
    assert rig.observer.read[seen] == (True, True)


def test_what_comes_with_a_dm_event_is_read_too(rig: Rig) -> None:
    rig.loop.settings = CLAIMS

    async def work() -> None:
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "x"), Wake(Trigger.UDEV, "sdb"))

    asyncio.run(finish(rig.bench, work()))
    assert (rig.observer.touched[0], rig.observer.read[0]) == ({"sdb"}, (True, True))


@pytest.mark.parametrize(
    ("wakes", "touched"),
    [
        ([Wake(Trigger.UDEV, "sdb"), Wake(Trigger.UDEV, "sdc")], {"sdb", "sdc"}),
        ([Wake(Trigger.UDEV, "sdb"), Wake(Trigger.DBUS, "docker.service")], {"sdb"}),
        # Who does not say which disk, or asks for the disks anyway, has everything read.
        ([Wake(Trigger.UDEV, "sdb"), Wake(Trigger.UDEV)], set()),
        ([Wake(Trigger.UDEV, "sdb"), Wake(Trigger.TIMER)], set()),
        ([Wake(Trigger.UDEV, "sdb"), Wake(Trigger.START)], set()),
    ],
)
def test_what_is_read_for_devices_that_udev_names(
    rig: Rig, wakes: list[Wake], touched: set[str]
) -> None:
    async def work() -> None:
        await rig.loop.cycle(*wakes)

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.touched[0] == touched
    assert rig.observer.looks[0] is not bool(touched)


def test_after_a_growth_nobody_waits_for_a_report(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.observer.owes = True
    rig.cycle(HUNGRY, wake=Wake(Trigger.DM_EVENT))
    assert rig.observer.quick == [False, False, True]
    # What is owed is read a moment later.
    assert rig.again is not None
    assert 0.0 < rig.again <= 1.0


def test_what_is_due_after_a_growth_is_planned_by_what_lvm_says_then(rig: Rig) -> None:
    rig.observer.owes = True
    full = make_state(make_pool(80, size=12_000))
    rig.hand(full)
    rig.observer.truths = [HUNGRY, HUNGRY, full, GROWN]
    rig.cycle(HUNGRY)
    assert rig.observer.quick == [False, False, True, False]
    assert len(rig.bench.steps) == 1


UNMARKED = tuple(in_kernel(make_pool(50, name=f"pool{n}"), low_water=0) for n in range(20))


def fills(pool: Pool) -> Pool:
    """The same pool above its threshold."""
    return in_kernel(pool, data=Usage(8_000 * MIB, 10_000 * MIB))


def refreshing(rig: Rig, *, wake: Wake | None) -> None:
    """Each refresh sets one mark; with the third the last pool begins to fill."""
    pools = {pool.name: pool for pool in UNMARKED}
    last = UNMARKED[-1].name

    def do() -> Done:
        step = rig.bench.steps[-1]
        if step[0] == "lvchange":
            pools[step[-1]] = make_pool(50, name=step[-1].partition("/")[2])
        else:
            pools[last] = make_pool(66, size=12_000, name=last.partition("/")[2])
        if len(rig.bench.steps) == 3:
            pools[last] = fills(pools[last])
            if wake is not None:
                rig.loop.wake(wake)
        rig.observer.state = make_state(*pools.values())
        return Done(ok=True)

    rig.bench.does = do
    rig.observer.state = make_state(*pools.values())


@pytest.mark.parametrize("wake", [Wake(Trigger.DM_EVENT, "x"), None])
def test_a_growth_waits_behind_one_refresh_and_not_behind_all(rig: Rig, wake: Wake | None) -> None:
    refreshing(rig, wake=wake)
    rig.run(cycles=1 if wake is None else 2)
    kinds = [step[0] for step in rig.bench.steps]
    assert kinds == ["lvchange"] * 3 + ["lvextend"] + ["lvchange"] * (len(UNMARKED) - 4)


def test_whoever_wakes_does_not_wait_for_all_refreshes(rig: Rig) -> None:
    refreshing(rig, wake=Wake(Trigger.UDEV, "sdb"))
    done: list[int] = []

    def published() -> None:
        done.append(len(rig.bench.steps))
        rig.loop.stop()

    rig.loop.published = published

    async def work() -> None:
        rig.loop.wake(TIMER)
        await rig.loop.run()

    asyncio.run(finish(rig.bench, work()))
    assert done == [3]


def growing(rig: Rig, *, then: str) -> None:
    """Each growth takes most of a second, and with the second one this pool is almost full."""
    pools = {f"pool{n}": make_pool(80, name=f"pool{n}") for n in range(6)}
    pools["late"] = make_pool(50, name="late")

    def do() -> Done:
        rig.now += 0.7
        name = rig.bench.steps[-1][-1].partition("/")[2]
        pools[name] = make_pool(66, size=12_000, name=name)
        if len(rig.bench.steps) == 2:
            pools[then] = make_pool(99, name=then)
        rig.observer.state = make_state(*pools.values())
        return Done(ok=True)

    rig.bench.does = do
    rig.observer.state = make_state(*pools.values())


@pytest.mark.parametrize(("then", "looks"), [("pool5", 3), ("late", 4)])
def test_a_pool_that_fills_meanwhile_is_grown_before_those_that_can_wait(
    rig: Rig, then: str, looks: int
) -> None:
    """One that was not to be grown when all was looked at is planned anew."""
    growing(rig, then=then)
    rig.run(cycles=1)
    grown = [step[-1].partition("/")[2] for step in rig.bench.steps]
    assert grown[:4] == ["pool0", "pool1", then, "pool2"]
    assert len(set(grown)) == len(grown)
    assert len(grown) == (6 if then == "pool5" else 7)
    assert len(rig.observer.looks) == looks  # the first is taken again under the lock


def test_an_event_has_the_pools_read_that_it_is_about(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.cycle(HUNGRY, wake=Wake(Trigger.DM_EVENT, "LVM-x-tpool"))
    event, act = {"LVM-x-tpool"}, {"LVM-x-tpool", "vg/pool"}
    assert rig.observer.only == [event, act]


@pytest.mark.parametrize(("wake", "looks"), [(EVENT, [True, True]), (TIMER, [False, True, True])])
def test_a_quick_look_has_the_lock_and_is_not_taken_twice(
    rig: Rig, wake: Wake, looks: list[bool]
) -> None:
    """Was it held: in each look, of which the last one, quick again, finds nothing to do."""
    held: list[bool] = []
    look = rig.observer.look

    async def ask(**how: Any) -> State:
        held.append(is_held(rig.bench.paths.lock))
        return await look(**how)

    rig.observer.look = ask  # type: ignore[method-assign]
    rig.hand(GROWN)
    rig.cycle(HUNGRY, wake=wake)
    assert held == looks
    assert rig.told() == ["data-extended"]
    assert not is_held(rig.bench.paths.lock)


def test_an_event_while_another_holds_the_lock_is_told_of_and_tried_again(rig: Rig) -> None:
    full = make_state(in_kernel(make_pool(100), mode=Mode.OUT_OF_DATA))
    with Lock.acquire(rig.bench.paths.lock):
        rig.cycle(full, wake=EVENT)
    assert (rig.bench.steps, rig.told()) == ([], ["out-of-data"])
    assert rig.again is not None
    assert rig.again <= 1.0


def test_an_event_has_an_interrupted_act_settled_first(rig: Rig) -> None:
    action = make_extend(target=12_000)
    values = {"id": "1", "trigger": "timer", "phase": "intended", "action": dump_action(action)}
    write_atomic(rig.bench.paths.intent, json.dumps(values).encode())
    rig.cycle(GROWN, wake=EVENT)
    assert rig.told() == ["data-extended"]
    assert rig.bench.steps == []


def test_a_growth_is_verified_by_its_own_pool_alone(rig: Rig) -> None:
    rig.hand(GROWN)
    rig.cycle(HUNGRY)
    assert set(rig.observer.glances) == {"vg/pool"}


def test_the_kernels_line_of_an_event_in_the_journal_is_about_the_same_pool(rig: Rig) -> None:
    async def work() -> None:
        await rig.loop.cycle(Wake(Trigger.JOURNAL, "254:2"))
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "LVM-x-tpool"), Wake(Trigger.JOURNAL, "254:2"))

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.only == [{"254:2"}, {"LVM-x-tpool", "254:2"}]


@pytest.mark.parametrize(
    "wakes",
    [
        # The second look after an event: its pool has none to raise any more.
        [Wake(Trigger.DM_EVENT)],
        [Wake(Trigger.DM_EVENT, "x"), Wake(Trigger.JOURNAL, "x")],
        [Wake(Trigger.JOURNAL, "dockerd")],
        [Wake(Trigger.JOURNAL, "254:2"), Wake(Trigger.JOURNAL, "several at once")],
        [Wake(Trigger.TIMER), Wake(Trigger.DM_EVENT, "x")],
    ],
)
def test_a_look_that_is_not_for_an_event_alone_reads_every_pool(
    rig: Rig, wakes: list[Wake]
) -> None:
    async def work() -> None:
        await rig.loop.cycle(*wakes)

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.only == [None]


def test_after_a_look_that_failed_everything_is_read(rig: Rig) -> None:
    """Two disks came: to read for the last of them alone would lose the other."""

    async def work() -> None:
        rig.observer.state = ReportError("x")
        await rig.loop.cycle(Wake(Trigger.UDEV, "sdb"), Wake(Trigger.UDEV, "sdc"))
        rig.observer.state = FINE
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "x"))

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.touched == [{"sdb", "sdc"}, set()]
    assert rig.observer.looks == [False, True]
    assert rig.observer.only == [None, None]


@pytest.mark.parametrize(
    ("wakes", "quick"),
    [
        ([Wake(Trigger.DM_EVENT, "x"), Wake(Trigger.JOURNAL, "y")], True),
        ([Wake(Trigger.DM_EVENT)], False),
        ([Wake(Trigger.DM_EVENT, "x"), Wake(Trigger.UDEV, "sdb")], False),
        ([Wake(Trigger.TIMER)], False),
    ],
)
def test_an_event_asks_lvm_only_for_what_is_due(
    rig: Rig, wakes: list[Wake], *, quick: bool
) -> None:
    async def work() -> None:
        await rig.loop.cycle(*wakes)

    asyncio.run(finish(rig.bench, work()))
    assert rig.observer.quick == [quick]


def test_the_second_look_after_an_event_is_as_that_of_an_event_whoever_woke_since(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that udev woke for it would read everything once more."""
    again: list[Trigger] = []
    monkeypatch.setattr(rig.loop, "_look_again", lambda trigger, _: again.append(trigger))

    async def work() -> None:
        await rig.loop.cycle(Wake(Trigger.DM_EVENT, "x"))
        await rig.loop.cycle(Wake(Trigger.UDEV, "sdb"))

    asyncio.run(finish(rig.bench, work()))
    assert again == [Trigger.DM_EVENT, Trigger.DM_EVENT]


def test_while_something_is_wrong_an_event_asks_lvm_too(rig: Rig) -> None:
    """A group that was dry may have a disk by now."""
    rig.cycle(DRY, DRY, wake=Wake(Trigger.DM_EVENT, "x"))
    assert rig.observer.quick == [True, False]


def test_an_event_that_comes_before_its_chunk_is_looked_at_until_that_is_there(rig: Rig) -> None:
    """The kernel raises it first, and the pool is not above its threshold until the chunk is."""
    rig.observer.truths = [AT_MARK, AT_MARK, HUNGRY]
    rig.hand(GROWN)
    rig.cycle(FINE, wake=EVENT)
    assert rig.told() == ["data-extended"]
    assert rig.observer.only[:3] == [{EVENT.subject}] * 3


def test_a_pool_that_stays_at_its_mark_is_left_for_a_second(rig: Rig) -> None:
    rig.cycle(AT_MARK, wake=EVENT)
    assert 3 <= len(rig.observer.looks) <= 10
    assert rig.again is not None
    assert 0.5 <= rig.again <= 1.0


@pytest.mark.parametrize("wake", [TIMER, Wake(Trigger.UDEV, "sdb")])
def test_a_pool_at_its_mark_is_waited_for_after_an_event_alone(rig: Rig, wake: Wake) -> None:
    rig.cycle(AT_MARK, wake=wake)
    assert len(rig.observer.looks) == 1


def test_a_pool_at_its_mark_is_not_waited_for_after_an_event_of_another(rig: Rig) -> None:
    rig.cycle(AT_MARK, wake=Wake(Trigger.DM_EVENT, "253:9"))
    assert len(rig.observer.looks) == 1


def test_nobody_waits_for_a_pool_at_its_mark(rig: Rig) -> None:
    look = rig.observer.look

    async def another(**how: Any) -> State:
        rig.loop.wake(Wake(Trigger.DM_EVENT, "another"))
        return await look(**how)

    rig.observer.look = another  # type: ignore[method-assign]
    rig.cycle(AT_MARK, wake=EVENT)
    assert len(rig.observer.looks) == 1
