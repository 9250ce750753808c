"""The steps of what is done to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions.files import EditFile
from dmguard.core.steps.kinds import PutFile

if TYPE_CHECKING:
    from dmguard.core.steps.kinds import Step, Table


def edit_file(action: EditFile) -> tuple[Step, ...]:
    return (PutFile(action.path, action.text, action.was, backup=action.backup),)


STEPS: Table = {EditFile: edit_file}
