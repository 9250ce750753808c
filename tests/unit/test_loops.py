"""Pools on loop devices: when they grow, by how much, in which steps, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.actions import GrowLoop, is_met
from dmguard.core.codes import CODES
from dmguard.core.findings import find_all
from dmguard.core.findings.host import counts, find_around
from dmguard.core.goals import Guard, ResizeLoop, Size
from dmguard.core.host import Host
from dmguard.core.model import METADATA_MAX, Mode, Resource, State, Usage
from dmguard.core.plan import Past, make_plan
from dmguard.core.settings import Policy, Settings
from dmguard.core.steps import finish_for, steps_for, undo_for
from dmguard.core.units import Amount
from dmguard.loop.memory import Memory
from tests.unit.bares import (
    CHUNK,
    DOCKER,
    MIB,
    PARAMS,
    in_bare,
    make_bare,
    make_host,
    make_raw,
    with_file,
)
from tests.unit.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from dmguard.core.bare import BarePool, LoopFile

PLAIN = Policy(min_step=0, headroom=0.0, max_size=2000 * MIB)


def settings(policy: Policy = PLAIN, name: str = "docker") -> Settings:
    return Settings(loops={name: policy})


def growth(
    *pools: BarePool, rules: Settings | None = None, past: Past | None = None
) -> list[tuple[str, int]]:
    plan = make_plan(make_host(*pools), rules or settings(), past or Past(), Guard())
    return [
        (str(action.resource), action.target // MIB)
        for action in plan.actions
        if isinstance(action, GrowLoop)
    ]


def codes(*pools: BarePool, rules: Settings | None = None) -> list[str]:
    return [finding.code for finding in find_all(make_host(*pools), rules or settings())]


def test_nothing_grows_without_a_ceiling_of_its_own() -> None:
    full = make_bare(90, 90)
    general = Policy(min_step=0, headroom=0.0, max_size=2000 * MIB)
    assert growth(full, rules=Settings(policy=general)) == []
    assert growth(full, rules=settings(replace(PLAIN, max_size=None))) == []
    assert codes(full, rules=Settings()) == ["loop-not-grown", "loop-not-grown"]


def test_metadata_comes_first_and_each_takes_its_step() -> None:
    assert growth(make_bare(50, 10)) == []
    assert growth(make_bare(75, 70)) == []
    full = make_bare(80, 80)
    assert growth(full) == [("metadata", 19), ("data", 1200)]


def test_a_pool_is_named_by_docker_or_by_its_device_mapper_name() -> None:
    assert growth(make_bare(80), rules=settings(name=DOCKER)) == [("data", 1200)]
    assert growth(make_bare(80, name="devpool"), rules=settings(name="devpool")) == [("data", 1200)]
    assert growth(make_bare(80, name="devpool")) == []
    own = Settings(loops={"docker": PLAIN, DOCKER: replace(PLAIN, step=Amount(percent=50.0))})
    assert growth(make_bare(80), rules=own) == [("data", 1500)]


def test_growth_ends_at_the_ceiling_in_whole_chunks() -> None:
    odd = replace(PLAIN, max_size=1100 * MIB + CHUNK + 1)
    (action,) = grow(make_bare(80), odd)
    assert action.target == 1100 * MIB + CHUNK
    at_it = make_bare(80, size=1000)
    assert growth(at_it, rules=settings(replace(PLAIN, max_size=1000 * MIB))) == []
    assert codes(at_it, rules=settings(replace(PLAIN, max_size=1000 * MIB))) == ["pool-ceiling"]


def grow(pool: BarePool, policy: Policy = PLAIN) -> list[GrowLoop]:
    plan = make_plan(make_host(pool), settings(policy), Past(), Guard())
    return [action for action in plan.actions if isinstance(action, GrowLoop)]


def test_a_file_system_gives_what_its_files_may_not_take_already() -> None:
    # 500 MiB of the file are not allocated yet: of 560 that are free 60 are left.
    assert growth(make_bare(80, room=560)) == [("data", 1060)]
    assert growth(make_bare(80, room=400)) == []
    assert codes(make_bare(80, room=400)) == ["loop-no-space"]


BOTH = Settings(loops={"docker": PLAIN, "devpool": PLAIN})


@pytest.mark.parametrize(
    ("room", "targets"),
    [
        # Each may take 500 MiB as it is, and so the two of them 1000.
        (750, []),
        (1000, []),
        (1001, [1001]),
        (1200, [1200]),
        (1250, [1200, 1050]),
        (1400, [1200, 1200]),
    ],
)
def test_two_pools_of_one_file_system_share_what_is_free(room: int, targets: list[int]) -> None:
    one = make_bare(80, room=room)
    other = make_bare(80, room=room, name="devpool", inode=11)
    assert growth(one, other, rules=BOTH) == [("data", target) for target in targets]
    found = codes(one, other, rules=BOTH)
    assert ("loop-no-space" in found) is not bool(targets)


def test_what_another_pools_file_may_take_is_promised_to_nobody() -> None:
    full = make_bare(80, room=750)
    assert growth(full) == [("data", 1200)], "on its own"
    idle = make_bare(10, room=750, name="strange", inode=11)
    assert growth(full, idle) == []
    assert refusals(full, ResizeLoop(pool="docker", data=Size(1001 * MIB)), None, idle) == [
        "loop-no-space"
    ]
    written = with_file(idle, allocated=1000 * MIB)
    assert growth(full, written) == [("data", 1200)]
    assert idle.data.file is not None
    elsewhere = with_file(idle, inode=(2050, 11))
    assert growth(full, elsewhere) == [("data", 1200)]
    # Its own metadata is one of the files, too.
    short = make_bare(80, room=700)
    assert growth(short) == [("data", 1200)]
    sparse = replace(below(short, Resource.METADATA), allocated=0)
    short = replace(short, metadata=replace(short.metadata, file=sparse))
    assert growth(short) == [("data", 1184)]


def below(pool: BarePool, resource: Resource) -> LoopFile:
    file = pool.backing(resource).file
    assert file is not None
    return file


def test_a_raw_pool_that_is_down_keeps_what_its_files_may_take() -> None:
    full = make_bare(80, room=750)
    for allocated, targets in ((0, []), (600 * MIB, [("data", 1150)])):
        raw = make_raw(size=700)
        assert raw.data is not None
        data = replace(raw.data, inode=(2049, 21), allocated=allocated)
        metadata = (
            replace(raw.metadata, inode=(2049, 22), allocated=4 * MIB) if raw.metadata else None
        )
        host = make_host(full, raws=(replace(raw, data=data, metadata=metadata),))
        plan = make_plan(host, settings(), Past(), Guard())
        grown = [a for a in plan.actions if isinstance(a, GrowLoop)]
        assert [(str(a.resource), a.target // MIB) for a in grown] == targets


def any_pools(rng: Random) -> tuple[BarePool, ...]:
    """Pools on two file systems, with files of any size of which any part is allocated."""
    rooms = [rng.randint(0, 4000), rng.randint(0, 4000)]
    pools = []
    for number in range(rng.randint(1, 4)):
        system = rng.randint(0, 1)
        size = rng.randint(1, 2000)
        pool = make_bare(
            rng.randint(0, 100),
            rng.randint(0, 100),
            name=f"pool{number}",
            size=size,
            room=rooms[system],
            inode=10 * number,
        )
        longer = (size + rng.choice([0, 0, rng.randint(0, 500)])) * MIB
        pool = with_file(
            pool,
            inode=(system, 10 * number),
            size=longer,
            allocated=rng.randint(0, longer),
        )
        file = below(pool, Resource.METADATA)
        other = replace(file, inode=(system, 10 * number + 1), allocated=rng.randint(0, file.size))
        pools.append(replace(pool, metadata=replace(pool.metadata, file=other)))
    return tuple(pools)


@given(st.builds(any_pools, st.randoms(use_true_random=True)))
def test_no_file_system_is_promised_more_than_it_has(pools: tuple[BarePool, ...]) -> None:
    policy = replace(PLAIN, max_size=10_000 * MIB)
    rules = Settings(loops={pool.name: policy for pool in pools})
    grown = make_plan(make_host(*pools), rules, Past(), Guard()).actions
    for system in (0, 1):
        files = [
            file
            for pool in pools
            for file in (below(pool, resource) for resource in Resource)
            if file.inode[0] == system
        ]
        more = sum(
            action.file_target - action.file_size
            for action in grown
            if isinstance(action, GrowLoop) and action.inode[0] == system
        )
        room = min((file.room for file in files), default=0)
        assert more <= max(0, room - sum(file.owed for file in files))
    full = [
        pool
        for pool in pools
        if pool.kernel.data and pool.kernel.data.percent > policy.data_threshold
    ]
    roomy = tuple(
        replace(
            pool,
            data=replace(pool.data, file=replace(below(pool, Resource.DATA), room=1 << 50)),
            metadata=replace(
                pool.metadata, file=replace(below(pool, Resource.METADATA), room=1 << 50)
            ),
        )
        for pool in pools
    )
    plan = make_plan(make_host(*roomy), rules, Past(), Guard())
    data = [a.pool for a in plan.actions if isinstance(a, GrowLoop) and a.resource is Resource.DATA]
    assert data == [pool.name for pool in full], "where there is room each has its growth"


def test_a_file_that_is_larger_than_the_pool_is_not_paid_for_twice() -> None:
    longer = with_file(make_bare(80, room=100), size=1150 * MIB, allocated=1150 * MIB)
    assert growth(longer) == [("data", 1200)]
    (action,) = grow(longer)
    assert (action.file_size // MIB, action.file_target // MIB) == (1150, 1200)
    huge = with_file(longer, size=5000 * MIB, allocated=0)
    assert [(a.target // MIB, a.file_target // MIB) for a in grow(huge)] == [(1200, 5000)]


def test_headroom_counts_the_rate_of_the_pools_name() -> None:
    fast = replace(PLAIN, headroom=100.0)
    rates = Past(data={DOCKER: 5.0 * MIB})
    assert growth(make_bare(80), rules=settings(fast), past=rates) == [("data", 1500)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mode": Mode.RO}, "pool-read-only"),
        ({"needs_check": True}, "pool-needs-check"),
        ({"suspended": True}, "pool-suspended"),
        ({"mode": Mode.FAIL, "data": None, "metadata": None}, "pool-failed"),
    ],
)
def test_a_pool_that_is_not_well_is_not_grown(changes: dict[str, object], code: str) -> None:
    pool = in_bare(make_bare(90, 90), **changes)
    assert growth(pool) == []
    assert codes(pool) == [code]
    assert refusals(pool, ResizeLoop(data=Size(2000 * MIB))) == [code]


def test_a_pool_without_room_for_metadata_is_told_with_the_cure_of_its_kind() -> None:
    full = in_bare(make_bare(50, 100), mode=Mode.RO)
    (finding,) = find_all(make_host(full), settings())
    assert finding.code == "out-of-metadata"
    assert finding.message.endswith("all 16.00 MiB of it are in use")
    cure = CODES[finding.code].cure
    assert "lvextend" in cure
    assert "losetup -c" in cure


def test_a_pool_of_others_is_nobodys_business() -> None:
    strange = in_bare(make_bare(99, name="stratis-1-private"), mode=Mode.OUT_OF_DATA)
    assert codes(strange) == []
    assert codes(in_bare(make_bare(50), mode=Mode.OUT_OF_DATA)) == ["out-of-data"]


def test_a_file_system_with_less_than_a_tenth_of_the_pool_is_told_before_it_is_full() -> None:
    assert codes(make_bare(30, room=99)) == ["loop-no-space"]
    assert codes(make_bare(30, room=100)) == []
    whole = with_file(make_bare(30, room=1), allocated=1000 * MIB)
    roomy = replace(whole, metadata=whole.data)
    assert codes(roomy) == []


def refusals(
    pool: BarePool, goal: ResizeLoop, rules: Settings | None = None, *others: BarePool
) -> list[str]:
    plan = make_plan(make_host(pool, *others), rules or Settings(), Past(), goal)
    assert not plan.actions
    return [refusal.code for refusal in plan.refusals]


NOTHING_ABOVE = METADATA_MAX + 1


@pytest.mark.parametrize(
    ("goal", "code"),
    [
        (ResizeLoop(data=Size(999 * MIB)), "loop-shrink"),
        (ResizeLoop(data=Size(1000 * MIB)), "not-larger"),
        (ResizeLoop(data=Size(0, relative=True)), "not-larger"),
        (ResizeLoop(metadata=Size(15 * MIB)), "loop-shrink"),
        (ResizeLoop(metadata=Size(NOTHING_ABOVE)), "metadata-ceiling"),
        (ResizeLoop(data=Size(10_001 * MIB, relative=True)), "loop-no-space"),
        (ResizeLoop(pool="other", data=Size(2000 * MIB)), "no-such-pool"),
    ],
)
def test_what_cannot_be_is_refused_whole(goal: ResizeLoop, code: str) -> None:
    assert refusals(make_bare(), goal) == [code]


def resized(pool: BarePool, metadata: int, data: int) -> list[tuple[str, int]]:
    goal = ResizeLoop(
        metadata=Size(metadata * MIB, relative=True), data=Size(data * MIB, relative=True)
    )
    plan = make_plan(make_host(pool), Settings(), Past(), goal)
    return [
        *((str(a.resource), a.target // MIB) for a in plan.actions if isinstance(a, GrowLoop)),
        *((refusal.code, 0) for refusal in plan.refusals),
    ]


def test_a_hand_is_given_no_more_than_the_file_may_not_still_take() -> None:
    # Half of the file's 1000 MiB is not allocated yet.
    assert refusals(make_bare(), ResizeLoop(data=Size(9_501 * MIB, relative=True))) == [
        "loop-no-space"
    ]
    assert resized(make_bare(), 0, 9_500)[1:] == [("not-larger", 0)]
    larger = with_file(make_bare(room=0), size=1_100 * MIB, allocated=0)
    assert resized(larger, 0, 100)[0] == ("data", 1_100), "the file has that size already"


def test_what_one_file_system_gives_another_does_not_lack() -> None:
    assert resized(make_bare(room=600), 60, 40) == [("metadata", 76), ("data", 1_040)]
    assert resized(make_bare(room=600), 60, 41) == [("metadata", 76), ("loop-no-space", 0)]
    pool = make_bare(room=600)
    assert pool.metadata.file is not None
    other = replace(pool.metadata.file, inode=(2050, 2))
    apart = replace(pool, metadata=replace(pool.metadata, file=other))
    assert resized(apart, 60, 100) == [("metadata", 76), ("data", 1_100)]


def test_a_ceiling_counts_for_a_hand_too() -> None:
    assert refusals(make_bare(), ResizeLoop(data=Size(2001 * MIB)), settings()) == ["pool-ceiling"]


def test_what_is_no_file_or_only_a_part_of_one_is_not_grown() -> None:
    pool, goal = make_bare(), ResizeLoop(data=Size(2000 * MIB))
    gone = replace(pool, data=replace(pool.data, file=None))
    assert refusals(gone, goal) == ["loop-file-unknown"]
    assert refusals(with_file(pool, limit=1000 * MIB), goal) == ["loop-limited"]
    disk = replace(pool, data=replace(pool.data, node="/dev/sdb", file=None))
    assert refusals(disk, goal) == ["no-such-pool"]


def test_several_pools_have_to_be_told_apart() -> None:
    host = make_host(make_bare(), make_bare(name="devpool"))
    goal = ResizeLoop(data=Size(1100 * MIB))
    plan = make_plan(host, Settings(), Past(), goal)
    assert [refusal.code for refusal in plan.refusals] == ["loop-several"]
    for name in ("docker", DOCKER, "devpool"):
        (action,) = make_plan(host, Settings(), Past(), replace(goal, pool=name)).actions
        assert action.pool == (DOCKER if name == "docker" else name)


def test_what_is_asked_for_is_rounded_up_to_whole_chunks_and_metadata_comes_first() -> None:
    goal = ResizeLoop(data=Size(100 * MIB + 1, relative=True), metadata=Size(32 * MIB))
    plan = make_plan(make_host(make_bare()), Settings(), Past(), goal)
    assert [
        (action.resource, action.target, action.file_target)
        for action in plan.actions
        if isinstance(action, GrowLoop)
    ] == [
        (Resource.METADATA, 32 * MIB, 32 * MIB),
        (Resource.DATA, 1100 * MIB + CHUNK, 1100 * MIB + CHUNK),
    ]


def test_only_the_length_of_the_live_table_is_another() -> None:
    (data,) = grow(make_bare(80))
    assert [str(step) for step in steps_for(data)] == [
        f"truncate --size {1200 * MIB} /srv/data",
        "losetup --set-capacity /dev/loop0",
        f"dmsetup load {DOCKER} --table '0 {1200 * 2048} thin-pool {PARAMS}'",
        f"dmsetup resume --noflush --nolockfs {DOCKER}",
    ]
    (metadata,) = grow(make_bare(50, 80))
    assert str(steps_for(metadata)[2]).endswith(f"'0 {1000 * 2048} thin-pool {PARAMS}'")


def test_an_interrupted_growth_is_finished_on_the_devices_of_now() -> None:
    (action,) = grow(make_bare(80))
    assert finish_for(action, 0, make_host(make_bare(80))) == steps_for(action)
    pool = make_bare(80)
    moved = replace(
        pool,
        data=replace(pool.data, node="/dev/loop5"),
        table=replace(pool.table, params="7:4 7:5 128 32768 1 skip_block_zeroing"),
    )
    steps = [str(step) for step in finish_for(action, 2, make_host(moved))]
    assert steps[1] == "losetup --set-capacity /dev/loop5"
    assert "7:4 7:5" in steps[2]
    assert finish_for(action, 2, make_host(with_file(pool, inode=(2049, 9)))) == ()
    assert finish_for(action, 2, State((), ())) == ()


def test_what_failed_is_taken_back_only_where_the_pool_is_there() -> None:
    (action,) = grow(make_bare(80))
    assert undo_for(action, 3, State((), ())) == ()
    assert [str(step) for step in undo_for(action, 3, make_host(make_bare(80)))] == [
        f"dmsetup clear {DOCKER}; dmsetup resume --noflush --nolockfs {DOCKER}",
        f"truncate --size {1000 * MIB} /srv/data",
        "losetup --set-capacity /dev/loop0",
    ]
    for ran in range(3):
        undo = [str(step) for step in undo_for(action, ran, make_host(make_bare(80)))]
        assert undo[0] == f"dmsetup clear {DOCKER}", "a pool that another suspended is not resumed"
        assert len(undo) == 3
    other = make_host(with_file(make_bare(80), inode=(2049, 9)))
    assert len(undo_for(action, 3, other)) == 1
    same = replace(action, file_target=action.file_size)
    assert len(undo_for(same, 3, make_host(make_bare(80)))) == 1


def test_a_growth_is_met_by_what_the_kernel_shows_of_a_pool_that_goes_on() -> None:
    (action,) = grow(make_bare(80))
    assert is_met(action, make_host(make_bare(80))) is False
    larger = make_bare(66, size=1200)
    assert is_met(action, make_host(larger)) is True
    assert is_met(action, make_host(in_bare(larger, suspended=True))) is False
    metadata = replace(action, resource=Resource.METADATA, target=19 * MIB + 100)
    shown = in_bare(larger, metadata=Usage(0, 19 * MIB))
    assert is_met(metadata, make_host(shown)) is True
    assert is_met(metadata, make_host(in_bare(larger, metadata=None))) is None


def test_dockers_files_are_a_hint_to_who_examines_the_host() -> None:
    host = replace(make_host(make_bare(), make_bare(name="devpool")), host=Host())
    found = [finding for finding in find_around(host, Settings()) if finding.code == "loop-lvm"]
    assert [finding.subject for finding in found] == [DOCKER]
    assert not counts(found[0])


def test_the_fill_rate_of_a_pool_is_remembered_by_its_name() -> None:
    memory = Memory()
    for second in range(11):
        used = Usage((100 + second) * MIB, 1000 * MIB)
        memory.sample(make_host(in_bare(make_bare(), data=used)), float(second))
    assert memory.past.data[DOCKER] == pytest.approx(MIB, rel=0.01)
    memory.sample(make_host(), 11.0)
    assert DOCKER not in memory.past.data


def test_a_growth_that_failed_is_held_until_what_it_failed_for_is_another() -> None:
    memory, host = Memory(), make_host(make_bare(80))
    (action,) = grow(make_bare(80))
    memory.note(action, host, 0.0, done=False, reason="loop-no-space")
    assert memory.due([action], host, 0.1) == ()
    # That the file system has a little more or less free is no reason.
    assert memory.due([action], make_host(make_bare(80, room=9_000)), 0.1) == ()
    assert memory.due([action], make_host(make_bare(80, room=100)), 0.1) == (action,)
    read_only = make_host(in_bare(make_bare(80), mode=Mode.RO))
    assert memory.due([action], read_only, 0.1) == (action,)
    assert memory.due([action], make_host(), 0.1) == (action,)


def test_the_next_look_is_sooner_the_faster_a_growing_pool_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch)
    rig.loop.settings = settings()
    filling = [in_bare(make_bare(), data=Usage(used * MIB, 1000 * MIB)) for used in (500, 700)]
    rig.cycle(*(make_host(pool) for pool in filling))
    assert rig.within[-1] < 5
    rig.loop.settings = Settings()
    rig.cycle(make_host(filling[-1]))
    assert rig.within[-1] == Settings().resync
