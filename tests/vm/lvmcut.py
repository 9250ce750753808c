"""Words of the tests in which LVM dies, or stands still, between two of its writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.channel import Running
    from tests.lab.machine import Disk, Machine

REAL = "/usr/lib/real/lvm"
_NEVER = 9999

# LVM hands its reads and writes to the kernel one by one, each with a system call of its own.
_CUT = f"""verb=
[ ! -e /run/cut ] || read -r verb nth signal < /run/cut
# Once, but not for a command that finds the group locked and does nothing but read.
if [ "$1" = "$verb" ] && ! grep -qs PWRITE /run/calls; then
    exec strace -o /run/calls -e trace=io_submit \\
        -e inject=io_submit:signal=$signal:when=$nth {REAL} "$@"
fi
"""

# Read past the cache, as LVM writes. The label is in the second sector of the disk that vgextend
# was given (lvm2, label.h); the VG is committed when the metadata area of another of its PVs points
# to another text (layout.h, struct mda_header).
_CATCH = """
import glob, mmap, os, signal, sys

def find():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read().split(b"\\0")
        except OSError:
            continue
        if words[1:2] == [b"vgextend"]:
            return path.removesuffix("/cmdline"), words[-2]

def read(node, first, end):
    fd = os.open(node, os.O_RDONLY | os.O_DIRECT)
    while True:
        os.preadv(fd, [buffer], 0)
        yield buffer[first:end]

def is_there(lvm, node):
    for seen in pointers or read(node, 512, 520):
        if (seen != before) if pointers else (seen == b"LABELONE"):
            return True
        if not os.path.exists(lvm):  # It found the VG locked.
            return False

buffer = mmap.mmap(-1, 8192)
pointers = read(sys.argv[1], 4136, 4160) if sys.argv[1:] else None
before = pointers and next(pointers)
# The disk is not opened before LVM works: dmguard leaves one alone that someone has open.
while not (found := find()) or not is_there(*found):
    pass
pid = found[0].removeprefix("/proc/")
os.kill(int(pid), signal.SIGSTOP)
while (state := open(found[0] + "/stat").read().rpartition(") ")[2][0]) != "T":
    assert state != "Z", "LVM was faster"
print(pid, end="")
"""


def wrap_lvm(m: Machine, before: str) -> None:
    """Have these words of the shell run before each command of LVM's, whose words are "$@"."""
    m.run(f"mkdir -p {REAL.rpartition('/')[0]} && cp -n /usr/sbin/lvm {REAL} && rm /usr/sbin/lvm")
    name = 'case "${0##*/}" in lvm) ;; *) set -- "${0##*/}" "$@" ;; esac'
    m.put("/usr/sbin/lvm", f'#!/bin/sh\n{name}\n{before}\nexec {REAL} "$@"\n', 0o755)


class LvmCut:
    """A machine on which one LVM command ends, or stands still, between two of its calls.

    They are counted from the end: how much LVM reads before it writes depends on the machine.
    """

    def __init__(self, m: Machine, verb: str) -> None:
        self.m, self.verb, self.calls = m, verb, 0
        wrap_lvm(m, _CUT)
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


def catch_vgextend(m: Machine, committed: str = "") -> Running:
    """Stop the next vgextend when its disk has a label, or when a PV shows that it committed.

    It prints LVM's pid, and fails if LVM was at its end before that.
    """
    m.put("/tmp/catch.py", _CATCH)
    return m.start(f"python3 /tmp/catch.py {committed}")


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
