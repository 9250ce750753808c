"""Where an input's choices come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Dice:
    """Choices that are the same for the same seed."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def number(self, least: int, most: int) -> int:
        return self._source.randint(least, most)

    def one(self, things: Sequence[T]) -> T:
        return self._source.choice(things)


if TYPE_CHECKING:
    Make = Callable[[Dice], bytes]
    """Makes an input of choices."""


def either(*makes: Make) -> Make:
    return lambda dice: dice.one(makes)(dice)
