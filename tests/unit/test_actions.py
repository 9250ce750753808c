"""Does the kernel show what an action wanted?"""

import json
from dataclasses import fields, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.actions import (
    Action,
    DiskRef,
    Extend,
    dump_action,
    is_met,
    load_action,
    subject,
)
from dmguard.core.model import METADATA_CROPPED, METADATA_MAX, Mode, Resource, State, Usage
from tests.unit.builders import (
    EXTENT,
    MIB,
    in_kernel,
    make_extend,
    make_pool,
    make_refresh,
    make_state,
)
from tests.unit.disks import (
    ACTIVATE,
    CLAIM,
    DISK,
    RESIZE,
    RESTORE,
    START,
    consumer,
    host,
    make_disk,
    pv_on,
    vg_of,
)

DATA = make_extend()
METADATA = make_extend(Resource.METADATA, 100, 120)


@pytest.mark.parametrize(("size", "met"), [(11_996, False), (12_000, True), (13_000, True)])
def test_data_is_met_by_the_target_or_more(size: int, met: bool) -> None:  # noqa: FBT001
    assert is_met(DATA, make_state(make_pool(size=size))) is met


def test_lvms_own_size_does_not_count() -> None:
    pool = make_pool()
    grown = replace(pool, lv=replace(pool.lv, size=12_000 * MIB, metadata_size=120 * MIB))
    assert is_met(DATA, make_state(grown)) is False
    assert is_met(METADATA, make_state(grown)) is False


@pytest.mark.parametrize("action", [DATA, make_refresh("kernel-behind")])
def test_a_table_that_the_kernel_did_not_follow_does_not_count(action: Action) -> None:
    """A pool that must be checked takes the larger table, and not the space."""
    mark = make_refresh().low_water
    grown = in_kernel(make_pool(size=12_000), needs_check=True, mode=Mode.RO, low_water=mark)
    assert is_met(action, make_state(grown)) is True
    ignored = in_kernel(grown, data=Usage(8_000 * MIB, 9_900 * MIB))
    assert is_met(action, make_state(ignored)) is False
    assert is_met(action, make_state(in_kernel(grown, data=None))) is None


def test_a_growth_to_what_is_no_whole_chunks_is_met_by_those_that_are() -> None:
    chunk = 192 << 10
    whole = 12_000 * MIB // chunk * chunk
    pool = in_kernel(make_pool(size=12_000), chunk=chunk, data=Usage(0, whole))
    assert is_met(DATA, make_state(pool)) is True


def test_metadata_at_the_kernels_limit_is_met_though_the_volume_is_larger() -> None:
    target = METADATA_MAX // EXTENT * EXTENT + EXTENT
    action = replace(METADATA, target=target)
    pool = in_kernel(make_pool(), metadata=Usage(0, METADATA_MAX))
    assert is_met(action, make_state(pool)) is True


@pytest.mark.parametrize("action", [DATA, METADATA])
def test_what_cannot_be_asked_is_unknown_and_not_a_no(action: Extend) -> None:
    assert is_met(action, make_state()) is None
    assert is_met(action, make_state(replace(make_pool(), kernel=None))) is None
    assert is_met(METADATA, make_state(in_kernel(make_pool(), metadata=None))) is None


def test_a_growth_of_a_pool_that_is_down_is_met_by_what_lvm_will_bring_up() -> None:
    data, metadata = make_pool(size=12_000), make_pool(metadata_size=120)
    for action, grown, other in (DATA, data, metadata), (METADATA, metadata, data):
        assert is_met(action, make_state(replace(grown, kernel=None))) is True
        assert is_met(action, make_state(replace(other, kernel=None))) is None


def test_a_refresh_is_met_by_the_mark_and_the_size() -> None:
    action = make_refresh()
    assert is_met(action, make_state(make_pool())) is True
    near = in_kernel(make_pool(), low_water=action.low_water - 1)
    assert is_met(action, make_state(near)) is True
    far = in_kernel(make_pool(), low_water=action.low_water - 2)
    assert is_met(action, make_state(far)) is False
    small = in_kernel(make_pool(size=9_000), low_water=action.low_water)
    assert is_met(action, make_state(small)) is False


def test_a_pool_of_the_same_name_and_another_uuid_is_another_pool() -> None:
    assert is_met(replace(DATA, lv_uuid="other"), make_state(make_pool(size=12_000))) is None


HOME = make_disk("a")


def test_a_claim_is_met_when_the_group_lists_the_disk_under_whatever_name() -> None:
    assert is_met(CLAIM, host(HOME, DISK)) is False
    assert is_met(CLAIM, host(HOME, DISK, vg=vg_of(HOME, DISK))) is True
    moved = make_disk("q", serial=DISK.serial)
    assert is_met(CLAIM, host(HOME, moved, vg=vg_of(HOME, moved))) is True
    other = make_disk("b", serial="another")
    assert is_met(CLAIM, host(HOME, other, vg=vg_of(HOME, other))) is None
    assert is_met(CLAIM, host(HOME, DISK, vg=replace(vg_of(DISK), uuid="x"))) is None


