"""A few random power cuts of each act that is not cut at random elsewhere; see tests/torture."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.torture.rounds import ACTS, Rounds

if TYPE_CHECKING:
    from tests.vm.conftest import Factory

SEED = 20261352
"""Of which each moment falls within its act."""


@pytest.mark.parametrize(
    ("name", "span", "cuts"),
    [
        ("metadata", (1.4, 1.8), 2),
        ("claim", (0.9, 1.9), 1),
        ("resize", (0.2, 0.5), 1),
        ("boot", (4.3, 4.9), 1),
        ("offline", (1.4, 3.2), 2),
    ],
)
def test_random_power_cuts_of_an_act_converge(
    machines: Factory, name: str, span: tuple[float, float], cuts: int
) -> None:
    """The spans are about those of an act that is not cut, which `make torture` measures."""
    began = time.monotonic()
    kind = ACTS[name]
    m = machines(disks=kind.disks, append=kind.append, config=kind.settings)
    rounds = Rounds(m, kind)
    for number in range(1, cuts + 1):
        print(f"seed {SEED}: {rounds.cut(SEED, number, span)}")
    print(f"{time.monotonic() - began:.0f} s")
