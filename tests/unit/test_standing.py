"""What a file lies on."""

import os
from pathlib import Path

import pytest

from dmguard.core.model import Devno
from dmguard.edge.roots import Roots
from dmguard.edge.standing import lies_on

CHAIN = ("253:9", "253:7", "253:3", "8:16")
"""The last is a disk."""


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A sysfs in which what `tmp_path` lies on is made of one device after the other."""
    number = tmp_path.stat().st_dev
    above = f"{os.major(number)}:{os.minor(number)}"
    for below in CHAIN:
        slave = tmp_path / "dev/block" / above / "slaves" / below.replace(":", "-")
        slave.mkdir(parents=True)
        (slave / "dev").write_text(f"{below}\n")
        above = below
    return Roots(sys=tmp_path)


@pytest.mark.parametrize(
    ("devices", "lies"),
    [({(253, 9)}, True), ({(1, 1), (8, 16)}, True), ({(253, 8)}, False), (set(), False)],
)
def test_a_file_lies_on_all_that_its_device_is_made_of(
    roots: Roots, devices: set[Devno], *, lies: bool
) -> None:
    told = lies or None if os.major(roots.sys.stat().st_dev) == 0 else lies
    assert lies_on(roots.sys, devices, roots) is told


def test_of_a_file_system_without_a_device_it_cannot_be_told(roots: Roots) -> None:
    assert lies_on(Path("/proc/self"), {(253, 9)}, roots) is None


def test_a_device_that_is_made_of_itself_comes_to_an_end(roots: Roots) -> None:
    slave = roots.sys / "dev/block/8:16/slaves/again"
    slave.mkdir(parents=True)
    (slave / "dev").write_text(f"{CHAIN[0]}\n")
    assert not lies_on(roots.sys, {(1, 1)}, roots)


def test_what_is_not_there_lies_on_nothing(roots: Roots) -> None:
    assert not lies_on(roots.sys / "no", {(253, 9)}, roots)
