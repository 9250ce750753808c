"""Raw pools come up on the files and devices that are there, if there is a pool on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import ActivateRaw
from dmguard.core.bare import read_superblock
from dmguard.core.sizing import low_water_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.bare import BarePool, RawPool
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def plan_raws(
    state: State, settings: Settings, pools: tuple[str, ...], *, needed: bool = False
) -> Iterator[ActivateRaw]:
    """Every raw pool that is down and can come up; those in `pools` are asked for by name."""
    for raw in state.raws:
        if is_meant(raw, state, pools, needed=needed) and raw_obstacle(raw) == "pool-inactive":
            yield _activate(raw, settings)


def plan_late(state: State, settings: Settings) -> Iterator[ActivateRaw]:
    """The agent's part: those that this boot waited for in vain."""
    late = tuple(raw.rule.name for raw in state.raws if raw.rule.name in state.late)
    return plan_raws(state, settings, late) if late else iter(())


def is_meant(raw: RawPool, state: State, pools: tuple[str, ...], *, needed: bool) -> bool:
    """As for LVM's pools. Its section is a word on this very pool."""
    name = raw.rule.name
    if pools:
        return name in pools
    consumed = any(consumer.dm_name == name for consumer in state.consumers)
    return not needed or consumed or name in state.late


def raw_obstacle(raw: RawPool) -> str | None:
    """Why a raw pool is not up: `pool-inactive` if nothing stands in the way; None if it is."""
    if raw.pool is not None:
        return None if _is_same(raw, raw.pool) else "raw-taken"
    if raw.data is None or raw.metadata is None:
        return "raw-missing"
    superblock = read_superblock(raw.head)
    if superblock is None:
        return "raw-no-pool"
    if superblock.chunk != raw.rule.block_size:
        return "raw-block-size"
    if raw.size < max(superblock.size, raw.rule.block_size):
        return "raw-too-small"
    return "pool-inactive"


def _is_same(raw: RawPool, pool: BarePool) -> bool:
    """Does the live pool lie on what the section names?"""
    places = ((raw.data, pool.data), (raw.metadata, pool.metadata))
    return all(place is not None and place.devno == backing.devno for place, backing in places)


def _activate(raw: RawPool, settings: Settings) -> ActivateRaw:
    rule = raw.rule
    assert raw.data is not None
    assert raw.metadata is not None
    low_water = rule.low_water
    if low_water is None:
        policy = settings.loops.get(rule.name, settings.policy)
        low_water = low_water_for(raw.size, rule.block_size, policy.data_threshold)
    places = (raw.metadata, raw.data)
    return ActivateRaw(
        name=rule.name,
        metadata=rule.metadata,
        data=rule.data,
        metadata_is_file=raw.metadata.is_file,
        data_is_file=raw.data.is_file,
        size=raw.size,
        chunk=rule.block_size,
        low_water=low_water,
        options=tuple(str(option) for option in rule.options),
        attaches=tuple(place.path for place in places if place.is_file and place.devno is None),
    )
