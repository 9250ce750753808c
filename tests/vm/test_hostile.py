"""What anybody on the host may write to the journal moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.kit import MIB, config, done, entries, size_of, wait_for, wait_for_mark, write

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

LOW_WATER_LINE = "reached low water mark for data device"
LINES = 3000
LARGEST_KIB = 64 << 10

# As a user without rights, under the names of those who are listened to, with all that a sender can
# say of itself; the last line tells when journald has come so far.
FLOOD = r"""
import ctypes, os, socket, sys
set_name = ctypes.CDLL(None).prctl
os.setgid(65534), os.setuid(65534)
count, device = int(sys.argv[1]), sys.argv[2]
thin = f"device-mapper: thin: {device}:"
words = (
    ("kernel", f"{thin} reached low water mark for data device: sending event."),
    ("kernel", f"{thin} switching pool to read-only mode"),
    ("dmeventd", "WARNING: Thin pool docker-thinpool-tpool data is now 99.00% full."),
    ("dmeventd", "Failed command for docker-thinpool-tpool."),
    ("dockerd", "devmapper: Thin Pool has 1 free data blocks which is less than minimum 9"),
    ("dockerd", "devicemapper: Non existing device docker-thinpool " + "x" * 4096),
    ("containerd", 'failed to query pool "docker-thinpool": no such device or address'),
)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
syslog.connect("/dev/log")
# journald keeps what it has read of a process for a while: each name has one of its own.
for name, text in words:
    if os.fork():
        os.wait()
        continue
    set_name(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
    break
else:
    count = 0
for number in range(count // len(words)):
    if number % 2:
        syslog.send(f"<4>{name}: {text}".encode())
    else:
        fields = {"MESSAGE": text, "SYSLOG_IDENTIFIER": name, "_COMM": name, "_UID": "0",
                  "_TRANSPORT": "kernel", "_SYSTEMD_UNIT": f"{name}.service", "PRIORITY": "4"}
        journal.send("".join(f"{key}={value}\n" for key, value in fields.items()).encode())
if count == 0:
    journal.send(b"MESSAGE=the flood is over\nSYSLOG_IDENTIFIER=flood\n")
"""


def pid_of(m: Machine) -> int:
    return int(m.run("systemctl show -P MainPID dmguard").out)


def children_faults(m: Machine, pid: int) -> int:
    """Page faults of the processes that it has started and waited for (proc(5), stat, cminflt):
    as long as it starts none they stay as they are.
    """
    return int(m.run(f"cat /proc/{pid}/stat").out.rpartition(")")[2].split()[8])


def wait_until_quiet(m: Machine, pid: int) -> None:
    """Until it has seen all of what was made."""
    seen = [-1]

    def is_quiet() -> bool:
        seen.append(children_faults(m, pid))
        return seen[-1] == seen[-2]

    wait_for("the last of its looks", is_quiet, interval=2)


def resident_kib(m: Machine, pid: int) -> int:
    return int(m.run(f"grep ^VmHWM /proc/{pid}/status").out.split()[1])


def moment(entry: dict[str, str]) -> float:
    own = entry.get("_SOURCE_MONOTONIC_TIMESTAMP")
    return int(own or entry["__MONOTONIC_TIMESTAMP"]) / 1e6


def test_a_flood_of_forged_lines_starts_nothing_and_hides_nothing(machines: Factory) -> None:
    m = machines(disks=[1 << 30], config=config(guard='resync = "1h"'))
    make_vg(m, "docker", m.disks[:1])
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    number = m.run("dmsetup info -c --noheadings -o major,minor docker-thinpool").out.strip()
    pid = pid_of(m)
    wait_until_quiet(m, pid)
    told, started, size = entries(m), children_faults(m, pid), size_of(m, "docker", "thinpool")

    m.put("/tmp/flood.py", FLOOD)
    m.run(f"python3 /tmp/flood.py {LINES} {number}", timeout=60)
    wait_for("the end of the flood", lambda: m.journal("-b", "SYSLOG_IDENTIFIER=flood"))
    forged = len(m.journal("-b", "_UID=65534", "_COMM=dmeventd", "--output-fields=_COMM"))

    assert forged > LINES // 10, "journald has not taken it"
    assert entries(m) == told
    assert children_faults(m, pid) == started, "it has started a process"
    assert size_of(m, "docker", "thinpool") == size

    write(m, device, 0, 80)
    (act,) = wait_for("the growth", lambda: done(m, "extend-data"))
    crossed = min(moment(line) for line in m.journal("-b", "-k", f"--grep={LOW_WATER_LINE}"))
    print({"grown after": moment(act) - crossed, "KiB": resident_kib(m, pid), "forged": forged})
    assert moment(act) - crossed < 5
    assert children_faults(m, pid) > started, "a process that it starts would not have been seen"
    assert pid_of(m) == pid
    assert resident_kib(m, pid) < LARGEST_KIB
