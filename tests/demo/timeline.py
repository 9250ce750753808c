"""The timeline as a table and as JSON, and the picture beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.demo.acts import MIB, vg_free_at
from tests.demo.picture import draw

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.acts import Act, Sample

TITLE = "The same pool, the same room, the same writers: two guards"


def publish(acts: list[Act], folder: Path) -> None:
    """Print the table, and write all three files."""
    for act in acts:
        act.events.sort(key=lambda event: event.at)
    shown = "\n".join(table(act) for act in acts)
    print(f"\n{shown}")
    (folder / "timeline.txt").write_text(shown)
    document = [
        asdict(act) | {"vg_free": [vg_free_at(act, s) for s in act.samples]} for act in acts
    ]
    (folder / "timeline.json").write_text(json.dumps({"acts": document}, indent=1) + "\n")
    (folder / "timeline.svg").write_text(draw(acts, TITLE))


def sample_at(act: Act, at: float) -> Sample:
    """Return the last sample up to a moment."""
    return [s for s in act.samples if s.at <= at or s is act.samples[0]][-1]


def table(act: Act) -> str:
    """Return the events of an act with the pool's state at each."""
    rows = [f"{act.title[:1].upper()}{act.title[1:]}"]
    rows.append(f"{'time':>8}  {'pool':>8}  {'used':>7}  {'VG free':>8}  event")
    for event in act.events:
        s = sample_at(act, event.at)
        rows.append(
            f"{event.at - act.samples[0].at:6.1f} s  {s.size // MIB:4} MiB"
            f"  {100 * s.used / s.size:5.1f} %  {vg_free_at(act, s) // MIB:4} MiB  {event.text}"
        )
    return "\n".join([*rows, ""])
