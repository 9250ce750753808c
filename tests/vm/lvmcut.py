"""Words of the tests in which LVM dies between two of its writes, at whichever is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.machine import Disk, Machine

_REAL = "/usr/lib/real/lvm"
_NEVER = 9999

# LVM hands its reads and writes to the kernel one by one, each with a system call of its own.
_WRAPPER = f"""#!/bin/sh
case "${{0##*/}}" in lvm) ;; *) set -- "${{0##*/}}" "$@" ;; esac
verb=
[ ! -e /run/cut ] || read -r verb nth signal < /run/cut
# Once, but not for a command that finds the group locked and does nothing.
if [ "$1" = "$verb" ] && ! grep -qs io_submit /run/calls; then
    exec strace -o /run/calls -e trace=io_submit \\
        -e inject=io_submit:signal=$signal:when=$nth {_REAL} "$@"
fi
exec {_REAL} "$@"
"""


class LvmCut:
    """A machine on which one LVM command ends, or stands still, between two of its calls.

    They are counted from the end: how much LVM reads before it writes depends on the machine.
    """

    def __init__(self, m: Machine, verb: str) -> None:
        self.m, self.verb, self.calls = m, verb, 0
        m.run(f"mkdir -p /usr/lib/real && cp -n /usr/sbin/lvm {_REAL} && rm /usr/sbin/lvm")
        m.put("/usr/sbin/lvm", _WRAPPER, 0o755)
        m.run("sync")  # the power may go

    def arm(self, left: int | None = None, signal: str = "SIGKILL") -> None:
        """The next such command does all of its calls but so many, and no more; None: all."""
        nth = _NEVER if left is None else self.calls - left
        if signal == "SIGKILL":
            nth += 1  # that ends it before the call, and SIGSTOP stops it behind
        self.m.run(f"rm -f /run/calls; echo {self.verb} {nth} {signal} > /run/cut")

    def count(self) -> None:
        """Learn how many calls there are from the command that was armed for never."""
        self.calls = int(self.m.run("grep -c io_submit /run/calls").out)

    def wait_until_stopped(self) -> None:
        self.m.wait_until(
            "grep -q SIGSTOP /run/calls && pid=$(pgrep -x lvm)"
            " && grep -q '^State:.*[tT] ' /proc/$pid/status",
            60,
        )

    def kill_with(self, pid: str) -> None:
        """A dmguard and the LVM that stands still die together, as in a power cut."""
        self.m.run(f"kill -9 {pid} && pkill -9 -x lvm")
        self.m.wait_until("! pgrep -x lvm && ! pgrep -x strace")


def content(m: Machine, disk: Disk) -> bytes:
    """All that is on a disk."""
    m.run("sync")
    return disk.path.read_bytes()


def is_blank(m: Machine, disk: Disk) -> bool:
    return not content(m, disk).strip(b"\0")


def given_to_nobody(m: Machine) -> set[str]:
    """The disks that LVM refuses: it sees that a group uses them, and no such group."""
    rows = m.run("pvs --nolocking --noheadings -o pv_name,vg_name,pv_in_use").out.splitlines()
    return {row.split()[0] for row in rows if "[unknown]" in row}
