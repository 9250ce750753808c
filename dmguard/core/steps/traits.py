"""What the executor asks of every step, whatever its kind."""

from __future__ import annotations

from typing import ClassVar


class Traits:
    """`at_once`: it rests on what was proved just before. `is_proof`: others rest on it, and it
    changes nothing. `lets_go`: it waits for somebody else, and the lock is not held meanwhile.
    `holds_back`: unless it succeeds nothing behind it is done, not even to take something back.
    """

    __slots__ = ()

    at_once: ClassVar[bool] = False
    is_proof: ClassVar[bool] = False
    holds_back: ClassVar[bool] = False

    @property
    def lets_go(self) -> bool:
        return False
