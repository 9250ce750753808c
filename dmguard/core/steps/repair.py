"""The steps of what is done to a pool only with its consumers stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.actions import RepairPool
from dmguard.core.actions.repair import is_sound
from dmguard.core.steps.config import QUIET, SHORT, with_mark
from dmguard.core.steps.dm import CopyMetadata, DropThins, ProveRoom
from dmguard.core.steps.kinds import Lvm, ProveStopped, UnitStep, UnitVerb

if TYPE_CHECKING:
    from dmguard.core.model import State
    from dmguard.core.steps.kinds import Step, Table

_CHECK = 'global/thin_check_options=["-q","--clear-needs-check-flag"]'
"""Debian's LVM runs it with the first alone, and then a pool that is sound stays marked."""


def repair_pool(action: RepairPool) -> tuple[Step, ...]:
    config = _config(action)
    metadata = f"{action.vg}/{action.metadata_lv}"
    return (
        ProveRoom(action.copy, action.metadata_size),
        *(UnitStep(UnitVerb.STOP, unit, wait=True) for unit in action.units),
        *((ProveStopped(action.units),) if action.units else ()),
        *_each(action, "n", action.volumes, config),
        DropThins(action.dm_name),
        Lvm(("lvchange", "--activate", "n", "--config", config, action.pool), "pool-open"),
        *_each(action, "n", action.components, config),
        # LVM asks whether it may, read-only; it is up for no longer than the copy takes.
        Lvm(("lvchange", "--activate", "y", "--yes", "--config", config, metadata)),
        CopyMetadata(action.metadata_node, action.copy),
        Lvm(("lvchange", "--activate", "n", "--config", config, metadata)),
        _bring_up(action),
        *_grow(action),
        *_each(action, "y", action.volumes, config),
        *_start(action),
    )


def _config(action: RepairPool) -> str:
    return SHORT if action.monitor else QUIET


def _each(action: RepairPool, how: str, names: tuple[str, ...], config: str) -> tuple[Step, ...]:
    """Some of the group's volumes up or down, in one command."""
    if not names:
        return ()
    skip = ("--ignoreactivationskip",) if how == "y" else ()
    volumes = (f"{action.vg}/{name}" for name in names)
    refusal = "" if how == "y" else "pool-open"
    return (Lvm(("lvchange", "--activate", how, *skip, "--config", config, *volumes), refusal),)


def _bring_up(action: RepairPool) -> Lvm:
    config = f"{with_mark(action.threshold, _config(action))} {_CHECK}"
    return Lvm(
        ("lvchange", "--activate", "y", *_skip(action), "--config", config, action.pool),
        ails="thin-check-failed",
        cure=("lvconvert", "--repair", "--config", _config(action), action.pool),
    )


def _skip(action: RepairPool) -> tuple[str, ...]:
    return ("--ignoreactivationskip",) if action.skip else ()


def _grow(action: RepairPool) -> tuple[Step, ...]:
    if not action.metadata_target:
        return ()
    config = with_mark(action.threshold)
    size = f"{action.metadata_target}b"
    argv = ("lvextend", "--config", config, "--poolmetadatasize", size, action.pool)
    return (Lvm(argv),)


def _start(action: RepairPool) -> tuple[Step, ...]:
    return tuple(
        step
        for unit in action.starts
        for step in (
            UnitStep(UnitVerb.RESET_FAILED, unit),
            UnitStep(UnitVerb.START, unit, wait=True),
        )
    )


def finish_repair(action: RepairPool, ran: int, state: State) -> tuple[Step, ...]:
    """All of it again, for each of its steps may be done twice, and the copy is taken only once.

    Where the pool is sound by now, as after a boot at which LVM checked it, nothing is stopped.
    """
    del ran
    pool = action.in_state(state)
    if pool is None:
        return ()
    if is_sound(pool.kernel):
        return (
            *_grow(action),
            *_each(action, "y", action.volumes, _config(action)),
            *_start(action),
        )
    return repair_pool(replace(action, components=pool.lv.active_components))


def undo_repair(action: RepairPool, ran: int, state: State) -> tuple[Step, ...]:
    """As it was, if nothing was repaired yet: up again, and in use.

    A pool whose check or repair did not succeed stays down, and its consumers stopped: to bring it
    up unchecked could lose what is there.
    """
    pool = action.in_state(state)
    if pool is None:
        return ()
    config = _config(action)
    down = _each(action, "n", pool.lv.active_components, config)
    if pool.kernel is None and (
        not action.up or ran >= repair_pool(action).index(_bring_up(action))
    ):
        return down
    up = () if pool.kernel is not None else (_as_before(action),)
    return (*down, *up, *_each(action, "y", action.volumes, config), *_start(action))


def _as_before(action: RepairPool) -> Lvm:
    config = with_mark(action.threshold, _config(action))
    return Lvm(("lvchange", "--activate", "y", *_skip(action), "--config", config, action.pool))


STEPS: Table = {RepairPool: repair_pool}
