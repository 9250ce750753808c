"""What the loop remembers from one look to the next."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dmguard.core.actions import Action
from dmguard.core.findings import Finding
from dmguard.core.model import Mode, Resource, State, Usage
from dmguard.loop.memory import SETTLE_S, Memory
from tests.unit.builders import (
    MIB,
    in_kernel,
    in_vg,
    make_extend,
    make_pool,
    make_refresh,
    make_state,
    make_vg,
)
from tests.unit.disks import ACTIVATE, CLAIM, DISK, RESIZE, START, consumer, host, make_disk, vg_of

ACTION = make_extend()
STATE = make_state(make_pool(80))
DRY = Finding("vg-dry", "vg/pool", "80 %")
PASSING = Finding("pool-suspended", "vg/pool", "")


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    def longest(_: float, high: float) -> float:
        return high

    monkeypatch.setattr("dmguard.loop.memory.random.uniform", longest)


def failed(times: int = 1, state: State = STATE, now: float = 0.0) -> Memory:
    memory = Memory()
    for _ in range(times):
        memory.note(ACTION, state, now, done=False)
    return memory


def test_an_action_that_never_failed_is_due() -> None:
    assert Memory().due([ACTION], STATE, 0.0) == (ACTION,)


def test_a_failed_action_is_held_and_then_due_again() -> None:
    memory = failed()
    assert memory.due([ACTION], STATE, 0.9) == ()
    assert memory.due([ACTION], STATE, 1.0) == (ACTION,)


def test_back_off_doubles_up_to_five_minutes() -> None:
    assert [failed(n).retry_in(0.0) for n in (1, 2, 3, 9, 10, 30)] == [1, 2, 4, 256, 300, 300]


def test_back_off_stays_at_five_minutes_however_long_it_goes_on() -> None:
    assert failed(1100).retry_in(0.0) == 300


def test_back_off_doubles_on_though_it_was_due_between() -> None:
    memory = failed()
    assert memory.due([ACTION], STATE, 5.0) == (ACTION,)
    memory.note(ACTION, STATE, 5.0, done=False)
    assert memory.retry_in(5.0) == 2.0


def test_a_back_off_that_ends_while_a_look_goes_on_is_not_forgotten() -> None:
    memory = failed()
    assert memory.due([ACTION], STATE, 0.9) == ()
    assert memory.retry_in(1.5) == 0.0
    assert memory.due([ACTION], STATE, 1.6) == (ACTION,)
    assert memory.retry_in(1.6) is None


def test_jitter_shortens_a_pause_by_up_to_half(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def note(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr("dmguard.loop.memory.random.uniform", note)
    assert failed(3).retry_in(0.0) == 2.0
    assert asked == [(0.5, 1.0)] * 3


CURES: list[tuple[str, Callable[[], State]]] = [
    ("an LVM command", lambda: make_state(in_vg(make_pool(80), seqno=2))),
    ("a new disk", lambda: make_state(make_pool(80, vg=make_vg(free=20_000)))),
    ("another size", lambda: make_state(make_pool(80, size=11_000))),
    ("another mode", lambda: make_state(in_kernel(make_pool(80), mode=Mode.OUT_OF_DATA))),
    ("a resume", lambda: make_state(in_kernel(make_pool(80), suspended=True))),
    ("a repair", lambda: make_state(in_kernel(make_pool(80), needs_check=True))),
]


@pytest.mark.parametrize("cure", [cure for _, cure in CURES], ids=[name for name, _ in CURES])
def test_a_change_of_its_inputs_ends_a_back_off(cure: Callable[[], State]) -> None:
    assert failed(8).due([ACTION], cure(), 0.0) == (ACTION,)


def test_another_threshold_ends_a_back_off_and_another_target_does_not() -> None:
    other = replace(ACTION, threshold=80)
    assert failed(8).due([other], STATE, 0.0) == (other,)
    # With headroom the target moves at each look, and the same failure would be had again.
    assert failed(8).due([make_extend(target=12_004)], STATE, 0.0) == ()


def test_a_new_configuration_ends_every_back_off() -> None:
    memory = failed(8)
    memory.forget_failures()
    assert memory.due([ACTION], STATE, 0.0) == (ACTION,)


def test_more_use_alone_does_not_end_a_back_off() -> None:
    fuller = make_state(make_pool(85))
    assert failed().due([replace(ACTION, used=8_500 * MIB)], fuller, 0.0) == ()


def test_a_failure_with_other_inputs_begins_with_the_shortest_pause() -> None:
    memory = failed(8)
    memory.note(ACTION, make_state(in_vg(make_pool(80), seqno=2)), 0.0, done=False)
    assert memory.retry_in(0.0) == 1.0


def test_success_ends_a_back_off() -> None:
    memory = failed(8)
    memory.note(ACTION, STATE, 0.0, done=True)
    assert memory.due([ACTION], STATE, 0.0) == (ACTION,)
    assert memory.retry_in(0.0) is None


def test_another_act_and_another_pool_are_not_held() -> None:
    others = [make_extend(Resource.METADATA, 100, 120), replace(ACTION, lv_uuid="other")]
    assert failed().due(others, STATE, 0.0) == tuple(others)


def test_a_refresh_that_was_done_is_not_done_again_for_ten_seconds_whatever_changed() -> None:
    memory, action = Memory(), make_refresh()
    memory.note(action, STATE, 0.0, done=True)
    changed = make_state(in_vg(make_pool(80), seqno=9))
    assert memory.due([action], changed, 9.9) == ()
    assert memory.due([action], changed, 10.0) == (action,)
    assert memory.retry_in(10.0) is None


def test_a_finding_is_told_once_and_cleared_once() -> None:
    memory = Memory()
    assert memory.compare([DRY], 0.0) == ([DRY], [])
    assert memory.compare([replace(DRY, message="81 %")], 1.0) == ([], [])
    new, gone = memory.compare([], 2.0)
    assert (new, [finding.key for finding in gone]) == ([], [DRY.key])
    assert memory.compare([], 3.0) == ([], [])


def test_a_finding_that_comes_back_is_told_again() -> None:
    memory = Memory()
    memory.compare([DRY], 0.0)
    memory.compare([], 1.0)
    assert memory.compare([DRY], 2.0) == ([DRY], [])


def test_a_passing_finding_is_told_only_when_it_stays() -> None:
    memory = Memory()
    assert memory.compare([PASSING], 0.0) == ([], [])
    assert (memory.unsettled, memory.findings) == (True, ())
    assert memory.compare([PASSING], SETTLE_S) == ([PASSING], [])
    assert (memory.unsettled, memory.findings) == (False, (PASSING,))


def test_a_passing_finding_that_passes_is_never_told() -> None:
    memory = Memory()
    memory.compare([PASSING], 0.0)
    assert memory.compare([], 1.0) == ([], [])
    # Its time begins anew.
    assert memory.compare([PASSING], 5.0) == ([], [])


def test_what_a_run_before_told_is_not_told_again_and_is_cleared() -> None:
    memory = Memory()
    memory.recall([DRY, PASSING])
    assert memory.compare([PASSING], 0.0) == ([], [DRY])


def test_the_rate_is_known_from_the_second_look() -> None:
    memory = Memory()
    pool = make_pool(50)
    memory.sample(make_state(pool), 0.0)
    assert memory.past.data == {}
    memory.sample(make_state(in_kernel(pool, data=Usage(6_000 * MIB, 10_000 * MIB))), 10.0)
    assert memory.past.data == {pool.lv.uuid: 100.0 * MIB}


def test_a_pool_that_is_gone_or_has_no_numbers_has_no_rate() -> None:
    memory = Memory()
    pool = make_pool(50)
    for now in (0.0, 1.0):
        memory.sample(make_state(pool), now)
    memory.sample(make_state(in_kernel(pool, data=None)), 2.0)
    assert memory.past.data == {}
    memory.sample(make_state(pool), 3.0)
    assert memory.past.data == {}


def test_a_lock_that_is_held_is_no_failure_and_is_tried_again_in_two_seconds() -> None:
    memory = Memory()
    for _ in range(9):
        memory.note(ACTION, STATE, 0.0, done=False, reason="vg-busy")
    assert memory.due([ACTION], STATE, 1.9) == ()
    assert memory.due([ACTION], STATE, 2.0) == (ACTION,)
    assert memory.past.failures == {}


def test_a_refresh_that_recurs_is_done_less_and_less_often() -> None:
    memory, action, now, pauses = Memory(), make_refresh(), 0.0, []
    for _ in range(7):
        memory.note(action, STATE, now, done=True)
        pauses.append(memory.retry_in(now))
        now += pauses[-1] or 0.0
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    memory.note(action, STATE, now + 1000, done=True)
    assert memory.retry_in(now + 1000) == 10


def test_the_planner_is_told_how_often_a_growth_failed() -> None:
    assert failed(3).past.failures == {ACTION.lv_uuid: 3}


def test_a_disk_is_steady_since_the_last_that_happened_to_it() -> None:
    memory, home = Memory(), make_disk("a")
    memory.sample(host(home, DISK), 10.0)
    assert memory.past.steady == {"/dev/sda": 0.0, "/dev/sdb": 0.0}
    memory.sample(host(home, DISK), 14.0)
    memory.sample(host(home, replace(DISK, stamp=1)), 16.0)
    assert memory.past.steady == {"/dev/sda": 6.0, "/dev/sdb": 0.0}
    memory.sample(host(home, replace(DISK, stamp=1)), 17.5)
    assert memory.past.steady == {"/dev/sda": 7.5, "/dev/sdb": 1.5}


def test_another_disk_under_the_same_name_settles_anew() -> None:
    memory = Memory()
    memory.sample(host(DISK), 0.0)
    memory.sample(host(make_disk(serial="another")), 9.0)
    assert memory.past.steady == {"/dev/sdb": 0.0}
    memory.sample(host(), 10.0)
    memory.sample(host(make_disk(serial="another")), 11.0)
    assert memory.past.steady == {"/dev/sdb": 0.0}


HOST = host(DISK)
OTHER_SEQNO = host(DISK, vg=replace(HOST.vgs[0], seqno=2))
CONSUMED = replace(HOST, consumers=(consumer("failed", tried=900),))
DISK_CURES: list[tuple[str, Action, State, State, bool]] = [
    ("nothing", CLAIM, HOST, host(DISK), False),
    ("an event of the disk", CLAIM, HOST, host(replace(DISK, stamp=1)), True),
    ("an event of another disk", CLAIM, HOST, host(DISK, make_disk("c")), False),
    ("an LVM command", CLAIM, HOST, OTHER_SEQNO, True),
    ("another PV", CLAIM, HOST, host(DISK, vg=vg_of(make_disk("a"), make_disk("c"))), True),
    ("an LVM command", RESIZE, HOST, OTHER_SEQNO, True),
    ("nothing", RESIZE, HOST, host(), False),
    ("an LVM command", ACTIVATE, HOST, OTHER_SEQNO, True),
    ("nothing", ACTIVATE, HOST, host(), False),
    ("nothing", START, CONSUMED, replace(CONSUMED, disks=()), False),
    (
        "a start by hand",
        START,
        CONSUMED,
        replace(HOST, consumers=(consumer("failed", tried=950),)),
        True,
    ),
]


@pytest.mark.parametrize(("action", "before", "after", "cured"), [row[1:] for row in DISK_CURES])
def test_a_back_off_ends_with_what_could_be_a_cure(
    action: Action,
    before: State,
    after: State,
    cured: bool,  # noqa: FBT001 - a table
) -> None:
    memory = Memory()
    for _ in range(8):
        memory.note(action, before, 0.0, done=False)
    assert memory.due([action], after, 0.0) == ((action,) if cured else ())


def test_a_pool_that_was_not_read_again_is_no_sample() -> None:
    """Else a pool that fills would seem to rest, and be looked at later than it must."""
    memory = Memory()
    first, then = make_pool(50), make_pool(60)
    for now, pool in ((0.0, first), (10.0, then), (15.0, then), (20.0, then)):
        memory.sample(make_state(pool), now)
    rate = memory.past.data["uuid-vg-pool"]
    assert rate == 1000 * MIB / 10
    memory.sample(make_state(make_pool(60)), 20.0)  # read again: it does rest
    assert memory.past.data["uuid-vg-pool"] == 1000 * MIB / 20
