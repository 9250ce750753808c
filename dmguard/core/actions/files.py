"""What is done to a file of someone else's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.actions.kinds import Act, Told, Witness, Words

if TYPE_CHECKING:
    from dmguard.core.model import State


@dataclass(frozen=True, slots=True)
class EditFile(Told):
    """Have `text` in the file `path`. `was` is the SHA-256 of what it has now, as hex, and what it
    has now is kept in `backup`; both are empty for a file that is not there. `reload` is the unit
    that reads it, if it is to read it at once.
    """

    path: str
    text: str
    was: str
    backup: str
    reason: str
    reload: str = ""

    vg: ClassVar[str] = ""
    pool: ClassVar[str] = ""
    disk: ClassVar[str] = ""
    act: ClassVar[Act] = Act.EDIT_FILE
    done: ClassVar[str] = "file-edited"
    witness: ClassVar[Witness] = Witness.HOST
    on_consumer: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return self.path

    def is_met(self, state: State) -> bool | None:
        return None if state.host is None else state.host.text(self.path) == self.text

    def words(self) -> Words:
        if not self.backup:
            return Words(("write", "wrote", "writing"), "file, which is not there yet")
        return Words(("edit", "edited", "editing"), f"file, the old one kept as {self.backup}")
