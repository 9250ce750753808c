"""The steps of what is done to those who keep their data in a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import StartUnit
from dmguard.core.steps.kinds import UnitStep, UnitVerb

if TYPE_CHECKING:
    from dmguard.core.steps.kinds import Step, Table


def start_unit(action: StartUnit) -> tuple[Step, ...]:
    verb = UnitVerb.RESTART if action.restart else UnitVerb.START
    return (UnitStep(UnitVerb.RESET_FAILED, action.unit), UnitStep(verb, action.unit))


STEPS: Table = {StartUnit: start_unit}
