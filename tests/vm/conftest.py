"""Machines for tests: booted on demand, switched off and cleared up at the end of each test."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.lab.building import ROOT, BuildError, newest_package
from tests.lab.channel import LabError
from tests.lab.images import build
from tests.lab.kernel import wanted
from tests.lab.machine import FAILED, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# So that an assertion in them says what it compared.
pytest.register_assert_rewrite(
    "tests.vm.kit", "tests.vm.bootkit", "tests.vm.mortal", "tests.vm.setupkit", "tests.torture"
)

RUN = ROOT / "build" / "lab" / "run"
REPORTS = {
    "journal.txt": "journalctl -b --no-pager -o short-precise",
    "dmsetup-status.txt": "dmsetup status --noflush",
    "lvs.txt": "timeout 20 lvs -a -o +devices --config global/wait_for_locks=0",
}


on_each_kernel = pytest.mark.parametrize("kernel_of", wanted())
"""For what would be worth little if it held on one kernel alone; the others have the fastest."""


class Factory(Protocol):
    """What the fixture `machines` gives to a test."""

    def __call__(
        self,
        flavour: str = "bookworm",
        *,
        disks: Sequence[int] = (),
        append: str = "",
        dmguard: bool = True,
        config: str | None = None,
    ) -> Machine:
        """Boot a machine with disks of these sizes in bytes."""


@pytest.fixture(scope="session")
def package() -> Path:
    """Return the newest package built here."""
    try:
        return newest_package()
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def kernel_of() -> str:
    """Return the suite whose kernel the machines of a test have."""
    return wanted()[0]


@pytest.fixture
def machines(request: pytest.FixtureRequest, package: Path, kernel_of: str) -> Iterator[Factory]:
    """Give a function that boots machines with the package installed."""
    test = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    before = request.session.testsfailed
    numbers = itertools.count(1)
    made: list[Machine] = []

    def boot(
        flavour: str = "bookworm",
        *,
        disks: Sequence[int] = (),
        append: str = "",
        dmguard: bool = True,
        config: str | None = None,
    ) -> Machine:
        words = append if dmguard else f"{append} systemd.mask=dmguard.service"
        folder = RUN / f"{test}-{next(numbers)}-{time.time_ns():x}"
        machine = Machine(build(flavour, package, kernel_of), folder, append=words)
        made.append(machine)
        for size in disks:
            machine.add_disk(size)
        machine.boot()
        if config is not None:
            machine.put("/etc/dmguard/dmguard.toml", config)
            machine.run("systemctl restart dmguard")
        return machine

    yield boot
    # The report of the call is counted before the teardown begins.
    failed = request.session.testsfailed > before
    for number, machine in enumerate(made, 1):
        if failed:
            _keep(machine, FAILED / test / str(number))
        machine.close()


def _keep(machine: Machine, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.txt").write_text(machine.console)
    for name, cmd in REPORTS.items():
        text = "the machine did not answer\n"
        with contextlib.suppress(LabError):
            result = machine.run(cmd, timeout=40, check=False)
            text = result.out + result.err
        (folder / name).write_text(text)
