"""vgextend itself dies half way: after it made a PV, and before the VG has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm.disks import wipe
from tests.vm.kit import NO_DMEVENTD, config, history, wait_for
from tests.vm.mortal import Claim, catch_vgextend, main_pid, orphans
from tests.vm.test_crash import CLAIMS, kill_agent

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

SETTINGS = config(guard='resync = "1h"', more=CLAIMS)


def stop_between_label_and_commit(m: Machine, claim: Claim) -> tuple[str, str]:
    """Plug disks in until LVM is stopped when one is a PV of no VG: the disk, and LVM's pid."""
    for _ in range(3):
        catcher = catch_vgextend(m)
        claim.cause()
        caught = catcher.wait(60)
        disk = m.disks[-1].device
        if caught.status == 0 and orphans(m) == disk:
            return disk, caught.out
        m.run(f"kill -CONT {caught.out}", check=False)
        claim.assert_converged()
    pytest.fail("three times LVM committed before it was stopped")


@pytest.mark.parametrize("how", ["killed", "power cut"])
def test_a_claim_that_died_between_label_and_commit_is_completed(
    machines: Factory, how: str
) -> None:
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=SETTINGS)
    claim = Claim(m)
    disk, lvm = stop_between_label_and_commit(m, claim)
    if how == "killed":
        pid = main_pid(m)
        m.run(f"kill -STOP {pid}; kill -9 {lvm}; kill -9 {pid}")
        kill_agent(m, pid)
    else:
        m.power_cut()
        m.boot()
    claim.assert_converged()
    claim.assert_intact()
    ended = [(e["result"], e["reason"]) for e in history(m, "claim-disk") if e["disk"] == disk]
    assert ("done", "resumed") in ended


def test_a_claim_whose_lvm_alone_died_is_taken_back(machines: Factory) -> None:
    """The agent takes the label away; what else LVM wrote keeps the disk from a second try."""
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=SETTINGS)
    claim = Claim(m)
    disk, lvm = stop_between_label_and_commit(m, claim)
    pid = main_pid(m)
    assert "LVM2_member" in m.run(f"blkid -p {disk}").out
    m.run(f"kill -9 {lvm}")

    def told() -> list[tuple[str, str]]:
        found = (e for e in history(m, "claim-disk") if e["disk"] == disk)
        return [(e["result"], e["reason"]) for e in found]

    wait_for("told", lambda: ("refused", "disk-has-data") in told(), timeout=60)
    assert told()[-2:] == [("failed", "act-failed"), ("refused", "disk-has-data")]
    assert orphans(m) == ""
    assert m.run(f"blkid -p {disk}", check=False).out == ""
    assert claim.members() == {each.device for each in m.disks} - {disk}

    wipe(m, [disk])
    claim.assert_converged()
    claim.assert_intact()
    assert main_pid(m) == pid
