"""What is taken over from another tool's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmguard.core.units import Amount


class ForeignError(ValueError):
    """The configuration cannot be taken over; the text names the setting and says why."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The words of `dmguard setup` that say the same. None: it is left to dmguard.

    A share in `data` and `metadata` is of what the volume group has free. `options` are for the
    consumer's storage-opts.
    """

    disks: tuple[str, ...]
    vg: str | None
    pool: str
    data: Amount | None = None
    metadata: Amount | None = None
    chunk: int | None = None
    threshold: int | None = None
    percent: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What there is to set up, if anything, the text of dmguard's own settings, and the rest.

    `notes` say what has no equivalent, or another meaning here, each with its reason.
    """

    setup: Setup | None
    settings: str = ""
    notes: tuple[str, ...] = ()


_LARGEST_STEP = 100
"""In percent, as `dmguard setup` takes it: the pool is then twice as large."""


@dataclass(frozen=True, slots=True)
class Growth:
    """LVM's two settings of automatic growth, as far as they can be taken over."""

    threshold: int | None = None
    percent: int | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, threshold: int, percent: int, names: tuple[str, str]) -> Growth:
        """LVM takes less than 50 for 50, and does nothing at 100, or with a step of nothing."""
        said = f"{names[0]}={threshold}"
        if threshold >= 100 or percent == 0:
            off = said if threshold >= 100 else f"{names[1]}=0"
            return cls(notes=(f"{off} turned growth off; dmguard grows every pool that it guards",))
        notes = []
        if threshold < 50:
            notes.append(f"{said}: LVM takes it for 50, and so does dmguard")
        if percent > _LARGEST_STEP:
            notes.append(f"{names[1]}={percent}: {_LARGEST_STEP} is taken over, the most there is")
        return cls(max(threshold, 50), min(percent, _LARGEST_STEP), tuple(notes))

    def settings(self, pool: str) -> str:
        """The pool's section in dmguard.toml, by which dmguard does as LVM would."""
        if self.threshold is None:
            return ""
        return (
            f'[pool."{pool}"]\ndata_threshold = {self.threshold}\n'
            f'metadata_threshold = {self.threshold}\nstep = "{self.percent}%"\nmin_step = "0"\n'
        )
