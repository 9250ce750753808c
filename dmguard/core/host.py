"""What a command that looks at the whole host sees beside its pools and disks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Host:
    """The host's files and settings. Unknown is None, and what is not there is absent.

    `monitored` by LV uuid, `profiles` the texts of LVM's profiles by their names.
    """

    monitored: Mapping[str, bool] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
