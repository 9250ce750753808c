"""A kernel that refuses what a pool on loop devices grows by: the pool goes on as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.model import METADATA_BLOCK
from tests.vm.boundaries import Stop
from tests.vm.kit import config, history
from tests.vm.loopkit import LoopDocker, stopped_at
from tests.vm.mortal import attach, detach, injected, let_go, wait_until_stopped

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

CONTROL = "/dev/mapper/control"
# LOOP_SET_STATUS64 with another size limit; nothing of the file is lost by it.
_LIMIT = """
import fcntl, struct, sys
with open(sys.argv[1], "r+b", buffering=0) as loop:
    info = bytearray(232)
    fcntl.ioctl(loop, 0x4C05, info, True)
    struct.pack_into("=Q", info, 32, int(sys.argv[2]))
    fcntl.ioctl(loop, 0x4C04, info, True)
"""


def test_a_table_that_is_not_taken_leaves_pool_and_sizes_as_they_were(machines: Factory) -> None:
    m = machines(config=config(guard='resync = "1h"'))
    docker = LoopDocker(m)
    refused_at_the_resume_of_grown_metadata(m, docker)
    for words in ("+8MiB", "--metadata +4MiB"):
        refused_at_the_load(m, docker, words)


def refused_at_the_load(m: Machine, docker: LoopDocker, words: str) -> None:
    """Between the live table being read and the swap: the kernel has no memory for another one."""
    before = docker.seen()
    running, pid = stopped_at(m, "ran-2", words)
    assert docker.seen() != before, "its file and device are larger by then"
    attach(m, pid, Stop("ioctl", CONTROL, 3), "error=ENOMEM")
    m.run(f"kill -CONT {pid}")
    result = running.wait(60)
    detach(m)
    assert "DM_TABLE_LOAD" in injected(m), "another call was refused"
    assert result.status == 1, result
    assert "Cannot allocate memory" in result.out + result.err
    assert_as_it_was(m, docker)
    assert docker.seen() == before
    assert docker.resize(words).status == 0, "nothing else was in the way"
    docker.assert_alive()


def refused_at_the_resume_of_grown_metadata(m: Machine, docker: LoopDocker) -> None:
    """Its device shows less than the pool has: the kernel swaps the tables, refuses to resume the
    pool and leaves it suspended.
    """
    m.put("/tmp/limit.py", _LIMIT)
    before, size = docker.seen(), docker.metadata_size()
    node = docker.loop(docker.metadata)
    running, pid = stopped_at(m, "ran-3", "--metadata +4MiB")
    # By its last block, which is not in use: the live pool goes on writing until it is suspended.
    m.run(f"python3 /tmp/limit.py {node} {size - METADATA_BLOCK}")
    attach(m, pid, Stop("ioctl", CONTROL, 2))
    m.run(f"kill -CONT {pid}")
    wait_until_stopped(m, pid)
    assert "too small" in m.run("dmesg | tail -5").out
    assert docker.state().startswith("Suspended"), docker.state()
    m.run(f"python3 /tmp/limit.py {node} {size}")
    let_go(m, pid)
    result = running.wait(60)
    assert result.status == 1, result
    assert_as_it_was(m, docker)
    assert docker.metadata_size() == size
    m.run(f"python3 /tmp/limit.py {node} 0")
    assert docker.seen() == before


def assert_as_it_was(m: Machine, docker: LoopDocker) -> None:
    docker.assert_alive()
    assert docker.state() == "Active:Live"
    told = history(m, "grow-loop")[-1]
    assert (told["result"], told["code"]) == ("failed", "act-failed")
