"""vgextend itself dies half way: after it made a PV, and before the VG has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm.kit import NO_DMEVENTD, config, history
from tests.vm.mortal import Claim
from tests.vm.test_crash import CLAIMS, kill_agent, main_pid

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

# Read past the cache, as LVM writes; the label is in the disk's second sector (lvm2, label.h).
_CATCH = """
import glob, mmap, os, signal, sys

def find():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read().split(b"\\0")
        except OSError:
            continue
        if words[1:2] == [b"vgextend"]:
            return int(path.split("/")[2])

# Not before it works: dmguard leaves a disk alone that someone has open.
while not (lvm := find()):
    pass
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
buffer = mmap.mmap(-1, 4096)
while buffer[512:520] != b"LABELONE":
    os.preadv(fd, [buffer], 0)
os.kill(lvm, signal.SIGSTOP)
"""
NODE = "/dev/ubdc"


def stop_between_label_and_commit(m: Machine, claim: Claim) -> str:
    """Plug a disk in, and stop LVM when the disk is a PV of no VG; the agent's pid."""
    m.put("/tmp/catch.py", _CATCH)
    catcher = m.start(f"python3 /tmp/catch.py {NODE}")
    claim.cause()
    assert catcher.wait(60).status == 0
    seen = "pvs --nolocking --noheadings -o pv_name,vg_name"
    assert m.run(f"{seen} {NODE}").out.split() == [NODE]
    return main_pid(m)


@pytest.mark.parametrize("how", ["killed", "power cut"])
def test_a_claim_that_died_between_label_and_commit_is_completed(
    machines: Factory, how: str
) -> None:
    settings = config(guard='resync = "1h"', more=CLAIMS)
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=settings)
    claim = Claim(m)
    pid = stop_between_label_and_commit(m, claim)
    if how == "killed":
        m.run("pkill -9 -x lvm", check=False)
        kill_agent(m, pid)
    else:
        m.power_cut()
        m.boot()
    claim.assert_converged()
    claim.assert_intact()
    (entry,) = (e for e in history(m, "claim-disk") if e["result"] == "done")
    assert entry["reason"] == "resumed"
