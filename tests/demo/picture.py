"""The picture: two panels with the same axes, in SVG written by hand."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tests.demo.acts import MIB, room_at

if TYPE_CHECKING:
    from tests.demo.acts import Act, Event

WIDTH, HEIGHT = 960, 780
LEFT, RIGHT, PANEL = 72, 936, 270
TOPS = (118, 478)
GAP = 13
STYLE = """text { font: 13px sans-serif; fill: #1f2933 }
.title { font-size: 19px; font-weight: bold }
.act { font-size: 15px; font-weight: bold }
.small { font-size: 12px; fill: #52606d }
.grid { stroke: #e4e7eb }
.axis { stroke: #7b8794 }
.used { fill: #9fc5e8; stroke: #3d7ab8; stroke-width: 1.5 }
.size { fill: none; stroke: #1f2933; stroke-width: 2 }
.room { fill: none; stroke: #7b8794; stroke-width: 1.5; stroke-dasharray: 6 4 }
.hang { fill: #f7c6c5 }
.event { stroke: #b3261e; stroke-width: 1; stroke-dasharray: 2 3 }
.dot { fill: #b3261e }
.label { font-size: 12px; fill: #b3261e; paint-order: stroke; stroke: #fff; stroke-width: 3px }"""


class Panel:
    """One act, drawn."""

    def __init__(self, act: Act, top: float, seconds: float, ceiling: float) -> None:
        self.act, self.top, self.seconds, self.ceiling = act, top, seconds, ceiling
        self.start = act.samples[0].at
        self.bottom = top + PANEL

    def x(self, at: float) -> float:
        """Seconds since the epoch to the picture's x."""
        return round(LEFT + (at - self.start) / self.seconds * (RIGHT - LEFT), 1)

    def y(self, size: float) -> float:
        """Bytes to the picture's y."""
        return round(self.bottom - size / self.ceiling * PANEL, 1)

    def draw(self) -> list[str]:
        """Return the panel's elements, back to front."""
        title = escape(self.act.title[:1].upper() + self.act.title[1:])
        head = f'<text class="act" x="{LEFT}" y="{self.top - 14}">{title}</text>'
        return [head, *self._hang(), *self._grid(), *self._curves(), *self._events()]

    def _hang(self) -> list[str]:
        hung = [sample.at for sample in self.act.samples if sample.mode != "rw"]
        if not hung:
            return []
        left, right = self.x(hung[0]), self.x(self.act.samples[-1].at)
        box = f'y="{self.top}" width="{right - left:.1f}" height="{PANEL}"'
        return [f'<rect class="hang" x="{left}" {box}/>']

    def _grid(self) -> list[str]:
        lines = []
        for mib in range(0, int(self.ceiling / MIB) + 1, 200):
            y = self.y(mib * MIB)
            lines.append(f'<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>')
            lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{mib}</text>')
        for second in range(0, int(self.seconds) + 1, 10):
            x, y = self.x(self.start + second), self.bottom
            lines.append(f'<path class="axis" d="M{x} {y}v5"/>')
            lines.append(f'<text x="{x}" y="{y + 20}" text-anchor="middle">{second} s</text>')
        lines.append(
            f'<path class="axis" d="M{LEFT} {self.top}V{self.bottom}H{RIGHT}" fill="none"/>'
        )
        lines.append(
            f'<text class="small" x="{LEFT - 8}" y="{self.top - 14}" text-anchor="end">MiB</text>'
        )
        return lines

    def _curves(self) -> list[str]:
        samples = self.act.samples
        used = " ".join(f"{self.x(s.at)},{self.y(s.used)}" for s in samples)
        ends = f"{self.x(samples[-1].at)},{self.bottom} {self.x(samples[0].at)},{self.bottom}"
        steps = f"M{self.x(samples[0].at)} {self.y(samples[0].size)}"
        steps += "".join(f"H{self.x(s.at)}V{self.y(s.size)}" for s in samples[1:])
        first = samples[0].size
        room = f"M{LEFT} {self.y(first + self.act.room)}"
        for at, _ in self.act.disks:
            room += f"H{self.x(at)}V{self.y(first + room_at(self.act, at))}"
        return [
            f'<polygon class="used" points="{used} {ends}"/>',
            f'<path class="room" d="{room}H{RIGHT}"/>',
            f'<path class="size" d="{steps}"/>',
        ]

    def _events(self) -> list[str]:
        shown = [event for event in self.act.events if event.short]
        # Labels are drawn over all lines, one row lower each, above what the VG has.
        labels = [self._label(event, self.top + 13 + i % 4 * 16) for i, event in enumerate(shown)]
        return [*(self._mark(event) for event in shown), *labels, *self._unused()]

    def _mark(self, event: Event) -> str:
        x = self.x(event.at)
        last = self.act.samples[-1]
        size = next((s.size for s in self.act.samples if s.at >= event.at), last.size)
        line = f'<path class="event" d="M{x} {self.top}V{self.bottom}"/>'
        return f'{line}<circle class="dot" cx="{x}" cy="{self.y(size)}" r="4"/>'

    def _label(self, event: Event, row: float) -> str:
        x = self.x(event.at)
        late = x > RIGHT - 120
        place = f'x="{x - 5}" text-anchor="end"' if late else f'x="{x + 5}"'
        return f'<text class="label" {place} y="{row}">{escape(event.short)}</text>'

    def _unused(self) -> list[str]:
        last = self.act.samples[-1]
        if last.mode == "rw":
            return []
        total = self.act.samples[0].size + self.act.room
        y = self.y((last.size + total) / 2) + 4
        words = f"{(total - last.size) // MIB} MiB never used"
        return [f'<text x="{RIGHT - 8}" y="{y}" text-anchor="end">{words}</text>']


def draw(acts: list[Act], title: str) -> str:
    """Return the SVG of both acts."""
    seconds = max(act.samples[-1].at - act.samples[0].at for act in acts)
    ceiling = max(act.samples[0].size + room_at(act, act.samples[-1].at) for act in acts) + 60 * MIB
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="34">{escape(title)}</text>',
        *_legend(62),
    ]
    for act, top in zip(acts, TOPS, strict=False):
        parts += Panel(act, top, seconds, ceiling).draw()
    return "\n".join([*parts, "</svg>", ""])


def _legend(y: float) -> list[str]:
    entries = (
        (0, "used in the pool", '<rect class="used" x="{x}" y="{y}" width="24" height="10"/>'),
        (165, "size of the pool", '<path class="size" d="M{x} {m}h24"/>'),
        (325, "pool and room left in the VG", '<path class="room" d="M{x} {m}h24"/>'),
        (565, "writers hang", '<rect class="hang" x="{x}" y="{y}" width="24" height="10"/>'),
        (710, "event", '<circle class="dot" cx="{c}" cy="{m}" r="4"/>'),
    )
    drawn = []
    for left, text, mark in entries:
        x = LEFT + left
        drawn.append(mark.format(x=x, y=y - 10, m=y - 5, c=x + 18))
        drawn.append(f'<text x="{x + 32}" y="{y}">{text}</text>')
    return drawn
