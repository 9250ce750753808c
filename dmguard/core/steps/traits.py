"""What the executor asks of every step, whatever its kind."""

from __future__ import annotations

from typing import ClassVar


class Traits:
    """`at_once`: it rests on what was proved just before. `is_proof`: others rest on it, and it
    changes nothing.
    """

    __slots__ = ()

    at_once: ClassVar[bool] = False
    is_proof: ClassVar[bool] = False
