"""How much is measured: of whom, how often, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.guards import Guard


@dataclass(frozen=True)
class Plan:
    """`guards` are the names of those who are measured, all if there are none."""

    rounds: int = 3
    guards: frozenset[str] = frozenset()
    thorough: bool = False

    def turns(self, guards: Sequence[Guard]) -> Iterator[tuple[int, Guard]]:
        """Who comes when, of these."""
        chosen = {one.name: one for one in guards if not self.guards or one.name in self.guards}
        for number, name in turns(list(chosen), self.rounds):
            yield number, chosen[name]


def turns(names: list[str], rounds: int) -> Iterator[tuple[int, str]]:
    """All of them each round, and who was first is last in the next one."""
    for number in range(rounds if names else 0):
        shift = number % len(names)
        for name in (*names[shift:], *names[:shift]):
            yield number, name
