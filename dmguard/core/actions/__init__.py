"""The closed set of actions, one file a family. An action names an absolute end, never a
difference, and can tell from the host's state whether it is met.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dmguard.core.actions.disks import Claim, ResizePv, RestorePv
from dmguard.core.actions.files import EditFile
from dmguard.core.actions.kinds import Act, Result, Witness, Words
from dmguard.core.actions.loops import ActivateRaw, GrowLoop
from dmguard.core.actions.pools import (
    Activate,
    AttachProfile,
    ClearSkip,
    Extend,
    Monitor,
    Refresh,
    is_marked,
    is_stale,
)
from dmguard.core.actions.repair import RepairPool
from dmguard.core.actions.setup import Configure, CreatePool, CreateVg, DiskRef, WipeDisk
from dmguard.core.actions.units import StartUnit
from dmguard.core.model import Resource
from dmguard.core.typed import check_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmguard.core.model import Devno, State

__all__ = [
    "Act",
    "Action",
    "Activate",
    "ActivateRaw",
    "AttachProfile",
    "Claim",
    "ClearSkip",
    "Configure",
    "CreatePool",
    "CreateVg",
    "DiskRef",
    "EditFile",
    "Extend",
    "GrowLoop",
    "Monitor",
    "Refresh",
    "RepairPool",
    "ResizePv",
    "RestorePv",
    "Result",
    "StartUnit",
    "WipeDisk",
    "Witness",
    "Words",
    "dump_action",
    "is_marked",
    "is_met",
    "is_stale",
    "load_action",
    "subject",
]

Action = (
    Extend
    | Refresh
    | Activate
    | AttachProfile
    | Monitor
    | ClearSkip
    | EditFile
    | Claim
    | ResizePv
    | RestorePv
    | StartUnit
    | GrowLoop
    | ActivateRaw
    | WipeDisk
    | CreateVg
    | CreatePool
    | Configure
    | RepairPool
)


def subject(action: Action) -> str:
    """What the action is about, in one word for a person."""
    if isinstance(action, StartUnit):
        return action.unit
    if isinstance(action, EditFile):
        return action.path
    return action.pool or action.disk or action.vg


def is_met(action: Action, state: State) -> bool | None:
    """Does the host show what the action wanted? None: what it is about is not there to ask."""
    return action.is_met(state)


def dump_action(action: Action) -> dict[str, Any]:
    """An action as plain values, for the intent file."""
    return {"act": str(action.act), **asdict(action)}


_KINDS: dict[Act, type[Action]] = {
    Act.EXTEND_DATA: Extend,
    Act.EXTEND_METADATA: Extend,
    Act.REFRESH: Refresh,
    Act.ACTIVATE: Activate,
    Act.ATTACH_PROFILE: AttachProfile,
    Act.MONITOR: Monitor,
    Act.CLEAR_SKIP: ClearSkip,
    Act.EDIT_FILE: EditFile,
    Act.CLAIM_DISK: Claim,
    Act.RESIZE_PV: ResizePv,
    Act.RESTORE_PV: RestorePv,
    Act.START_UNIT: StartUnit,
    Act.GROW_LOOP: GrowLoop,
    Act.ACTIVATE_RAW: ActivateRaw,
    Act.WIPE_DISK: WipeDisk,
    Act.CREATE_VG: CreateVg,
    Act.CREATE_POOL: CreatePool,
    Act.CONFIGURE: Configure,
    Act.REPAIR_POOL: RepairPool,
}


def _load_ref(values: dict[str, Any]) -> DiskRef:
    ref = DiskRef(**{**values, "devno": _load_devno(values["devno"])})
    check_types(ref)
    return ref


def _load_devno(pair: Any) -> Devno:
    major, minor = _load_list(pair)
    if type(major) is not int or type(minor) is not int:
        raise TypeError(f"{pair!r} is not a pair of numbers")
    return major, minor


def _load_list(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"{values!r} is not a list")
    return tuple(values)


_RESTORE: dict[str, Callable[[Any], object]] = {
    "resource": Resource,
    "devno": _load_devno,
    "inode": _load_devno,
    "options": _load_list,
    "attaches": _load_list,
    "components": _load_list,
    "before": _load_list,
    "expendable": _load_list,
    "units": _load_list,
    "starts": _load_list,
    "volumes": _load_list,
    "ref": _load_ref,
    "disks": lambda refs: tuple(_load_ref(values) for values in _load_list(refs)),
}


def load_action(values: Any) -> Action:
    """The reverse of dump_action; KeyError, TypeError or ValueError for anything else."""
    if not isinstance(values, dict):
        raise TypeError(f"{values!r} is not an action")
    fields: dict[str, Any] = {
        name: _RESTORE[name](value) if name in _RESTORE else value
        for name, value in values.items()
        if name != "act"
    }
    action = _KINDS[Act(values["act"])](**fields)
    check_types(action)
    return action
