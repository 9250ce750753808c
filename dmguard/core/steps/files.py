"""The steps of what is done to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions.files import EditFile
from dmguard.core.steps.kinds import PutFile, UnitStep, UnitVerb

if TYPE_CHECKING:
    from dmguard.core.model import State
    from dmguard.core.steps.kinds import Step, Table


def edit_file(action: EditFile) -> tuple[Step, ...]:
    put = PutFile(action.path, action.text, action.was, backup=action.backup)
    read = (UnitStep(UnitVerb.RELOAD, action.reload),) if action.reload else ()
    return (put, *read)


def after_edit(action: EditFile, ran: int, state: State) -> tuple[Step, ...]:
    """What was written is to be read, too, if a death came between. A unit that does not run reads
    it when it starts.
    """
    steps = edit_file(action)
    runs = state.host is None or state.host.is_active(action.reload)
    return steps[1:] if runs and ran < len(steps) else ()


STEPS: Table = {EditFile: edit_file}