def of_pv(action: Action, **changes: object) -> bool | None:
    pv = replace(pv_on(DISK), **changes)  # type: ignore[arg-type]
    return is_met(action, host(HOME, DISK, vg=replace(vg_of(HOME), pvs=(pv,))))


def test_a_pv_is_resized_when_it_is_larger_or_fills_its_device() -> None:
    assert of_pv(RESIZE, size=RESIZE.size) is False
    assert of_pv(RESIZE, size=RESIZE.size + EXTENT) is True
    assert of_pv(RESIZE, size=RESIZE.size, device_size=RESIZE.size + MIB) is True
    assert of_pv(RESIZE, uuid="another") is None


def test_a_pv_is_restored_when_lvm_misses_it_no_more() -> None:
    assert of_pv(RESTORE, missing=True) is False
    assert of_pv(RESTORE, missing=False) is True
    assert of_pv(RESTORE, uuid="another") is None


def test_a_pool_is_up_when_the_kernel_runs_it() -> None:
    assert is_met(ACTIVATE, make_state(make_pool())) is True
    assert is_met(ACTIVATE, make_state(replace(make_pool(), kernel=None))) is False
    assert is_met(ACTIVATE, make_state()) is None


@pytest.mark.parametrize(
    ("restart", "state", "unit", "met"),
    [
        (False, "failed", {}, False),
        (False, "active", {}, True),
        (False, "activating", {}, True),
        (False, "failed", {"has_job": True}, True),
        (False, "failed", {"entered": 7}, True),  # it came up, and died of something else
        (True, "active", {}, False),
        (True, "active", {"entered": 7}, True),
        (True, "deactivating", {}, True),
        (True, "active", {"has_job": True}, True),
    ],
)
def test_a_unit_is_started_when_its_job_is_there_or_it_moved(
    restart: bool,  # noqa: FBT001 - a table
    state: str,
    unit: dict[str, int],
    met: bool,  # noqa: FBT001
) -> None:
    world = replace(host(), consumers=(consumer(state, **unit),))
    assert is_met(replace(START, restart=restart), world) is met
    assert is_met(START, host()) is None


def test_a_stale_table_is_loaded_when_it_points_at_the_groups_own_devices() -> None:
    action = make_refresh("stale-table")
    pool = make_pool(vg=vg_of(HOME))
    assert is_met(action, make_state(in_kernel(pool, leaves=frozenset({(8, 240)})))) is False
    mine = in_kernel(pool, leaves=frozenset({HOME.devno}), low_water=0)
    assert is_met(action, make_state(mine)) is True


def test_a_refresh_for_metadata_is_met_when_the_kernel_has_as_much_as_it_takes() -> None:
    action = replace(make_refresh("kernel-behind"), metadata_size=120 * MIB)
    assert is_met(action, make_state(make_pool(metadata_size=100))) is False
    assert is_met(action, make_state(make_pool(metadata_size=120))) is True
    huge = replace(action, metadata_size=METADATA_MAX * 2)
    full = in_kernel(make_pool(), metadata=Usage(0, METADATA_CROPPED))
    assert is_met(huge, make_state(full)) is True


def test_an_action_is_told_by_what_it_is_about() -> None:
    told = [subject(action) for action in (CLAIM, RESIZE, RESTORE, ACTIVATE, START, DATA)]
    assert told == ["/dev/sdb"] * 3 + ["vg/pool", "docker.service", "vg/pool"]


TEXT = st.text(max_size=5)
NUMBER = st.integers(0, 1 << 62)
DEVNO = st.tuples(st.integers(0, 4095), st.integers(0, 1 << 20))
REF = st.builds(DiskRef, TEXT, TEXT, DEVNO, st.none() | NUMBER, NUMBER)
BY_TYPE: dict[str, st.SearchStrategy[object]] = {
    "str": TEXT,
    "int": NUMBER,
    "bool": st.booleans(),
    "int | None": st.none() | NUMBER,
    "Devno": DEVNO,
    "Inode": DEVNO,
    "Resource": st.sampled_from(Resource),
    "str | None": st.none() | TEXT,
    "DiskRef": REF,
    "tuple[DiskRef, ...]": st.lists(REF, min_size=1, max_size=3).map(tuple),
    "tuple[str, ...]": st.lists(TEXT, max_size=3).map(tuple),
}


def some(kind: type[Action]) -> st.SearchStrategy[Action]:
    """Any action of a kind, each field after its type."""
    return st.builds(kind, **{field.name: BY_TYPE[str(field.type)] for field in fields(kind)})


ANY = st.one_of(*(some(kind) for kind in get_args(Action)))


@given(ANY)
def test_an_action_survives_the_intent_file(action: Action) -> None:
    assert load_action(json.loads(json.dumps(dump_action(action)))) == action


@given(ANY)
def test_of_a_host_without_anything_nothing_is_met(action: Action) -> None:
    assert not is_met(action, State((), ()))
