"""The steps of what is done to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions.files import EditFile
from dmguard.core.steps.kinds import PutFile, UnitStep, UnitVerb

if TYPE_CHECKING:
    from dmguard.core.steps.kinds import Step, Table


def edit_file(action: EditFile) -> tuple[Step, ...]:
    put = PutFile(action.path, action.text, action.was, backup=action.backup)
    read = (UnitStep(UnitVerb.RELOAD, action.reload),) if action.reload else ()
    return (put, *read)


STEPS: Table = {EditFile: edit_file}
