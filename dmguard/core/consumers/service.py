"""What is common to the programs that keep their data in a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmguard.core.consumers.flags import Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program: its command, its unit, and its file below /etc.

    `client`: who is needed beside it to ask it which pool it uses, if anybody is.
    """

    command: str
    unit: str
    config: str
    client: str = ""

    @property
    def path(self) -> str:
        """Its file, if its command line names no other."""
        return f"/etc/{self.config}"

    def path_of(self, flags: Flags) -> str:
        """Its file, or the one that its command line names instead; systemd starts it in /."""
        path = flags.config_file or self.path
        return f"/{path.lstrip('/')}"
