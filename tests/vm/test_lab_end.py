"""The lab's bad ends: a killed run, a dead kernel, a line filled to the brim."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.building import ROOT
from tests.lab.channel import MachineDied
from tests.lab.images import build
from tests.vm.conftest import RUN

if TYPE_CHECKING:
    from tests.vm.conftest import Factory

BOOT = """
import sys
from pathlib import Path
from tests.lab.images import build
from tests.lab.machine import Machine
Machine(build("bookworm", Path(sys.argv[1])), Path(sys.argv[2])).boot()
"""


def processes(folder: Path) -> list[str]:
    """Every process of a machine stays in its folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.removesuffix(" (deleted)") == str(folder):
            found.append(link.parent.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_killed_run_leaves_nothing(package: Path, number: signal.Signals) -> None:
    folder = RUN / f"killed-{number.name}-{time.time_ns():x}"
    build("bookworm", package)  # in time, not in the half minute that the machine has
    child = subprocess.Popen([sys.executable, "-c", BOOT, str(package), str(folder)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while len(processes(folder)) < 5:
            assert time.monotonic() < deadline, "the machine does not start"
            time.sleep(0.1)
    finally:
        child.send_signal(number)
        child.wait(30)
    deadline = time.monotonic() + 10
    while left := [*processes(folder), *folder.glob("*.cow"), *folder.glob("*.img")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_the_line_takes_all_and_ends_with_the_kernel(machines: Factory) -> None:
    m = machines(dmguard=False)
    for length in (900, 1100, 5000, 100_000):
        assert m.run(f"echo {'x' * length}").out == "x" * length + "\n"
    many = [m.start(f"echo {number} # {'y' * 200}") for number in range(100)]
    assert [one.wait(60).out for one in many] == [f"{number}\n" for number in range(100)]
    killed = m.start("sleep 1000")
    killed.kill()
    assert killed.wait(10).status == -signal.SIGKILL

    (kernel,) = {os.getpgid(int(pid)) for pid in processes(m.workdir)}
    lost = m.start("sleep 1000")
    os.kill(kernel, signal.SIGKILL)
    with pytest.raises(MachineDied):
        lost.wait(10)
    with pytest.raises(MachineDied):
        m.run("true", timeout=10)
